"""Array mode runs where TensorFlow, TFDS and ml_collections are not installed."""

import json
from pathlib import Path
import subprocess
import sys

import pytest

from cellrec_jax import config

BLOCK = """
import sys

BLOCKED = ("tensorflow", "tensorflow_datasets", "ml_collections")


class Hiding:  # makes a finder blind to these packages, as if not installed
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, *args):
        if name.partition(".")[0] not in BLOCKED:
            return self.finder.find_spec(name, *args)


assert not set(BLOCKED) & set(sys.modules)
sys.meta_path[:] = map(Hiding, sys.meta_path)
"""

IMPORT_ALL = """
import importlib
import pkgutil

import cellrec_jax

PARTS = (
    "data", "io", "losses", "ops", "nn", "methods", "metrics", "workdir", "predict",
    "evaluate", "train", "rounds", "pseudo_masks", "study", "bench", "verbs", "doctor",
    "report", "score", "check", "models",
)
SKIPPED = (
    # TFDS classes, for `tfds build` alone.
    "cellrec_jax.data.builders.annotated_folder",
    "cellrec_jax.data.builders.bcdata",
    "cellrec_jax.data.builders.mitos_atypia14",
)
for part in PARTS:
    package = importlib.import_module(f"cellrec_jax.{part}")
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if found.name not in SKIPPED:
            importlib.import_module(found.name)
"""

BENCHMARKS = """
import importlib

BLOCKED += (
    "PIL", "matplotlib", "orjson", "h5py", "tifffile", "imagecodecs", "skimage", "torch"
)
from cellrec_jax.bench import __main__ as bench

for name in (*bench.STEPS, *bench.ON_DEVICE):
    importlib.import_module(f"cellrec_jax.bench.{name}")
import cellrec_jax.predict.compiled, cellrec_jax.workdir.model  # of predict, late
"""

CONFTEST = """
import runpy

BLOCKED += ("PIL", "h5py", "hypothesis", "orjson")
runpy.run_path(sys.argv[1])
"""

FROZEN = """
from cellrec_jax.bench import experiments, train

for flag, overrides in train.PRESETS.values():
    experiments.load(flag, overrides)
tiny = experiments.load(*train.PRESETS["tiny"])
assert (tiny.data.size_hw, tiny.options.model.post_nms_train) == ((64, 96), 50)
assert not set(BLOCKED) & set(sys.modules)
try:
    experiments.load("mitos_bde")  # of no benchmark
except ModuleNotFoundError as error:
    assert error.name == "ml_collections", error
else:
    raise AssertionError("loaded what is not frozen")
"""

ONE_BATCH = """
from cellrec_jax.data import arrays, example
from cellrec_jax.data.synthetic import source as synthetic

source = synthetic.open_source(3, (48, 64), seed=0)
spec = example.ExampleSpec(size_hw=(40, 56), max_cells=64, keep_rate=0.5)
stacked = arrays.stack(
    [example.prepare(source.load(i), spec) for i in source.image_ids])
batch = next(arrays.train_batches(arrays.to_device(stacked, 2**20), arrays.Order(2, 0)))
assert batch.image.shape == (2, 40, 56, 3), batch.image.shape
assert batch.points_mask.any()
"""

NOT_INSTALLED = """
from cellrec_jax import errors
from cellrec_jax.data.readers import prepared

try:
    prepared.open_prepared(sys.argv[1])
except errors.DataError as error:
    assert "pip install tensorflow-datasets" in str(error), error
else:
    raise AssertionError("opened without TFDS")
"""


def run(code: str, *args: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCK + code, *args],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_everything_but_the_builders_imports() -> None:
    run(IMPORT_ALL)


def test_benchmarks_need_little() -> None:
    run(BENCHMARKS)


def test_kernels_are_tested_without_what_reads_images() -> None:
    run(CONFTEST, str(Path(__file__).parent / "conftest.py"))


def test_frozen_configurations_of_benchmarks() -> None:
    run(FROZEN)


def test_one_batch_of_array_mode() -> None:
    run(ONE_BATCH)


def test_a_prepared_set_says_what_to_install(tmp_path) -> None:
    (tmp_path / "dataset_info.json").write_text("{}")
    run(NOT_INSTALLED, str(tmp_path))


TRAIN = """
import json
from pathlib import Path

import numpy as np

import cellrec_jax
from cellrec_jax import methods, run
from cellrec_jax.data.synthetic import source as synthetic

experiment = methods.from_json(json.loads(sys.argv[1]))
workdir = Path(sys.argv[2])
assert run.train_and_evaluate(experiment, workdir) == 0
image = synthetic.make_image(0, 9, size_hw=(96, 128)).image
cells = cellrec_jax.load(workdir).predict(image)
assert cells.points_yx.shape[1] == 2
assert not set(BLOCKED) & set(sys.modules)
"""


@pytest.mark.slow
def test_training_evaluation_and_prediction(tiny_experiment, tmp_path) -> None:
    run(TRAIN, json.dumps(config.to_json(tiny_experiment)), str(tmp_path / "run"))
