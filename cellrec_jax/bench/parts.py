"""What `bench device` runs, in order of worth: commands, and seconds for each."""

from collections.abc import Mapping
import os
from pathlib import Path
import shlex
import sys
from typing import NamedTuple

TOTAL_S = 450.0
"""Seconds for all parts, so that 8 minutes hold what starts and ends them."""
TRACED = 20
"""Steps of the trace, where nothing else is said."""
_NO_POOL = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # leaves PyTorch its memory
_KEPT = ("CUDA_VISIBLE_DEVICES", "XLA_FLAGS")  # what the user set
_EXACT = {"JAX_DEFAULT_MATMUL_PRECISION": "highest"}  # what tests compare needs it


class Part(NamedTuple):
    """A process of its own."""

    name: str
    seconds: float
    """Its share: it is stopped then. What others leave over goes to the last ones."""
    command: tuple[str, ...]
    environment: Mapping[str, str] = {}
    makes: str = ""
    """The benchmark whose rows it adds; "" for tests."""


def listed(out: Path, quick: bool, profile: int) -> list[Part]:
    """All parts. `profile` steps are traced, 0 is none; `quick` takes tiny sizes."""
    tests = ("tests/ops/test_boxes.py",) if quick else ("tests/ops", "tests/losses")
    found = [_tests(out, tests)]
    for name, (seconds, full, tiny) in _BENCHMARKS.items():
        benchmark = _benchmark(name)
        if benchmark == "trace" and not profile:
            continue
        flags = shlex.split(tiny if quick else full)
        if benchmark == "trace":
            flags += ["--steps", str(profile), "--trace", str(out / "trace")]
        flags += ["--json", str(out / "parts" / f"{name}.json")]
        run = (sys.executable, "-m", "cellrec_jax.bench", benchmark, *flags)
        environment = _NO_POOL if benchmark == "torch_steps" else {}
        found.append(Part(name, seconds, run, environment, benchmark))
    # A trial is of the script, not of the machine: there only the total counts.
    return [one._replace(seconds=TOTAL_S) for one in found] if quick else found


def environment(out: Path, quick: bool) -> dict[str, str]:
    """Of all parts: one GPU, and programs that several parts have compiled once."""
    here = str(Path(__file__).parents[2])
    before = os.environ.get("PYTHONPATH")
    changes = {
        "PYTHONPATH": os.pathsep.join(filter(None, (here, before))),
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # Tests hide GPUs unless this is set.
        "CUDA_VISIBLE_DEVICES": "0",
        "JAX_COMPILATION_CACHE_DIR": str((out / "compiled").resolve()),
    }
    if quick:  # what runs once is compiled with few optimisations
        changes["XLA_FLAGS"] = (
            "--xla_backend_optimization_level=0 "
            "--xla_llvm_disable_expensive_passes=true"
        )
    own = {key: os.environ[key] for key in _KEPT if key in os.environ}
    return {**os.environ, **changes, **own}


_KERNEL = "--limit-s 0.3 --budget-s 15"
"""A call that takes longer tells little on a GPU, and costs 20 times as much."""
_TINY = "--batch-size 1 --repeats 2"
_BENCHMARKS = {
    "steps_bfloat16": (
        *(120.0, "--full --presets bfloat16 --budget-s 80"),
        "--presets bfloat16 --sizes 2 --steps 2",
    ),
    "steps_float32": (
        *(100.0, "--full --presets float32 --budget-s 60"),
        "--presets float32 --sizes 2 --steps 2",
    ),
    "predict": (
        *(50.0, "--full --presets ours --repeats 20"),
        "--presets ours --sizes 64x96 --repeats 2",
    ),
    "density": (30.0, f"{_KERNEL} --batch-size 1", f"--sizes 64 {_TINY}"),
    "matching_step": (30.0, _KERNEL, f"--sizes 64 {_TINY}"),
    "points": (30.0, _KERNEL, f"--sizes 64 {_TINY}"),
    "pu": (30.0, _KERNEL, f"--sizes 64 {_TINY}"),
    "matching_auto": (30.0, _KERNEL, f"--sizes 16 {_TINY}"),
    "torch_steps": (
        *(60.0, "--full --budget-s 40"),
        "--presets float32 --sizes 1 --steps 1",
    ),
    "trace": (40.0, "--full", "--presets float32"),
    "large": (60.0, "", "--sizes 300 --repeats 1 --presets 'file to cells'"),
    "matching": (30.0, _KERNEL, f"--sizes 64 {_TINY}"),
    "predict_rows": (
        *(90.0, "--full --repeats 10 --budget-s 60"),
        "--presets fcrn_a --sizes 64x96 --repeats 2",
    ),
}
"""Part -> seconds, flags, flags of a quick trial."""


def _benchmark(name: str) -> str:
    prefixes = ("steps", "predict")
    return next((p for p in prefixes if name.startswith(f"{p}_")), name)


def _tests(out: Path, folders: tuple[str, ...]) -> Part:
    """Tests of kernels on the device."""
    path = (out / "parts" / "tests.xml").resolve()
    plugins = ("-p", "no:cacheprovider", "-p", "cellrec_jax.bench.skip_missing")
    flags = ("-q", "-m", "not slow", *plugins, f"--junitxml={path}", *folders)
    return Part("tests", 100.0, (sys.executable, "-m", "pytest", *flags), _EXACT)
