"""A few slides held open for all threads: opening one may take half a second."""

from collections.abc import Iterator
import contextlib
import dataclasses
from pathlib import Path
import threading
import weakref

from cellrec_jax.data.pixels import slides

MOST = 4
"""Slides held open; more only while they are lent."""


@dataclasses.dataclass
class _Held:
    slide: slides.Slide
    stack: contextlib.ExitStack
    """Closes it."""
    num_users: int = 0


class SlidePool:
    """Opens slides when they are asked for, and closes those used longest ago."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._lock = most, threading.Lock()
        self._held: dict[Path, _Held] = {}  # last used last
        weakref.finalize(self, _close, self._held)

    @contextlib.contextmanager
    def lend(self, path: Path) -> Iterator[slides.Slide]:
        """A slide, open while the block lasts; errors as `slides.opened`."""
        with self._lock:
            held = self._held.pop(path, None) or _open(path)
            self._held[path] = held
            held.num_users += 1
            self._close_idle()
        try:
            yield held.slide
        finally:
            with self._lock:
                held.num_users -= 1
                self._close_idle()

    def _close_idle(self) -> None:
        idle = [path for path, held in self._held.items() if not held.num_users]
        for path in idle[: max(len(self._held) - self._most, 0)]:
            self._held.pop(path).stack.close()


def _open(path: Path) -> _Held:
    stack = contextlib.ExitStack()
    return _Held(stack.enter_context(slides.opened(path)), stack)


def _close(held: dict[Path, _Held]) -> None:
    while held:
        held.popitem()[1].stack.close()
