"""`python -m cellrec_jax.bench NAME|all`: runs benchmarks; asserts nothing."""

import argparse
from collections.abc import Sequence
import importlib
import os
from pathlib import Path
import sys

from rich.console import Console

from cellrec_jax import errors
from cellrec_jax.bench import report

_PLAIN_WIDTH = 120  # characters a line where there is no terminal

BENCHMARKS = {
    "train": "cellrec_jax.bench.train",  # first, for its peak of memory
    "data": "cellrec_jax.bench.data",
    "density": "cellrec_jax.bench.density",
    "nms": "cellrec_jax.bench.nms",
    "roi_align": "cellrec_jax.bench.roi_align",
}
"""Name -> module, imported when it is asked for; each has run(settings, say)."""


def _numbers(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise argparse.ArgumentTypeError(f"{text}: give whole numbers above 0")
    return tuple(map(int, words))


def _positive(text: str) -> int:
    numbers = _numbers(text)
    if len(numbers) > 1:
        raise argparse.ArgumentTypeError(f"{text}: give one number")
    return numbers[0]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cellrec_jax.bench",
        description="Measures kernels, training steps and data on this machine.",
    )
    parser.add_argument("name", choices=(*BENCHMARKS, "all"))
    parser.add_argument(
        "--sizes", type=_numbers, default=(), help="256,1024,...: see each benchmark"
    )
    parser.add_argument("--repeats", type=_positive, default=7, help="samples (7)")
    parser.add_argument(
        "--steps", type=_positive, default=0, help="training steps, batches a sample"
    )
    parser.add_argument("--batch-size", type=_positive, default=0)
    parser.add_argument(
        "--presets", type=_words, default=(), help="train: tiny,demo,small,paper,..."
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures here")
    flags = parser.parse_args(arguments)
    if flags.name == "all" and flags.sizes:
        parser.error("--sizes means something else to each benchmark: name one")
    return flags


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmarks that a command line names.

    Args:
      arguments: without the program's name; None takes those of the process.

    Returns:
      0, or 1 if a benchmark failed (the others still run, and are written).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    flags = _parse(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PLAIN_WIDTH)
    facts = report.machine()
    console.print(report.machine_line(facts), markup=False, highlight=False)
    settings = report.Settings(
        sizes=flags.sizes,
        repeats=flags.repeats,
        steps=flags.steps,
        batch_size=flags.batch_size,
        presets=flags.presets,
    )
    reports: dict[str, report.Report] = {}
    failed = False
    for name in BENCHMARKS if flags.name == "all" else (flags.name,):
        reports[name], ok = _run_one(name, settings)
        failed |= not ok
        report.show(name, reports[name], console)
        if flags.json:  # after each, so that a run that is stopped leaves some
            report.write_json(flags.json, facts, reports)
    return int(failed)


def _run_one(name: str, settings: report.Settings) -> tuple[report.Report, bool]:
    try:
        module = importlib.import_module(BENCHMARKS[name])
    except ModuleNotFoundError as error:
        return report.Report((), (f"skipped: {error.name} is not installed",)), True
    try:
        return module.run(settings, _say), True
    except errors.UserError:
        raise
    except Exception as error:  # out of memory, say: the others can still run
        what = str(error).strip().partition("\n")[0]
        return report.Report((), (f"failed: {type(error).__name__}: {what}",)), False


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def cli() -> None:
    """Entry point of the module."""
    try:
        sys.exit(run())
    except errors.UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)


if __name__ == "__main__":
    cli()
