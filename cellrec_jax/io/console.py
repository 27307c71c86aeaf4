"""What a person sees while a run goes on: a bar on a terminal, lines elsewhere."""

import collections
from collections.abc import Callable, Iterable, Iterator, Mapping
import contextlib
import time
from typing import Any, NamedTuple, TypeVar

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")


class Pace(NamedTuple):
    """How fast steps are of late."""

    rate: float
    """Steps a second."""
    waited: float = 0.0
    """Share of the time that they wait for data."""
    reached: float | None = None
    """Share of the device's peak, None where it is not known."""


Report = Callable[[int, Pace | None, Mapping[str, float]], None]
"""(steps done, their pace or None while compiling, latest losses)."""

_RECENT_STEPS = 100  # over which steps per second are averaged
_LEAST_TOLD = 0.01  # of the time


class Console:
    """Prints to standard output; quiet consoles print nothing (tests, Python use)."""

    def __init__(self, *, quiet: bool = False, seconds: float = 5.0) -> None:
        """`seconds` lie between progress lines where there is no terminal."""
        self._rich = RichConsole(quiet=quiet, highlight=False, soft_wrap=True)
        self._seconds = seconds

    def line(self, text: str) -> None:
        """Prints one line, above a running bar; what it cannot show, as escapes."""
        self._rich.print(_printable(text, self._rich.encoding), markup=False)

    def track(self, items: Iterable[T], what: str) -> Iterator[T]:
        """Iterates with a bar, or with lines every few seconds."""
        items = list(items)
        if self._rich.is_terminal:
            with self._bar() as bar:
                task = bar.add_task(what, total=len(items), note="")
                for item in items:
                    yield item
                    bar.advance(task)
            return
        due = time.monotonic() + self._seconds
        for done, item in enumerate(items, 1):
            yield item
            if time.monotonic() > due:
                self.line(f"{what}: {done}/{len(items)}")
                due = time.monotonic() + self._seconds

    @contextlib.contextmanager
    def parts(self, total: int, what: str) -> Iterator[Callable[[float, str], None]]:
        """Shows progress that moves inside of items.

        Yields the function to call with the items done, in 0..total with fractions, and
        a note on the one at work.
        """
        if self._rich.is_terminal:
            with self._bar() as bar:
                task = bar.add_task(what, total=total, note="")

                def update(done: float, note: str) -> None:
                    bar.update(task, completed=done, note=_printable(note))

                yield update
            return
        due = time.monotonic() + self._seconds

        def report(done: float, note: str) -> None:
            nonlocal due
            if time.monotonic() > due:
                self.line(f"{what}: {int(done)}/{total} {note}".rstrip())
                due = time.monotonic() + self._seconds

        yield report

    @contextlib.contextmanager
    def training(self, start: int, total: int) -> Iterator[Report]:
        """Shows training progress; yields the function to call after each step."""
        if self._rich.is_terminal:
            with self._bar() as bar:
                task = bar.add_task("training", total=total, note="compiling ...")
                bar.update(task, completed=start)

                def update(
                    step: int, pace: Pace | None, losses: Mapping[str, float]
                ) -> None:
                    note = "compiling ..." if pace is None else _note(pace, losses)
                    bar.update(task, completed=step, note=note)

                yield update
            return
        self.line("compiling the first step ...")
        due = time.monotonic() + self._seconds

        def report(step: int, pace: Pace | None, losses: Mapping[str, float]) -> None:
            nonlocal due
            if pace is None or (time.monotonic() < due and step < total):
                return
            due = time.monotonic() + self._seconds
            left = format_seconds((total - step) / pace.rate)
            self.line(f"step {step}/{total}  ETA {left}  {_note(pace, losses)}")

        yield report

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._rich,
        )


class Clock:
    """Times steps; the first one, which compiles, is kept apart."""

    step_at_peak = 0.0
    """Seconds of a step at the device's peak; 0 is unknown."""

    def __init__(self, start: int, seconds_before: float = 0.0) -> None:
        """Starts at step `start`, which took `seconds_before`, stages included."""
        self._begin = time.monotonic()
        self._before = seconds_before
        self._start = self._step = start
        self._compiled: float | None = None
        self._waited = 0.0
        self._recent: collections.deque[tuple[int, float, float]] = collections.deque(
            maxlen=_RECENT_STEPS
        )

    def waiting(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The same batches; counts the time that each is waited for."""
        while True:
            asked = time.monotonic()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self._waited += time.monotonic() - asked
            yield batch

    def tick(self, step: int) -> None:
        """Notes that a step is done."""
        now, self._step = time.monotonic(), step
        if self._compiled is None:
            self._compiled = now  # ends a step, as each later call ends the one before
            return
        self._recent.append((step, now, self._waited))

    @property
    def pace(self) -> Pace | None:
        """Of late; None before the third step."""
        if len(self._recent) < 2:
            return None
        (first, since, before), (last, now, waited) = self._recent[0], self._recent[-1]
        seconds = max(now - since, 1e-9)
        rate = (last - first) / seconds
        reached = self.step_at_peak * rate or None
        return Pace(rate, (waited - before) / seconds, reached)

    @property
    def seconds(self) -> float:
        """Of all stages and processes; of those before, until they last saved."""
        return self._before + time.monotonic() - self._begin

    def timing(self) -> dict[str, float]:
        """What results.json says: `seconds`, the rest of this process alone."""
        now = time.monotonic()
        since, steps = self._compiled or now, self._step - self._start
        return {
            "compile_s": round(since - self._begin, 2),
            "seconds": round(self.seconds, 2),
            "from_step": self._start,
            "steps": steps,
            "steps_per_s": round(max(steps - 1, 0) / max(now - since, 1e-9), 4),
        }


def _printable(text: str, encoding: str = "utf-8") -> str:
    """Text with escapes for what an encoding lacks, as in names that are not UTF-8."""
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _note(pace: Pace, losses: Mapping[str, float]) -> str:
    speed = [f"{pace.rate:.2f} steps/s"]
    if pace.waited >= _LEAST_TOLD:
        speed.append(f"waits for data {pace.waited:.0%}")
    if pace.reached is not None:
        speed.append(f"{pace.reached:.0%} of peak")
    shown = [
        f"{name.removeprefix('loss/')} {value:.3f}"
        for name, value in sorted(losses.items())
        if name.startswith("loss")
    ]
    return "  ".join([*speed, *shown])


def format_seconds(seconds: float) -> str:
    """Seconds in words of one or two units.

    Example:
      >>> [format_seconds(s) for s in (42, 130, 7300, 200000)]
      ['42 s', '2 min 10 s', '2 h 1 min', '2.3 days']
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    if seconds < 86400:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"
    return f"{seconds / 86400:.1f} days"
