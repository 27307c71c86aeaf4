"""How long steps take, and the whole of them."""

import collections
import time

_RECENT_STEPS = 100  # over which steps per second are averaged


class Clock:
    """Times steps; the first one, which compiles, is kept apart."""

    def __init__(self, start: int, seconds_before: float = 0.0) -> None:
        """Starts at step `start`, which took `seconds_before` in other processes."""
        self.begin = time.monotonic()
        self.seconds_before = seconds_before
        self.start = start
        self.step = start
        self.compiled: float | None = None
        self._recent: collections.deque[tuple[int, float]] = collections.deque(
            maxlen=_RECENT_STEPS
        )

    def tick(self, step: int) -> None:
        """Notes that a step is done."""
        self.step = step
        now = time.monotonic()
        self.compiled = self.compiled or now
        self._recent.append((step, now))

    @property
    def rate(self) -> float | None:
        """Steps per second of late; None before the second step."""
        if len(self._recent) < 2:
            return None
        (first, since), (last, now) = self._recent[0], self._recent[-1]
        return (last - first) / max(now - since, 1e-9)

    @property
    def seconds(self) -> float:
        """Of all processes; of those before, until they last saved."""
        return self.seconds_before + time.monotonic() - self.begin

    def timing(self) -> dict[str, float]:
        """What results.json says: `seconds`, the rest of this process alone."""
        now = time.monotonic()
        since = self.compiled or now
        steps = self.step - self.start
        return {
            "compile_s": round(since - self.begin, 2),
            "seconds": round(self.seconds, 2),
            "from_step": self.start,
            "steps": steps,
            "steps_per_s": round(max(steps - 1, 0) / max(now - since, 1e-9), 4),
        }
