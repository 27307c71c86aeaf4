"""Checkpoints in gs://, of a bucket that a local server plays."""

import json
import shutil
import subprocess
import sys
from typing import NamedTuple

from etils import epath
import jax
import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.config import CheckpointConfig
from cellrec_jax.workdir import checkpoint
from tests import fake_gcs, layouts


class State(NamedTuple):
    step: np.ndarray
    weights: dict[str, np.ndarray]


def _state(step: int) -> State:
    weights = {"w": np.arange(6, dtype=np.float32).reshape(2, 3) + step}
    return State(np.int32(step), weights)


def test_saved_and_read_where_nothing_can_be_renamed(tmp_path):
    workdir = epath.Path("gs://bucket/run")
    with fake_gcs.serve(tmp_path):
        with checkpoint.open_manager(workdir, CheckpointConfig()) as manager:
            for step in (1, 2):
                checkpoint.save(manager, _state(step), {"about": step})
        assert (tmp_path / "bucket/run/checkpoints/2/state/manifest.ocdbt").exists()
        assert checkpoint.complete_steps(workdir) == [1, 2]
        with checkpoint.open_manager(
            workdir, CheckpointConfig(), read_only=True
        ) as manager:
            saved = checkpoint.restore(manager, _state(0), 2)
        assert saved.meta == {"about": 2}
        assert jax.tree.all(jax.tree.map(np.array_equal, saved.state, _state(2)))

        # One that was killed while it was written has no such file.
        (tmp_path / "bucket/run/checkpoints/2/commit_success.txt").unlink()
        assert checkpoint.complete_steps(workdir) == [1]


RUN = """
import sys
from pathlib import Path
from tests import fake_gcs, layouts

with fake_gcs.serve(Path(sys.argv[1])):
    from cellrec_jax import main

    sys.exit(main.run(sys.argv[2:]))
"""


@pytest.mark.slow
def test_a_run_lies_in_a_bucket_and_goes_on_there(tmp_path):
    command = layouts.arguments("density_map", "gs://bucket/runs/a")
    run = tmp_path / "bucket" / "runs" / "a"
    for _ in range(2):  # then from the step before the last
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(tmp_path), *command], check=False
        )
        assert done.returncode == 0
        rows = (run / "metrics.jsonl").read_text().splitlines()
        steps = [json.loads(row)["step"] for row in rows]
        assert steps[:3] == [1, 2, 3]
        assert (run / "predictions" / "detections.csv").exists()
        shutil.rmtree(run / "checkpoints" / "3")


def test_the_client_that_orbax_needs_is_named(monkeypatch):
    monkeypatch.setattr(checkpoint, "_installed", lambda _: False)
    with pytest.raises(errors.ConfigError, match="pip install google-cloud-storage"):
        checkpoint.open_manager(epath.Path("gs://bucket/run"), CheckpointConfig())
