"""What configs/pdl1_point.py promises of the demo of matched points."""

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_demo_finds_cells_and_tells_their_classes(tmp_path):
    """After 300 of its 500 steps."""
    command = [sys.executable, "-m", "cellrec_jax.main", "--config", "pdl1_point:demo"]
    command += ["--workdir", str(tmp_path), "--config.total_steps=300"]
    # Compiled as a user's: the tests' few optimisations make its steps slow.
    env = {name: text for name, text in os.environ.items() if name != "XLA_FLAGS"}
    subprocess.run(command, check=True, capture_output=True, env=env)
    found = json.loads((tmp_path / "results.json").read_text())["metrics"]
    assert found["detection_F1@12px"]["value"] >= 0.85
    assert found["class_F1@12px"]["value"] >= 0.7
    assert found["TPS_mae"]["value"] <= 0.1
    assert found["detection_F1@12px"]["num_truth"] > 100
