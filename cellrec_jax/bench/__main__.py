"""`python -m cellrec_jax.bench NAME|all`: runs benchmarks; asserts nothing."""

import argparse
from collections.abc import Sequence
import importlib
import math
import os
from pathlib import Path
import sys

from cellrec_jax import errors
from cellrec_jax.bench import plot, report

BENCHMARKS = {
    "train": "cellrec_jax.bench.train",  # first, for its peak of memory
    "predict": "cellrec_jax.bench.predict",
    "data": "cellrec_jax.bench.data",
    "convolution": "cellrec_jax.bench.convolution",
    "density": "cellrec_jax.bench.density",
    "pu": "cellrec_jax.bench.pu",
    "points": "cellrec_jax.bench.points",
    "matching": "cellrec_jax.bench.matching",
    "matching_step": "cellrec_jax.bench.matching_step",
    "ranking": "cellrec_jax.bench.ranking",
    "refine": "cellrec_jax.bench.refine",
    "rounds": "cellrec_jax.bench.rounds",
    "nms": "cellrec_jax.bench.nms",
    "roi_align": "cellrec_jax.bench.roi_align",
}
"""Name -> module, imported when it is asked for; each has run(settings, say)."""


def _sizes(text: str) -> tuple[tuple[int, ...], ...]:
    """One number each, or a height and a width."""
    words = [word.split("x") for word in text.split(",")]
    right = all(w.isdecimal() and int(w) > 0 for word in words for w in word)
    if not right or max(map(len, words)) > 2:
        raise argparse.ArgumentTypeError(
            f"{text}: give whole numbers above 0, or HEIGHTxWIDTH for predict"
        )
    return tuple(tuple(map(int, word)) for word in words)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give one whole number above 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: give seconds above 0")
    return seconds


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cellrec_jax.bench",
        description="Measures kernels, training steps and data on this machine.",
    )
    parser.add_argument("name", choices=(*BENCHMARKS, "all"))
    parser.add_argument(
        "--sizes",
        type=_sizes,
        default=(),
        help="256,1024,...: see each benchmark; predict: 640x640,1080x1920,...",
    )
    parser.add_argument(
        "--repeats", type=_positive, default=0, help="samples (kernels 20, others 7)"
    )
    parser.add_argument(
        "--steps", type=_positive, default=0, help="training steps, batches a sample"
    )
    parser.add_argument("--batch-size", type=_positive, default=0)
    parser.add_argument(
        "--presets",
        type=_words,
        default=(),
        help="train: tiny,demo,small,paper,...; refine: small,alexnet; "
        "predict: ours,p2pnet,deeplab,...",
    )
    parser.add_argument(
        "--full", action="store_true", help="predict: networks of published size"
    )
    parser.add_argument(
        "--limit-s", type=_seconds, default=2.0, help="slower kernels are left out (2)"
    )
    parser.add_argument(
        "--budget-s",
        type=_seconds,
        default=math.inf,
        help="a kernel's sizes after this are left out",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures here")
    parser.add_argument(
        "--plot", type=Path, metavar="DIR", help="draw DIR/KERNEL.png of each kernel"
    )
    flags = parser.parse_args(arguments)
    if flags.name == "all" and flags.sizes:
        parser.error("--sizes means something else to each benchmark: name one")
    if flags.name != "predict" and any(len(size) > 1 for size in flags.sizes):
        parser.error(f"--sizes HEIGHTxWIDTH is for predict, not {flags.name}")
    return flags


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmarks that a command line names.

    Args:
      arguments: without the program's name; None takes those of the process.

    Returns:
      0, or 1 if a benchmark failed or a kernel was wrong (the others still run, and are
      written).

    Raises:
      UserError: if a file cannot be written, or drawing is asked for without
        Matplotlib.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    flags = _parse(arguments)
    if flags.plot:
        plot.require_matplotlib()
    facts = report.machine()
    _write(report.machine_line(facts))
    settings = report.Settings(
        sizes=tuple(size[0] for size in flags.sizes),
        sizes_hw=tuple((size[0], size[-1]) for size in flags.sizes),
        full=flags.full,
        repeats=flags.repeats,
        steps=flags.steps,
        batch_size=flags.batch_size,
        presets=flags.presets,
        limit_s=flags.limit_s,
        budget_s=flags.budget_s,
    )
    reports: dict[str, report.Report] = {}
    failed = False
    for name in BENCHMARKS if flags.name == "all" else (flags.name,):
        reports[name], ok = _run_one(name, settings)
        failed |= not ok
        report.show(name, reports[name], _write)
        if flags.json:  # after each, so that a run that is stopped leaves some
            report.write_json(flags.json, facts, reports)
        if flags.plot and reports[name].x:
            plot.draw(flags.plot / f"{name}.png", name, reports[name], facts)
    return int(failed)


def _run_one(name: str, settings: report.Settings) -> tuple[report.Report, bool]:
    try:
        module = importlib.import_module(BENCHMARKS[name])
    except ModuleNotFoundError as error:
        return report.Report((), (f"skipped: {error.name} is not installed",)), True
    try:
        found = module.run(settings, _say)
    except errors.UserError:
        raise
    except Exception as error:  # out of memory, say: the others can still run
        what = str(error).strip().partition("\n")[0]
        return report.Report((), (f"failed: {type(error).__name__}: {what}",)), False
    return found, not found.wrong


def _write(text: str) -> None:
    print(text, flush=True)  # noqa: T201


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
