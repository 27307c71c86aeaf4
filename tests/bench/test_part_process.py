import os
import signal
import sys
import time

import pytest

from cellrec_jax.bench import part_process
from cellrec_jax.bench.parts import Part

LEAVES_A_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid)
"""


def ran(code, **others):
    printed = []
    part = Part("a", 30.0, (sys.executable, "-c", code), **others)
    return part_process.run(part, part.seconds, {}, printed.append), printed


def ended(pid):
    """Whether a process is gone, or dead and not yet waited for."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="reads /proc")
def test_what_a_part_leaves_behind_is_ended():
    begun = time.monotonic()
    outcome, printed = ran(LEAVES_A_CHILD)
    assert outcome == "ok"
    assert time.monotonic() - begun < 30
    deadline = time.monotonic() + 5
    while not ended(int(printed[0])) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ended(int(printed[0]))


def test_a_missing_package_is_told():
    outcome, printed = ran("raise SystemExit(3)", needs=("os", "no_such_package"))
    assert (outcome, printed) == ("skipped: no_such_package is not installed", [])


def test_sigterm_interrupts():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), part_process.sigterm_interrupts():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
