"""Ctrl-C and SIGTERM: finish the step, save, then exit as schedulers expect."""

from collections.abc import Callable, Iterator
import contextlib
import contextvars
import signal
import socket
import threading
from types import FrameType

import jax

from cellrec_jax import hosts

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
Say = Callable[[str], None]


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
def throughout(say: Say | None = None) -> Iterator[None]:
    """Keeps a signal for the next `catch` inside, where all processes look for it.

    Between these, such as while a program is compiled, it would end one of several
    processes alone. Of one process it does nothing: nobody waits for that one. `say` is
    that of `catch`.
    """
    if jax.process_count() == 1:
        yield
        return
    with catch(say) as caught:
        token = _OUTER.set(caught)
        try:
            yield
        finally:
            _OUTER.reset(token)


@contextlib.contextmanager
def catch(say: Say | None = None) -> Iterator[Interrupt]:
    """Records SIGINT and SIGTERM instead of dying; restores the handlers after.

    `say`, if any, gets a line on the first signal, at once. Outside the main thread,
    without handlers, it does nothing. Inside `throughout` it is what that catches, from
    its begin on.
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

    with contextlib.ExitStack() as told:
        if say is not None:
            told.enter_context(_told(say))
        for number in EXIT_CODES:
            signal.signal(number, remember)
        try:
            yield interrupt
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _told(say: Say) -> Iterator[None]:
    """Python's own handlers wait for what is compiled, this thread does not."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def tell() -> None:
        while number := reader.recv(1):
            if number[0] in EXIT_CODES:
                name = signal.Signals(number[0]).name
                say(f"{name}: ends as soon as this step, or a compilation, is done")
                return

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writer.close()
        thread.join()
        reader.close()
