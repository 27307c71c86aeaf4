"""Runs that are killed, or that the machine fails: `python -m tests.faults`.

Each method is trained once undisturbed, and once killed (SIGKILL) at moments that are
drawn at random, each time resumed by the same command. The parameters in the end, the
optimiser's state and the results must be the same bits on one CPU device, and nothing
half-written may be left. The same for predicting images and a slide, and for exports;
then the cases of `tests.machine_faults`. Prints a table; 1 if anything differs, or if
fewer were killed than asked.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
import random
import shutil
import sys
import tempfile
import time

from tests import killed_runs, killing, layouts, machine_faults
from tests.killing import Killed


def run(argv: Sequence[str]) -> int:
    """Prints the table; 1 if anything differs."""
    parser = argparse.ArgumentParser("python -m tests.faults", description=__doc__)
    names = [*layouts.RUNS, "predict", "slide", "export", *machine_faults.CASES]
    parser.add_argument("--only", default=",".join(names), help=", ".join(names))
    parser.add_argument("--moments", type=int, default=4, help="of each method")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a file for the table too")
    flags = parser.parse_args(argv)
    failed = False
    table = Table(flags.out)
    with tempfile.TemporaryDirectory() as root:
        for name in flags.only.split(","):
            folder = Path(root) / name
            rng = random.Random(f"{flags.seed} {name}")
            begin = time.monotonic()
            try:
                found, wrong = _case(name, folder, flags.moments, rng)
            except (AssertionError, OSError) as error:
                found, wrong = [], [f"{type(error).__name__}: {error}"]
            table.add(name, found, wrong, time.monotonic() - begin)
            failed |= bool(wrong)
            shutil.rmtree(folder, ignore_errors=True)
    return int(failed)


def _case(
    name: str, folder: Path, number: int, rng: random.Random
) -> tuple[list[Killed], list[str]]:
    if name in machine_faults.CASES:
        return machine_faults.CASES[name](folder, rng)
    if name in layouts.RUNS:
        found, wrong = killed_runs.kill_run(name, folder, number, rng)
    else:
        trained = killing.straight(machine_faults.METHOD, folder.parent)
        kills = {
            "predict": killed_runs.kill_predict,
            "slide": killed_runs.kill_slide,
            "export": killed_runs.kill_export,
        }
        found, wrong = kills[name](trained, folder, number, rng)
    killed = sum(bool(one.where) for one in found)
    return found, wrong + [f"killed {killed} times of {number}"] * (killed < number)


class Table:
    """Rows of Markdown, printed and kept as they come."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        if file is not None:
            file.write_text("")
        self._line("| what | killed or failed at | in the end | s |")
        self._line("|---|---|---|---|")

    def add(
        self, name: str, found: list[Killed], wrong: list[str], seconds: float
    ) -> None:
        """A row."""
        places = "; ".join(
            f"{moment}: {where or 'it had ended'}" for moment, where in found
        )
        end = "equal" if not wrong else "DIFFERS: " + "; ".join(wrong[:5])
        cells = (name, places, end, f"{seconds:.0f}")
        self._line("| " + " | ".join(one.replace("|", "/") for one in cells) + " |")

    def _line(self, text: str) -> None:
        print(text, flush=True)
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(text + "\n")


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
