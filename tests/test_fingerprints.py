"""What a preset's step does changes only where its file is renewed."""

import importlib.util
import json
from pathlib import Path
import sys

import jax
import pytest

_PATH = Path(__file__).with_name("fingerprints.py")
_SPEC = importlib.util.spec_from_file_location("fingerprints", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
fingerprints = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = fingerprints
_SPEC.loader.exec_module(fingerprints)


@pytest.mark.slow
@pytest.mark.parametrize("name", fingerprints.PRESETS)
def test_the_step_is_as_it_was(name):
    before = json.loads(fingerprints.path_of(name).read_text())
    if before["jax"] != jax.__version__:
        pytest.skip(f"of jax {before['jax']}; this is {jax.__version__}")
    lines = fingerprints.differences(before, fingerprints.fingerprint(name))
    assert not lines, f"{lines}; if meant: python tests/fingerprints.py --write {name}"


def test_more_than_a_tenth_is_a_difference():
    before = {"jax": "1", "flops": 100.0, "loops": 0, "parameters": {"w": [2, 3]}}
    same = {**before, "flops": 109.0}
    other = {"flops": 111.0, "loops": 1, "parameters": {"w": [3, 2], "b": [3]}}
    assert fingerprints.differences(before, same) == []
    assert fingerprints.differences(before, {**before, **other}) == [
        "flops: 100 -> 111",
        "loops: 0 -> 1",
        "parameter b: None -> [3]",
        "parameter w: [2, 3] -> [3, 2]",
    ]
