"""How often a run compiles: one training step a network, one prediction a shape.

Those of rounds are counted in tests/rounds.
"""

from collections import Counter
import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow
_SMALL = {
    "data.synthetic_train": 2,
    "data.synthetic_val": 1,
    "data.synthetic_test": 2,
    "total_steps": 2,
    "eval.bootstrap": 10,
    "eval.overlays": 0,
}


@pytest.mark.parametrize(
    ("demo", "networks", "own"),
    [
        ("ki67_bde:demo_paper", 1, {}),
        ("pdl1_point:demo", 1, {}),
        (
            "cytoplasm_multitask:demo",
            2,
            {"prior.steps": 2},
        ),  # the prior's, then the whole
    ],
)
def test_a_demo_compiles_each_program_once(demo, networks, own, tmp_path):
    """In a process of its own, which keeps nothing from other tests or runs."""
    command = [sys.executable, "-m", "cellrec_jax.main", "--config", demo]
    command += ["--workdir", str(tmp_path), "--cache", "off"]
    command += [f"--config.{key}={value}" for key, value in {**_SMALL, **own}.items()]
    environment = {**os.environ, "JAX_LOG_COMPILES": "1"}
    ran = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    compiled = Counter(re.findall(r"Compiling (\S+) with", ran.stderr))
    assert compiled["jit(_fun)"] == networks, compiled
    assert compiled["jit(predict)"] == 1, compiled
