"""`python -m cellrec_jax.bench device`: all that wants a GPU, in 8 minutes.

Each part of `parts` is a process with a limit of time; what it measured until then is
kept. gpu_checks.json is written whole after each part. Ends with 1 if a part failed or
was stopped, after all have run.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import Any
import xml.etree.ElementTree as ET

from cellrec_jax import errors
from cellrec_jax.bench import goals, parts
from cellrec_jax.bench.parts import Part
from cellrec_jax.io import atomic

FILE = "gpu_checks.json"
GRACE_S = 10.0
"""Seconds between asking a part to end and killing it."""
_ROOT = Path(__file__).parents[2]
_FACTS = (
    "import json; from cellrec_jax.bench import machine; "
    "print(json.dumps(machine.facts()))"
)

Write = Callable[[str], None]


def command(arguments: Sequence[str]) -> int:
    """Runs the parts; ConfigError without an accelerator, unless it is a trial."""
    flags = _parse(arguments)
    out: Path = flags.out
    chosen = _chosen(parts.listed(out, flags.quick, flags.profile), flags.only)
    for name in ("parts", "compiled", "trace"):
        shutil.rmtree(out / name, ignore_errors=True)
    (out / "parts").mkdir(parents=True)
    environment = parts.environment(out, flags.quick)
    found: dict[str, Any] = {
        "quick": flags.quick,
        "machine": _machine(environment),
        "parts": {},
        "results": {},
    }
    if found["machine"]["platform"] == "cpu" and not flags.quick:
        raise errors.ConfigError(
            "jax sees no GPU: --quick tries the script itself without one"
        )
    with (out / "gpu_checks.txt").open("w", encoding="utf-8") as log:

        def write(text: str) -> None:
            print(text, end="", flush=True)  # noqa: T201
            log.write(text)

        run(chosen, found, out, environment, write)
    shutil.rmtree(out / "compiled", ignore_errors=True)
    return int(any(map(_failed, found["parts"].values())))


def run(
    chosen: Sequence[Part],
    found: dict[str, Any],
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
        outcome = "no time left"
        if seconds > 0:
            write(f"== {part.name}\n")
            outcome = _run(part, seconds, {**environment, **part.environment}, write)
        taken = round(time.monotonic() - begun, 1)
        found["parts"][part.name] = {"outcome": outcome, "seconds": taken}
        _collect(part, found, out)
        found["goals"] = goals.table(found["results"])
        text = json.dumps(found, indent=1, allow_nan=False)
        atomic.write_bytes(out / FILE, text.encode() + b"\n")
    for name, part in found["parts"].items():
        write(f"{name}: {part['outcome']}, {part['seconds']} s\n")
    for goal in found["goals"]:
        write(
            f"{goal['goal']}: {goal['measured']} {goal['unit']}, goal {goal['most']}\n"
        )
    write(f"figures: {out / FILE}\n")


def _failed(part: Mapping[str, Any]) -> bool:
    """Whether a part neither ran well nor was skipped for what is not installed."""
    return not part["outcome"].startswith(("ok", "skipped"))


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
    asked = subprocess.run(
        [sys.executable, "-c", _FACTS],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode:
        what = asked.stderr.strip().rpartition("\n")[2]
        raise errors.RunError(f"jax finds no device: {what}; check its installation")
    return json.loads(asked.stdout.strip().rpartition("\n")[2])


def _run(
    part: Part, seconds: float, environment: Mapping[str, str], write: Write
) -> str:
    """Runs a part, and says how it ended."""
    process = subprocess.Popen(
        part.command,
        cwd=_ROOT,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    assert process.stdout is not None  # it is a pipe
    reader = threading.Thread(target=_copy, args=(process.stdout, write))
    reader.start()
    outcome = ""
    try:
        status = process.wait(seconds)
        outcome = "ok" if status == 0 else f"failed with {status}"
    except subprocess.TimeoutExpired:
        outcome = f"stopped after its share of {seconds:.0f} s"
    finally:  # also when this process is interrupted
        _end(process)
        reader.join()
        process.stdout.close()
    return outcome


def _copy(lines: Any, write: Write) -> None:
    for line in lines:
        write(line)


def _end(process: subprocess.Popen[str]) -> None:
    """Ends a part with all that it started: pytest still writes what it knows."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is not None:
            break
        os.killpg(process.pid, number)
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            continue


def _collect(part: Part, found: dict[str, Any], out: Path) -> None:
    """Adds a part's rows to the benchmark's, or the tests' numbers."""
    path = out / "parts" / f"{part.name}.{'json' if part.makes else 'xml'}"
    if not path.exists():
        return
    if not part.makes:
        found["tests"] = _tests(path)
        return
    (new,) = json.loads(path.read_text())["results"].values()
    known = found["results"].setdefault(part.makes, {"rows": [], "notes": []})
    known["rows"] += new["rows"]
    known["notes"] += [*new["notes"], *(f"wrong: {one}" for one in new["wrong"])]
    ended = found["parts"][part.name]
    if ended["outcome"] == "ok" and not new["rows"]:
        skipped = all(note.startswith("skipped") for note in new["notes"])
        why = [] if skipped and new["notes"] else ["nothing measured"]
        ended["outcome"] = "; ".join([*why, *new["notes"]])


def _tests(path: Path) -> dict[str, Any]:
    """Numbers and names of what failed, from the file that pytest writes."""
    suite = next(ET.parse(path).getroot().iter("testsuite"))
    counts: dict[str, Any] = {
        key: int(suite.get(key, 0))
        for key in ("tests", "failures", "errors", "skipped")
    }
    counts["failed"] = [
        f"{case.get('classname')}::{case.get('name')}"
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    return counts
