"""Two processes with two devices each give the numbers of one with four, to the end."""

import json
import socket
import subprocess
import sys

import numpy as np
import pytest

from cellrec_jax import config

CODE = """
import json
import sys
from pathlib import Path

import jax

workdir, number, index, port, text = sys.argv[1:]
jax.config.update("jax_num_cpu_devices", 4 // int(number))
if int(number) > 1:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", int(number), int(index))
assert jax.device_count() == 4

import numpy as np

from cellrec_jax import methods, run
from cellrec_jax.workdir import model

experiment = methods.from_json(json.loads(text))
assert run.train_and_evaluate(experiment, Path(workdir)) == 0
leaves = jax.tree.leaves(model.restore(Path(workdir)).params)
if int(index) == 0:
    np.savez(Path(workdir) / "params.npz", *leaves)
"""


def _train(workdir, number, experiment):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    workdir.mkdir()
    text = json.dumps(config.to_json(experiment))
    rest = [str(port), text]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, str(workdir), str(number), str(index), *rest],
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(number)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors[-2000:]
    with np.load(workdir / "params.npz") as archive:
        return [archive[name] for name in archive.files]


@pytest.mark.slow
def test_two_processes_equal_one(tiny_experiment, tmp_path):
    one = _train(tmp_path / "one", 1, tiny_experiment)
    two = _train(tmp_path / "two", 2, tiny_experiment)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    steps = {p.name for p in (tmp_path / "two" / "checkpoints").iterdir()}
    assert {"2", "4"} <= steps
    found = [
        json.loads((tmp_path / name / "results.json").read_text())["metrics"]
        for name in ("one", "two")
    ]
    assert found[0].keys() == found[1].keys()
    assert found[0]["F1@12px"]["value"] is not None
