"""Memory of a machine, and of a container with less."""

import os

import pytest

from cellrec_jax.doctor import host

MIB = 2**20
MEMINFO = "MemTotal: 8192 kB\nMemFree: 1 kB\nMemAvailable: 4096 kB\n"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine of 8 MiB, 4 free; yields its folder of limits."""
    (tmp_path / "meminfo").write_text(MEMINFO)
    monkeypatch.setattr(host, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(host, "_CGROUP", tmp_path)
    return tmp_path


def _write(folder, names, limit, used, cached):
    for name, text in zip(names[:2], (limit, used), strict=True):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"{text}\n")
    (folder / names[2]).write_text(f"anon 5\n{names[3]} {cached}\n")


@pytest.mark.usefixtures("machine")
def test_memory_of_a_machine():
    assert host.memory() == (8 * MIB, 4 * MIB)


@pytest.mark.parametrize("names", host._MEMORY_FILES)
@pytest.mark.parametrize(
    ("limit", "used", "cached", "expected"),
    [
        (6 * MIB, 5 * MIB, 2 * MIB, (6 * MIB, 3 * MIB)),
        (6 * MIB, 1 * MIB, 0, (6 * MIB, 4 * MIB)),  # the machine has no more
        (6 * MIB, 7 * MIB, 0, (6 * MIB, 0)),
        ("max", 1 * MIB, 0, (8 * MIB, 4 * MIB)),
        (2**63 - 4096, 1 * MIB, 0, (8 * MIB, 4 * MIB)),
    ],
)
def test_memory_of_a_container(machine, names, limit, used, cached, expected):
    _write(machine, names, limit, used, cached)
    assert host.memory() == expected


def test_what_is_not_known_is_0(machine, monkeypatch):
    """As where there is no /proc: the size is known, what is free is not."""
    (machine / "meminfo").unlink()
    total, free = host.memory()
    assert (total > 0, free) == (True, 0)
    monkeypatch.delattr(os, "sysconf")
    assert host.memory() == (0, 0)
    assert host.free_disk(machine / "none") == 0


def test_size_of_a_folder(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "x").write_bytes(b"123")
    (tmp_path / "a" / "b" / "y").write_bytes(b"4567")
    assert host.folder_size(tmp_path) == (7, 2)
    assert host.folder_size(tmp_path / "none") == (0, 0)
