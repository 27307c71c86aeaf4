"""Signals are remembered, mapped to exit codes, and handlers come back."""

import ctypes
import os
import signal
import threading
import time

import jax
import pytest

from cellrec_jax.workdir import interrupt


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_is_remembered(number, code):
    before = signal.getsignal(number)
    with interrupt.catch() as caught:
        assert caught.exit_code == 0
        os.kill(os.getpid(), number)
        assert caught.signal == number
        assert caught.exit_code == code
        assert signal.getsignal(number) == signal.SIG_DFL  # a second one kills
    assert signal.getsignal(number) == before


def test_a_signal_is_told_while_a_program_is_compiled():
    """Stood in for by C's wait for a lock, which lets no handler of Python's run."""
    told, handled = [], []
    libc, lock = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    before = signal.set_wakeup_fd(-1)
    with interrupt.catch(told.append) as caught:

        def send():
            time.sleep(0.2)  # until the lock is waited for
            os.kill(os.getpid(), signal.SIGTERM)
            until = time.monotonic() + 20
            while not told and time.monotonic() < until:
                time.sleep(0.01)
            handled.append(caught.signal)
            libc.pthread_mutex_unlock(lock)

        sender = threading.Thread(target=send)
        sender.start()
        libc.pthread_mutex_lock(lock)
        libc.pthread_mutex_lock(lock)
        sender.join()
        assert caught.signal == signal.SIGTERM
    assert handled == [None]
    assert len(told) == 1
    assert "SIGTERM" in told[0]
    assert signal.set_wakeup_fd(before) == -1


def test_other_threads_install_nothing():
    seen = []

    def work():
        with interrupt.catch() as caught:
            seen.append(caught.exit_code)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [0]


def test_of_several_processes_it_is_kept_for_the_next_look(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with interrupt.throughout():
        with interrupt.catch() as first:
            assert first.signal is None
        os.kill(os.getpid(), signal.SIGTERM)  # as a program is compiled, say
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        with interrupt.catch() as second:
            assert second.signal == signal.SIGTERM
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) == before
    with interrupt.catch() as after:
        assert after.signal is None


def test_one_process_keeps_none():
    before = signal.getsignal(signal.SIGINT)
    with interrupt.throughout():
        assert signal.getsignal(signal.SIGINT) == before
