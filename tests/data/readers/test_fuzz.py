"""Mutated sets of every format are read or refused; `tests/fuzz.py` tries more."""

import importlib.util
from pathlib import Path
import sys

import pytest

_PATH = Path(__file__).parents[2] / "fuzz.py"
_SPEC = importlib.util.spec_from_file_location("fuzz", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
fuzz = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = fuzz
_SPEC.loader.exec_module(fuzz)


@pytest.mark.parametrize("name", fuzz._WRITERS)
def test_sets_as_written_are_read(name: str, tmp_path: Path) -> None:
    fuzz.write_set(tmp_path, name)
    assert fuzz.check(tmp_path, name) == "read"


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_mutated_sets(first: int, tmp_path: Path) -> None:
    outcomes = [fuzz.run(seed, tmp_path) for seed in range(first, first + 50)]
    assert set(outcomes) == {"read", "refused"}
