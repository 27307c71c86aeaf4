"""Four CPU devices, cores shared out, no silent broadcasting, no TensorFlow on GPUs.

What is compiled runs once or twice and on small arrays: it is compiled with few
optimisations, and kept in a folder that all processes of a test run share.
"""

from collections import Counter
from collections.abc import Callable, Iterator
import contextlib
import ctypes
import gc
import logging
import os
from pathlib import Path
import re
import shutil
import socket
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false",  # a third of the time; jaxlib 0.10 to 0.12
)
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR",
    os.path.join(tempfile.gettempdir(), f"cellrec-compiled-{os.getpid()}"),
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

import jax
import numpy as np
import pytest

from cellrec_jax import config, geometry, methods
from cellrec_jax.data.synthetic import source as synthetic
from cellrec_jax.types import Batch


def _take_share_of_cores() -> None:
    """Gives each of several test processes (`pytest -n`) cores of its own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if 1 < count <= len(cores):
        share = slice(worker * len(cores) // count, (worker + 1) * len(cores) // count)
        os.sched_setaffinity(0, cores[share])


_take_share_of_cores()  # before JAX makes its devices
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")

collect_ignore = ["fuzz.py", "mutants.py", "fingerprints.py", "layouts.py"]
collect_ignore += ["faults.py"]  # commands


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what one accelerator cannot do; CPUs are four devices."""
    needed = max((mark.args[0] for mark in item.iter_markers("devices")), default=1)
    if jax.device_count() < needed:
        pytest.skip(f"needs {needed} devices")
    if item.get_closest_marker("on_cpu") and jax.default_backend() != "cpu":
        pytest.skip("tells what is chosen on CPUs")


def pytest_unconfigure() -> None:
    """Deletes what was compiled, in the process that named its folder."""
    folder = Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    if folder.name == f"cellrec-compiled-{os.getpid()}":
        shutil.rmtree(folder, ignore_errors=True)


with contextlib.suppress(ModuleNotFoundError):  # not all tests need it
    import hypothesis

    hypothesis.settings.register_profile(
        "cellrec", derandomize=True, max_examples=50, deadline=None
    )
    hypothesis.settings.load_profile("cellrec")

TINY_MODEL = {
    "backbone": "tiny",
    "channels": 8,
    "rpn_channels": 8,
    "head_channels": 16,
    "min_level": 3,
    "merge": "add",
    "anchor_sizes": (32.0, 48.0, 64.0, 96.0),
    "anchor_ratios": (1.0,),
    "rpn_batch": 32,
    "pre_nms_train": 64,
    "post_nms_train": 32,
    "pre_nms_test": 64,
    "post_nms_test": 32,
    "roi_batch": 16,
    "roi_size": 3,
    "max_detections": 12,
}
"""A detector that compiles in seconds; the other options are the paper's."""


_MANY_MAPS = 30_000
_MUCH_MEMORY = 1.5 * 2**30
_PROCESS = Path("/proc/self")


@pytest.fixture
def free_port() -> int:
    """A port of this machine that nothing listens at."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module", autouse=True)
def _few_memory_maps() -> Iterator[None]:
    """Forgets compiled functions before they crash or fill the machine.

    Each holds about ten memory maps, of which Linux allows a process 65,530; XLA's
    compiler ends with a segmentation fault when it gets no more.
    """
    yield
    if not (_PROCESS / "statm").exists():
        return
    pages = int((_PROCESS / "statm").read_text().split()[1])
    held = pages * os.sysconf("SC_PAGE_SIZE")
    maps = (_PROCESS / "maps").read_bytes().count(b"\n")
    if maps > _MANY_MAPS or held > _MUCH_MEMORY:
        jax.clear_caches()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # of glibc: gives freed memory back


class Compilations(logging.Handler):
    """Counts programs as JAX tells of them: also those that a cache on disk has."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.names: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        if found := re.match(r"Compiling (\S+) with", record.getMessage()):
            self.names[found[1]] += 1

    @property
    def steps(self) -> int:
        """Training steps; `jax.pmap` calls all that it maps alike."""
        return self.names["jit(_fun)"]

    @property
    def predictions(self) -> int:
        """Predictions of windows."""
        return self.names["jit(predict)"]


@contextlib.contextmanager
def _count_compilations() -> Iterator[Compilations]:
    logger, handler = logging.getLogger("jax._src.interpreters.pxla"), Compilations()
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.fixture(scope="session")
def count_compilations() -> Callable[
    [], contextlib.AbstractContextManager[Compilations]
]:
    """A context that counts what is compiled in it, by name."""
    return _count_compilations


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def tiny_model() -> dict:
    return dict(TINY_MODEL)


@pytest.fixture(scope="session")
def tiny_overrides() -> list[str]:
    """Flags that turn `ki67_bde:demo_paper` into a run of seconds on four devices."""
    flat = {f"model.{key}": value for key, value in TINY_MODEL.items()}
    flat |= {
        "total_steps": 4,
        "data.synthetic_train": 4,
        "data.synthetic_val": 2,
        "data.synthetic_test": 2,
        "data.synthetic_hw": (96, 128),
        "data.size_hw": (96, 128),
        "data.crop_hw": (64, 64),
        "data.keep_rate": 0.5,
        "checkpoint.every": 2,
        "log.every": 1,
        "eval.bootstrap": 20,
        "optim.warmup_steps": 0,
    }
    return [
        f"--config.{key}="
        + (",".join(map(str, value)) if isinstance(value, tuple) else str(value))
        for key, value in flat.items()
    ]


@pytest.fixture(scope="session")
def tiny_experiment() -> config.Experiment:
    """The same as dataclasses, for use from Python."""
    return methods.freeze(
        {
            "method": "calibrated_rcnn",
            "total_steps": 4,
            "batch_size": 4,
            "model": TINY_MODEL,
            "data": {
                "classes": "tumour=positive+negative",
                "synthetic_train": 4,
                "synthetic_val": 2,
                "synthetic_test": 2,
                "synthetic_hw": (96, 128),
                "size_hw": (96, 128),
                "crop_hw": (64, 64),
            },
            "checkpoint": {"every": 2},
            "log": {"every": 1},
            "eval": {"bootstrap": 20},
        }
    )


@pytest.fixture
def tiny_batch(rng: np.random.Generator) -> Batch:
    """Four images 64 x 96 with 3, 0, 1 and 2 cells of two classes, 5 slots each."""
    height, width, slots = 64, 96, 5
    points = rng.uniform((12, 16), (52, 80), (4, slots, 2)).astype(np.float32)
    mask = np.arange(slots) < np.array([[3], [0], [1], [2]])
    labels = np.where(mask, rng.integers(0, 2, mask.shape), -1).astype(np.int32)
    return Batch(
        image=rng.uniform(0, 1, (4, height, width, 3)).astype(np.float32),
        image_mask=np.ones(4, bool),
        points_yx=points,
        labels=labels,
        points_mask=mask,
        boxes_yxyx=geometry.boxes_around(points, (24, 28)).astype(np.float32),
        valid=np.ones((4, height, width), bool),
        example_index=np.arange(4, dtype=np.int32),
    )


@pytest.fixture(scope="session")
def bcdata_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six generated images 96 x 128 in BCData's layout, ids 0 to 5."""
    import h5py  # late, as Pillow: kernels are tested without them
    from PIL import Image

    root = tmp_path_factory.mktemp("bcdata")
    for kind in ("positive", "negative"):
        (root / "annotations" / kind).mkdir(parents=True)
    (root / "images").mkdir()
    for index in range(6):
        record = synthetic.make_image(7, index, size_hw=(96, 128))
        Image.fromarray(record.image).save(root / "images" / f"{index}.png")
        for label, kind in enumerate(("positive", "negative")):
            points_xy = record.points_yx[record.labels == label][:, ::-1]
            path = root / "annotations" / kind / f"{index}.h5"
            with h5py.File(path, "w") as file:
                file["coordinates"] = points_xy.astype(np.int64)
    return root


@pytest.fixture(scope="session")
def trained(
    tiny_overrides: list[str],
    bcdata_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Work directory of a run of four steps on the folder; do not write to it."""
    from cellrec_jax import main  # late: kernels are tested without ml_collections

    workdir = tmp_path_factory.mktemp("trained")
    arguments = ["--config", "ki67_bde:demo_paper", "--workdir", str(workdir)]
    arguments += tiny_overrides
    arguments += [f"--config.data.root={bcdata_folder}", "--config.data.train_ids=0-3"]
    arguments += ["--config.data.val_ids=4", "--config.data.test_ids", "5"]
    with _count_compilations() as found:
        assert main.run(arguments) == 0
    # Or known from an earlier test.
    assert max(found.steps, found.predictions) <= 1, found.names
    return workdir


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real annotated sets; skips where there is none."""
    named = os.environ.get("CELLREC_REAL_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real images: set CELLREC_REAL_DATA to their folder")
    return folder
