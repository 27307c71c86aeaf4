"""A part of `bench device` as a process: what it prints, its limit of time, its end."""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import importlib.util
import os
from pathlib import Path
import signal
import subprocess
import threading
from typing import Any

from cellrec_jax.bench.parts import Part

GRACE_S = 10.0
"""Seconds between asking a part to end and killing it."""
_ROOT = Path(__file__).parents[2]

Write = Callable[[str], None]


def run(
    part: Part, seconds: float, environment: Mapping[str, str], write: Write
) -> str:
    """Runs a part for some seconds at most, and says how it ended."""
    missing = [name for name in part.needs if importlib.util.find_spec(name) is None]
    if missing:
        return f"skipped: {missing[0]} is not installed"
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
    reader = threading.Thread(target=_copy, args=(process.stdout, write), daemon=True)
    reader.start()
    try:
        status = process.wait(seconds)
        outcome = "ok" if status == 0 else f"failed with {status}"
    except subprocess.TimeoutExpired:
        outcome = f"stopped after its share of {seconds:.0f} s"
    finally:  # also when this process is interrupted
        _end(process)
        reader.join(GRACE_S)  # what left the group may hold the pipe
        if not reader.is_alive():
            process.stdout.close()
    return outcome


@contextlib.contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt meanwhile, so that the part ends, too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _copy(lines: Any, write: Write) -> None:
    for line in lines:
        write(line)


def _end(process: subprocess.Popen[str]) -> None:
    """Ends a part with all that it started: pytest still writes what it knows."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    with contextlib.suppress(ProcessLookupError):  # else what it left behind
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
