"""Runs jobs as processes of their own: n at a time, stopped cleanly, resumable."""

import collections
from collections.abc import Callable, Iterator, Sequence
import os
from pathlib import Path
import subprocess
import sys
import time
from typing import NamedTuple

from cellrec_jax.sweep import starts
from cellrec_jax.sweep.state import Job
from cellrec_jax.workdir import interrupt

MAIN = (sys.executable, "-m", "cellrec_jax.main")
"""Start of each command."""
LOG = "log.txt"
_POLL_S = 0.1


class Ended(NamedTuple):
    """A run that ended by itself, or could not be started."""

    job: Job
    seconds: float
    failure: str
    """Exit code and last line of the log, or why it was not started; "" if all well."""


def command(job: Job) -> list[str]:
    """The command line of a run."""
    flags = [f"--config.{key}={text}" for key, text in job.run.overrides.items()]
    if job.run.init_from:
        flags.append(f"--init-from={starts.place(job.run.init_from)}")
    return [*MAIN, "--config", job.run.config, "--workdir", str(job.workdir), *flags]


def run_all(
    jobs: Sequence[Job],
    caught: interrupt.Interrupt,
    say: Callable[[str], None],
    workers: int = 1,
) -> Iterator[Ended]:
    """Runs jobs in order, yields what ended; one that fails does not stop the others.

    A signal (`caught`, entered around the loop) starts nothing more and passes SIGTERM
    on, upon which runs save; what it stopped is not yielded.
    """
    waiting = collections.deque(jobs)
    running: dict[subprocess.Popen, tuple[Job, float]] = {}
    stopping = False
    while running or (waiting and not caught.signal):
        while waiting and len(running) < workers and not caught.signal:
            job = waiting.popleft()
            try:
                running[_start(job)] = job, time.monotonic()
            except OSError as error:  # no folder, no space, no process
                yield Ended(job, 0.0, f"cannot be started: {error}")
            else:
                say(f"started {job.run.name}")
        if caught.signal and not stopping:
            stopping = True
            say(f"interrupted: {len(running)} running are saving; repeat to go on")
            for popen in running:
                popen.terminate()
        for popen in [one for one in running if one.poll() is not None]:
            job, start = running.pop(popen)
            code, failure = popen.returncode, ""
            if code:
                failure = f"exit code {code}: {_last_line(job.workdir / LOG)}"
            if not (code and stopping):
                yield Ended(job, time.monotonic() - start, failure)
        time.sleep(_POLL_S)


def _start(job: Job) -> subprocess.Popen:
    job.workdir.mkdir(parents=True, exist_ok=True)
    starts.remember(job.workdir, job.run.init_from, job.start)
    with (job.workdir / LOG).open("ab") as log:
        return subprocess.Popen(
            command(job),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            # Out of reach of the terminal's Ctrl-C: a second signal would kill.
            start_new_session=True,
        )


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else "(said nothing)"
