"""Memory and disk of this machine, or what a container may use of them."""

import os
from pathlib import Path
import shutil
from typing import NamedTuple

_CGROUP = Path("/sys/fs/cgroup")
_MEMORY_FILES = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)
"""Limit, use, and what of the use is given back when it is asked for; version 2, 1."""
_MEMINFO = Path("/proc/meminfo")


class Memory(NamedTuple):
    """Bytes; 0 is unknown."""

    total: int
    free: int


def memory() -> Memory:
    """Of the machine, or of the container where that has less."""
    total, free = _of_machine()
    for limit_name, used_name, stat_name, cached in _MEMORY_FILES:
        limit = _number(_text(_CGROUP / limit_name))
        if limit > 0 and (limit < total or not total):
            used = _number(_text(_CGROUP / used_name))
            used -= _field(_text(_CGROUP / stat_name), cached)
            left = max(limit - used, 0)
            total, free = limit, min(free or left, left)
    return Memory(total, free)


def free_disk(folder: Path) -> int:
    """Bytes that can be written there, 0 unknown."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def folder_size(folder: Path) -> tuple[int, int]:
    """Bytes and number of all files of a folder; 0, 0 where there is none."""
    sizes = []
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                sizes.append(os.lstat(os.path.join(place, name)).st_size)
            except OSError:  # deleted meanwhile
                continue
    return sum(sizes), len(sizes)


def _of_machine() -> tuple[int, int]:
    text = _text(_MEMINFO)
    if total := _field(text, "MemTotal:"):
        return 1024 * total, 1024 * _field(text, "MemAvailable:")
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), 0
    except (AttributeError, OSError, ValueError):
        return 0, 0


def _field(text: str, name: str) -> int:
    """The number behind a name that begins a line; 0 where there is none."""
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == name:
            return _number(words[1])
    return 0


def _number(text: str) -> int:
    return int(text) if text.strip().isdecimal() else 0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
