"""Signals are remembered, mapped to exit codes, and handlers come back."""

import os
import signal
import threading

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


def test_other_threads_install_nothing():
    seen = []

    def work():
        with interrupt.catch() as caught:
            seen.append(caught.exit_code)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [0]
