"""`python -m cellrec_jax.bench NAME|all`: runs benchmarks; asserts nothing."""

import argparse
from collections.abc import Callable, Sequence
import dataclasses
import importlib
import math
import os
from pathlib import Path
import sys
from typing import TypeVar

from cellrec_jax import errors
from cellrec_jax.bench import kernel, machine, plot, report
from cellrec_jax.bench.kernels import KERNELS

STEPS = (
    *("train", "predict", "large", "slide", "data", "refine", "rounds", "decoders"),
    "coverage",
)
"""Modules beside this one, imported when they are asked for; each has
run(settings, say). train is the first of all, for its peak of memory."""
NAMES = (*STEPS[:5], *KERNELS, *STEPS[5:])
ON_DEVICE = ("steps", "torch_steps", "trace")
"""More of them, for an accelerator: "all" leaves them out."""
COMMANDS = ("device", "apply", "freeze", "collectives")
"""Modules beside this one with flags of their own: command(arguments) -> exit code."""
_OF_IMAGES = ("predict", "large", "slide", "decoders")

Number = TypeVar("Number", int, float)


def _sizes(text: str) -> tuple[tuple[int, ...], ...]:
    """One number each, or a height and a width."""
    words = [word.split("x") for word in text.split(",")]
    right = all(w.isdecimal() and int(w) > 0 for word in words for w in word)
    if not right or max(map(len, words)) > 2:
        raise argparse.ArgumentTypeError(
            f"{text}: give whole numbers above 0, or HEIGHTxWIDTH for predict"
        )
    return tuple(tuple(map(int, word)) for word in words)


def _positive(kind: type[Number], words: str) -> Callable[[str], Number]:
    def parse(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            value = kind(0)
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text}: give {words} above 0")
        return value

    return parse


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(map(Path, text.split(",")))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cellrec_jax.bench",
        description="Measures kernels, training steps and data on this machine.",
    )
    number, seconds = _positive(int, "one whole number"), _positive(float, "seconds")
    add = parser.add_argument
    add("name", choices=(*NAMES, *ON_DEVICE, "all"))
    sizes = "256,1024,...: see each benchmark; of images and slides: 640x640,..."
    add("--sizes", type=_sizes, default=(), help=sizes)
    repeats = "samples (kernels 20, others 7)"
    add("--repeats", type=number, default=0, help=repeats)
    steps = "training steps, batches a sample"
    add("--steps", type=number, default=0, help=steps)
    add("--batch-size", type=number, default=0)
    profile = "train: trace STEPS steps and print where their time goes"
    add("--profile", type=number, default=0, metavar="STEPS", help=profile)
    presets = (
        "train: tiny,demo,small,paper,...; steps: float32,bfloat16; refine: "
        "small,alexnet; predict: ours,p2pnet,deeplab,...; large, slide: its rows; "
        "decoders: ours,dynamic,full"
    )
    results = "coverage: all_scores.npz of evaluations; a simulated one without"
    add("--results", type=_paths, default=(), metavar="FILE,FILE", help=results)
    add("--presets", type=lambda s: tuple(s.split(",")), default=(), help=presets)
    full = "predict, decoders, steps, trace: networks of published size"
    add("--full", action="store_true", help=full)
    limit = "slower kernels are left out (2)"
    add("--limit-s", type=seconds, default=2.0, help=limit)
    budget = "a kernel's sizes after this are left out"
    add("--budget-s", type=seconds, default=math.inf, help=budget)
    add("--json", type=Path, metavar="FILE", help="write figures here")
    add("--trace", type=Path, metavar="DIR", help="trace: writes it here")
    drawn = "draw DIR/KERNEL.png of each kernel"
    add("--plot", type=Path, metavar="DIR", help=drawn)
    flags = parser.parse_args(arguments)
    if flags.name == "all" and flags.sizes:
        parser.error("--sizes means something else to each benchmark: name one")
    if flags.name not in _OF_IMAGES and any(len(size) > 1 for size in flags.sizes):
        known = ", ".join(_OF_IMAGES)
        parser.error(f"--sizes HEIGHTxWIDTH is for {known}, not {flags.name}")
    return flags


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmarks that a command line names.

    Without the program's name; None takes the process's. Returns 1 if one failed or a
    kernel was wrong (the others still run, and are written). UserError if a file cannot
    be written, or drawing lacks Matplotlib.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in COMMANDS:
        module = importlib.import_module(f"cellrec_jax.bench.{arguments[0]}")
        return module.command(arguments[1:])
    flags = _parse(arguments)
    if flags.plot:
        plot.require_matplotlib()
    facts = machine.facts()
    _write(machine.line(facts))
    names = (field.name for field in dataclasses.fields(report.Settings))
    given = {name: getattr(flags, name) for name in names if name in flags}
    given["sizes"] = tuple(size[0] for size in flags.sizes)
    given["sizes_hw"] = tuple((size[0], size[-1]) for size in flags.sizes)
    settings = report.Settings(**given)
    reports: dict[str, report.Report] = {}
    failed = False
    for name in NAMES if flags.name == "all" else (flags.name,):

        def keep(found: report.Report, name: str = name) -> None:
            reports[name] = found
            if flags.json:  # so that a run that is stopped leaves some
                report.write_json(flags.json, facts, reports)

        found, ok = _run_one(name, dataclasses.replace(settings, keep=keep))
        failed |= not ok
        report.show(name, found, _write)
        keep(found)
        if flags.plot and reports[name].x:
            plot.draw(flags.plot / f"{name}.png", name, reports[name], facts)
    return int(failed)


def _run_one(name: str, settings: report.Settings) -> tuple[report.Report, bool]:
    try:
        if name in KERNELS:
            found = kernel.measure(name, KERNELS[name], settings, _say)
        else:
            module = importlib.import_module(f"cellrec_jax.bench.{name}")
            found = module.run(settings, _say)
    except errors.UserError:
        raise
    except ModuleNotFoundError as error:
        return report.Report((), (f"skipped: {error.name} is not installed",)), True
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
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    cli()
