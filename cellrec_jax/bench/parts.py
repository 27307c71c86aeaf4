"""What `bench device` runs, in order of worth: commands, and seconds for each."""

from collections.abc import Mapping, Sequence
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
    required: bool = False
    """Whether to be skipped is to fail."""
    needs: tuple[str, ...] = ()
    """Packages without which it is skipped."""


def listed(out: Path, quick: bool, profile: int) -> list[Part]:
    """All parts. `profile` steps are traced, 0 is none; `quick` takes tiny sizes."""
    found = []
    for name, (seconds, full, tiny) in _PARTS.items():
        if name == "tests":
            paths = shlex.split(tiny if quick else full)
            found.append(_tests(out, seconds, paths, quick))
            continue
        benchmark = _benchmark(name)
        if benchmark == "trace" and not profile:
            continue
        flags = shlex.split(tiny if quick else full)
        if benchmark == "trace":
            flags += ["--steps", str(profile), "--trace", str(out / "trace")]
        flags += ["--json", str(out / "parts" / f"{name}.json")]
        run = (sys.executable, "-m", "cellrec_jax.bench", benchmark, *flags)
        environment = _NO_POOL if benchmark == "torch_steps" else {}
        required = benchmark == "steps"
        found.append(Part(name, seconds, run, environment, benchmark, required))
    # A trial is of the script, not of the machine: there only the total counts.
    return [one._replace(seconds=TOTAL_S) for one in found] if quick else found


def environment(out: Path, quick: bool) -> dict[str, str]:
    """Of all parts: one GPU, and programs that several parts have compiled once."""
    here = str(Path(__file__).parents[2])
    before = os.environ.get("PYTHONPATH")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    changes = {
        "PYTHONPATH": os.pathsep.join(filter(None, (here, before))),
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # Tests hide GPUs unless this is set; of several the first is measured.
        "CUDA_VISIBLE_DEVICES": visible.partition(",")[0],
        "JAX_COMPILATION_CACHE_DIR": str((out / "compiled").resolve()),
    }
    if quick and "XLA_FLAGS" not in os.environ:  # it runs once: few optimisations
        changes["XLA_FLAGS"] = (
            "--xla_backend_optimization_level=0 "
            "--xla_llvm_disable_expensive_passes=true"
        )
    return {**os.environ, **changes}


_KERNEL = "--limit-s 0.3 --budget-s 10"
"""A call that takes longer tells little on a GPU, and costs 20 times as much."""
_LARGE_FIRST = f"{_KERNEL} --sizes 10000000,1000000"
_TINY = "--batch-size 1 --repeats 2 --budget-s 1"  # one size each
_PARTS = {
    "steps_bfloat16": (
        *(105.0, "--full --presets bfloat16 --budget-s 70"),
        "--presets bfloat16 --sizes 2 --steps 2",
    ),
    "torch_steps": (
        *(45.0, "--full --budget-s 30"),
        "--presets float32 --sizes 1 --steps 1",
    ),
    "steps_float32": (
        *(70.0, "--full --presets float32 --budget-s 45"),
        "--presets float32 --sizes 2 --steps 2",
    ),
    "density": (
        *(30.0, "--limit-s 0.3 --budget-s 18 --batch-size 1"),
        f"--sizes 64 {_TINY}",
    ),
    "matching_auto": (35.0, "--limit-s 0.3 --budget-s 25", f"--sizes 16 {_TINY}"),
    "predict": (
        *(40.0, "--full --presets ours --repeats 20"),
        "--presets ours --sizes 64x96 --repeats 2",
    ),
    "tests": (45.0, "tests/ops tests/losses", "tests/ops/test_boxes.py"),
    "points": (20.0, _LARGE_FIRST, f"--sizes 64 {_TINY}"),
    "pu": (20.0, _LARGE_FIRST, f"--sizes 64 {_TINY}"),
    "matching_step": (20.0, _KERNEL, f"--sizes 64 {_TINY}"),
    "trace": (20.0, "--full", "--presets float32"),
    "large": (60.0, "", "--sizes 300 --repeats 1 --presets 'file to cells'"),
    "slide": (
        *(90.0, "--sizes 20000 --repeats 1"),
        "--sizes 600 --repeats 1 --presets 'slide to files'",
    ),
    "matching": (30.0, _KERNEL, f"--sizes 64 {_TINY}"),
    "predict_rows": (
        *(90.0, "--full --repeats 10 --budget-s 60"),
        "--presets fcrn_a --sizes 64x96 --repeats 2",
    ),
}
"""Part -> seconds, flags (of tests: paths), flags of a quick trial."""
LAST = ("large", "slide", "matching", "predict_rows")
"""They get what the others leave over: the shares of those fill the time."""


def _benchmark(name: str) -> str:
    prefixes = ("steps", "predict")
    return next((p for p in prefixes if name.startswith(f"{p}_")), name)


def _tests(out: Path, seconds: float, paths: Sequence[str], quick: bool) -> Part:
    """Tests of kernels on the device, compiled as users do unless it is a trial."""
    path = (out / "parts" / "tests.xml").resolve()
    plugins = ("-p", "no:cacheprovider", "-p", "cellrec_jax.bench.skip_missing")
    flags = ("-q", "-m", "not slow", *plugins, f"--junitxml={path}", *paths)
    run = (sys.executable, "-m", "pytest", *flags)
    # Set, though empty: else tests have few optimisations.
    compiled = {} if quick else {"XLA_FLAGS": os.environ.get("XLA_FLAGS", "")}
    return Part("tests", seconds, run, {**_EXACT, **compiled}, needs=("pytest",))
