"""Ctrl-C and SIGTERM: finish the step, save, then exit as schedulers expect."""

from collections.abc import Iterator
import contextlib
import contextvars
import signal
import threading
from types import FrameType

import jax

from cellrec_jax import hosts

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Interrupted(Exception):  # noqa: N818, not an error
    """Work inside functions was saved and left, after a signal."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"interrupted, exit code {exit_code}")
        self.exit_code = exit_code


def exit_code(number: signal.Signals | None) -> int:
    """130 after Ctrl-C, 143 after SIGTERM, 0 if there was none."""
    return EXIT_CODES[number] if number else 0


class Interrupt:
    """Remembers the first signal; a second one ends the process at once."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @property
    def exit_code(self) -> int:
        """See `exit_code`."""
        return exit_code(self.signal)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """A signal at one of several processes ends all after the block: `Interrupted`.

    All must come to its end. Of one process it does nothing.
    """
    if jax.process_count() == 1:
        yield
        return
    with catch() as caught:
        yield
        if number := anywhere(caught):
            raise Interrupted(exit_code(number))


def anywhere(caught: Interrupt) -> signal.Signals | None:
    """What any of several processes has caught; all must call it."""
    number = hosts.most(int(caught.signal or 0))
    return signal.Signals(number) if number else None


_OUTER: contextvars.ContextVar[Interrupt | None] = contextvars.ContextVar(
    "outer", default=None
)


@contextlib.contextmanager
def throughout() -> Iterator[None]:
    """Keeps a signal for the next `catch` inside, where all processes look for it.

    Between these, such as while a program is compiled, it would end one of several
    processes alone. Of one process it does nothing: nobody waits for that one.
    """
    if jax.process_count() == 1:
        yield
        return
    with catch() as caught:
        token = _OUTER.set(caught)
        try:
            yield
        finally:
            _OUTER.reset(token)


@contextlib.contextmanager
def catch() -> Iterator[Interrupt]:
    """Records SIGINT and SIGTERM instead of dying; restores the handlers after.

    Outside the main thread, without handlers, it does nothing. Inside `throughout` it
    is what that catches, from its begin on.
    """
    if (outer := _OUTER.get()) is not None:
        yield outer
        return
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = {number: signal.getsignal(number) for number in EXIT_CODES}

    def remember(number: int, frame: FrameType | None) -> None:
        del frame
        interrupt.signal = signal.Signals(number)
        for again in EXIT_CODES:
            signal.signal(again, signal.SIG_DFL)

    for number in EXIT_CODES:
        signal.signal(number, remember)
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
