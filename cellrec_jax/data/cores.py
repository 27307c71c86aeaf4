"""Cores that this process may use: of the machine, or of a container with fewer."""

import os
from pathlib import Path

_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def num_cores() -> int:
    """1 or more."""
    count = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        count = len(os.sched_getaffinity(0))
    try:
        quota, period = map(int, _CPU_MAX.read_text().split())
    except (OSError, ValueError):  # no container, or "max"
        return count
    return min(count, max(quota // max(period, 1), 1))
