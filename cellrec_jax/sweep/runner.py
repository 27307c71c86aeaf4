"""Runs jobs as processes of their own: n at a time, stopped cleanly, resumable."""

import collections
from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import fcntl
import itertools
import os
from pathlib import Path
import subprocess
import sys
import time
from typing import NamedTuple

from cellrec_jax import errors
from cellrec_jax.io.console import format_seconds
from cellrec_jax.sweep.state import Job
from cellrec_jax.workdir import interrupt

MAIN = (sys.executable, "-m", "cellrec_jax.main")
LOG = "log.txt"
_POLL_S = 0.1


class Failure(NamedTuple):
    """A run that ended with an error, or could not be started."""

    name: str
    code: int
    log: Path
    last_line: str
    """Of the log, or why it was not started."""


class Summary(NamedTuple):
    """What became of the jobs."""

    num_done: int
    failures: tuple[Failure, ...]
    num_left: int
    """Not started, or stopped before they ended."""
    exit_code: int
    """0, 1 after a failure, 130 or 143 if interrupted."""


class _Process(NamedTuple):
    job: Job
    popen: subprocess.Popen
    start: float
    cores: frozenset[int]


def command(job: Job, main: Sequence[str] = MAIN) -> list[str]:
    """The command line of a run."""
    flags = [f"--config.{key}={text}" for key, text in job.run.overrides.items()]
    return [*main, "--config", job.run.config, "--workdir", str(job.workdir), *flags]


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Keeps a second sweep out of a folder; makes the folder if needed.

    The lock is the kernel's (POSIX): it goes with the last process that holds the file
    open, so that none is left behind, and runs that outlive their sweep keep it.

    Yields:
      The file descriptor that the runs are to inherit.

    Raises:
      RunError: if another sweep has it, naming its process.
    """
    path = folder / "lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise errors.RunError(
            f"{path}: cannot be made ({error.strerror}); choose another --workdir"
        ) from error
    try:
        _acquire(descriptor, path)
        yield descriptor
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise errors.RunError(
            f"{path.parent}: the sweep of process {path.read_text().strip()} works "
            "there, or a run that it started; wait for it, stop it, or choose another "
            "--workdir"
        ) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())


def run_all(
    jobs: Sequence[Job],
    progress: "Progress",
    lock: int,
    workers: int = 1,
    main: Sequence[str] = MAIN,
) -> Summary:
    """Runs every job; one that fails or cannot be started does not stop the others.

    Runs at a time get cores of their own where there are enough: two trainings with a
    core each do 1.25 times the steps of one after the other with both (a U-Net of 8
    channels; 2 cores, jax 0.10.1).

    Ctrl-C and SIGTERM start nothing more and pass SIGTERM on, upon which runs save; a
    second signal ends this process at once, the runs still save.

    Args:
      jobs: what is missing, in order.
      progress: of these jobs; is told what starts and ends.
      lock: descriptor of `locked`, which the runs inherit.
      workers: processes at a time.
      main: start of each command.

    Returns:
      How it ended.
    """
    waiting = collections.deque(jobs)
    running: list[_Process] = []
    free = core_shares(max(1, min(workers, len(jobs))))
    with interrupt.catch() as caught:
        while running or (waiting and not caught.signal):
            while waiting and len(running) < workers and not caught.signal:
                job = waiting.popleft()
                try:
                    running.append(_start(job, lock, main, free[-1]))
                except OSError as error:  # no folder, no space, no process
                    progress.failed(job, 1, f"cannot be started: {error}")
                else:
                    free.pop()
                    progress.started(job)
            if caught.signal and not progress.stopping:
                progress.stop(len(running))
                for process in running:
                    process.popen.terminate()
            for process in [one for one in running if one.popen.poll() is not None]:
                running.remove(process)
                free.append(process.cores)
                seconds = time.monotonic() - process.start
                progress.ended(process.job, process.popen.returncode, seconds)
            time.sleep(_POLL_S)
    return progress.summary(caught.exit_code)


def core_shares(workers: int) -> list[frozenset[int]]:
    """Splits the cores that this process may use among workers.

    Returns:
      For each worker its cores, as even as can be; empty ones, which leave a run where
      it likes, for a single worker, more workers than cores, and but for Linux.
    """
    has_cores = hasattr(os, "sched_getaffinity")
    cores = sorted(os.sched_getaffinity(0)) if has_cores else []
    if workers == 1 or workers > len(cores):
        return [frozenset()] * workers
    ends = [len(cores) * k // workers for k in range(workers + 1)]
    return [frozenset(cores[a:b]) for a, b in itertools.pairwise(ends)]


def _start(job: Job, lock: int, main: Sequence[str], cores: frozenset[int]) -> _Process:
    job.workdir.mkdir(parents=True, exist_ok=True)
    with (job.workdir / LOG).open("ab") as log, _on(cores):
        popen = subprocess.Popen(
            command(job, main),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            pass_fds=(lock,),
            # Out of reach of the terminal's Ctrl-C: a second signal would kill.
            start_new_session=True,
        )
    return _Process(job, popen, time.monotonic(), cores)


@contextlib.contextmanager
def _on(cores: frozenset[int]) -> Iterator[None]:
    """Processes that are started inside inherit these cores, where they may be had."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, before)


class Progress:
    """Counts what ended, and says so with an estimate of what is left."""

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        known_seconds: Mapping[str, Sequence[float]],
        workers: int,
        result_of: Callable[[Job], str],
        say: Callable[[str], None],
    ) -> None:
        """Starts with nothing done.

        Args:
          jobs: all of them.
          known_seconds: row -> seconds of runs done before, to estimate by.
          workers: processes at a time.
          result_of: describes a finished run in a few words.
          say: prints a line.
        """
        self.left = [job.run.row for job in jobs]
        self.total = len(jobs)
        self.seconds = {row: list(known) for row, known in known_seconds.items()}
        self.workers = workers
        self.result_of = result_of
        self.say = say
        self.num_done = 0
        self.failures: list[Failure] = []
        self.stopping = False

    def started(self, job: Job) -> None:
        """Says that a run starts."""
        self.say(f"started {job.run.name}")

    def stop(self, num_running: int) -> None:
        """Says that what runs is being stopped."""
        self.stopping = True
        self.say(f"interrupted: {num_running} running are saving; repeat to go on")

    def ended(self, job: Job, code: int, seconds: float) -> None:
        """Takes note of a run that ended with an exit code."""
        if code and self.stopping:
            return
        if code:
            self.failed(job, code, _last_line(job.workdir / LOG))
            return
        self.num_done += 1
        self.seconds.setdefault(job.run.row, []).append(seconds)
        self._over(job, f"{self.result_of(job)} ({format_seconds(seconds)})")

    def failed(self, job: Job, code: int, reason: str) -> None:
        """Takes note of a run that ended with an error or could not be started."""
        self.failures.append(Failure(job.run.name, code, job.workdir / LOG, reason))
        self._over(job, f"FAILED with {code}: {reason}")

    def summary(self, signal_code: int) -> Summary:
        """How it ended."""
        code = signal_code or (1 if self.failures else 0)
        return Summary(self.num_done, tuple(self.failures), len(self.left), code)

    def _over(self, job: Job, what: str) -> None:
        self.left.remove(job.run.row)
        count = f"{self.total - len(self.left)}/{self.total}"
        self.say(f"[{count}] {job.run.name}: {what}{self._ahead()}")

    def _ahead(self) -> str:
        if not self.left or not self.seconds:
            return ""
        return f"; {len(self.left)} left, about {format_seconds(self._estimate())}"

    def _estimate(self) -> float:
        """Seconds until all is done, each run taking what its row took, or all did."""
        every = [one for known in self.seconds.values() for one in known]
        means = {row: sum(known) / len(known) for row, known in self.seconds.items()}
        mean = sum(every) / len(every)
        return sum(means.get(row, mean) for row in self.left) / self.workers


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else "(said nothing)"
