"""`python -m cellrec_jax.bench device`: all that wants a GPU, in 8 minutes.

Each part of `parts` is a process with a limit of time; what it measured until then is
kept, also of earlier calls on this machine. gpu_checks.json is written whole after each
part. Ends with 1 if a part failed or was stopped, after all have run.
"""

import argparse
from collections.abc import Mapping, Sequence
import json
from pathlib import Path
import shutil
import subprocess
import sys
import time
from typing import Any

from cellrec_jax import errors
from cellrec_jax.bench import figures, part_process, parts
from cellrec_jax.bench.part_process import Write
from cellrec_jax.bench.parts import Part

_FACTS = (
    "import json; from cellrec_jax.bench import machine; "
    "print(json.dumps(machine.facts()))"
)
_FACTS_S = 120.0


def command(arguments: Sequence[str]) -> int:
    """Runs the parts; ConfigError without an accelerator, unless it is a trial."""
    flags = _parse(arguments)
    out: Path = flags.out.resolve()
    chosen = _chosen(parts.listed(out, flags.quick, flags.profile), flags.only)
    environment = parts.environment(out, flags.quick)
    machine = _machine(environment)
    if machine["platform"] == "cpu" and not flags.quick:
        raise errors.ConfigError(
            "jax sees no GPU: --quick tries the script itself without one"
        )
    (out / "parts").mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / "compiled", ignore_errors=True)  # of a call that was killed
    found = figures.opened(out, flags.quick, machine)
    with (
        (out / "gpu_checks.txt").open("a", encoding="utf-8") as log,
        part_process.sigterm_interrupts(),
    ):

        def write(text: str) -> None:
            print(text, end="", flush=True)  # noqa: T201
            if not log.closed:  # a reader may outlive its part
                log.write(text)

        run(chosen, found, out, environment, write)
    shutil.rmtree(out / "compiled", ignore_errors=True)
    return int(any(figures.failed(found["parts"][part.name]) for part in chosen))


def run(
    chosen: Sequence[Part],
    found: figures.Found,
    out: Path,
    environment: Mapping[str, str],
    write: Write,
    total_s: float = parts.TOTAL_S,
) -> None:
    """Runs parts for as long as there is time; adds to `found`, and writes it."""
    until = time.monotonic() + total_s
    for part in chosen:
        begun = time.monotonic()
        seconds = min(part.seconds, until - begun)
        figures.forget(found, part, out)
        outcome = "no time left"
        try:
            if seconds > 0:
                write(f"== {part.name}\n")
                outcome = "interrupted"
                own = {**environment, **part.environment}
                outcome = part_process.run(part, seconds, own, write)
        finally:
            taken = round(time.monotonic() - begun, 1)
            figures.add(found, part, outcome, taken, out)
            figures.write(found, out)
    for part in chosen:
        ended = found["parts"][part.name]
        write(f"{part.name}: {ended['outcome']}, {ended['seconds']} s\n")
    for goal in found["goals"]:
        known = goal["measured"]
        measured = "not measured" if known is None else f"{known:.4g} {goal['unit']}"
        write(f"{goal['goal']}: {measured}, goal {goal['most']:.4g}\n")
    write(f"figures: {out / figures.FILE}\n")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cellrec_jax.bench device", description=__doc__
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="tiny sizes, on any device: tries itself")
    add("--out", type=Path, default=Path("runs/gpu_checks"), metavar="DIR")
    names = [part.name for part in parts.listed(Path(), False, 1)]
    only = f"parts: {', '.join(names)}"
    add("--only", type=lambda s: tuple(s.split(",")), default=(), help=only)
    traced = f"steps of the trace ({parts.TRACED}); 0: none"
    add("--profile", type=int, default=parts.TRACED, metavar="N", help=traced)
    flags = parser.parse_args(arguments)
    if flags.profile < 0:
        parser.error(f"--profile {flags.profile}: give a number of steps, or 0")
    if flags.quick:
        flags.profile = min(flags.profile, 2)
    return flags


def _chosen(known: Sequence[Part], names: Sequence[str]) -> list[Part]:
    if unknown := set(names) - {part.name for part in known}:
        raise errors.ConfigError(
            f"--only {','.join(sorted(unknown))}: choose among "
            f"{', '.join(part.name for part in known)}"
        )
    return [part for part in known if not names or part.name in names]


def _machine(environment: Mapping[str, str]) -> dict[str, Any]:
    """`machine.facts` of another process: this one leaves the device alone."""
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _FACTS],
            env=dict(environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=_FACTS_S,
        )
    except subprocess.TimeoutExpired as error:
        raise errors.RunError(
            f"jax finds no device in {_FACTS_S:.0f} s; check that no other process "
            "holds it"
        ) from error
    if asked.returncode:
        what = asked.stderr.strip().rpartition("\n")[2]
        raise errors.RunError(f"jax finds no device: {what}; check its installation")
    return json.loads(asked.stdout.strip().rpartition("\n")[2])
