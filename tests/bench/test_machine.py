import pytest

from cellrec_jax.bench import machine

MEASURE = machine.peaks.__wrapped__  # tests see others


def test_copy_of_the_nearest_size():
    peaks = machine.Peaks({2**20: 30.0, 2**26: 10.0}, 1.0)
    assert peaks.copy_at(2 * 2**20) == 30  # read and written
    assert peaks.copy_at(1) == 30
    assert peaks.copy_at(2**30) == 10


def test_memory_is_that_of_a_machine():
    assert 2**28 < machine.memory_bytes() < 2**45


def test_measured(monkeypatch):
    monkeypatch.setattr(machine, "_COPY_MIB", (1,))
    monkeypatch.setattr(machine, "_MATMUL_SIDE", {"cpu": 64, "gpu": 64, "tpu": 64})
    peaks = MEASURE()
    assert list(peaks.copy_gb_s) == [2**20]
    assert 0.05 < peaks.copy_gb_s[2**20] < 1e5
    assert 0.01 < peaks.matmul_gflop_s < 1e7


def test_limits_of_a_container_count(monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("1048576\n")
    monkeypatch.setattr(machine.host, "_CGROUP", tmp_path)
    if machine.jax.default_backend() != "cpu":
        pytest.skip("the device's memory counts")
    assert machine.memory_bytes() == 2**20
