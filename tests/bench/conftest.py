import pytest

from cellrec_jax.bench import machine


@pytest.fixture(autouse=True)
def quick_peaks(monkeypatch):
    """Bounds that are not measured, which takes seconds."""
    peaks = machine.Peaks({2**20: 10.0}, 100.0)
    monkeypatch.setattr(machine, "peaks", lambda: peaks)
    return peaks
