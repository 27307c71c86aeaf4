import pytest

from cellrec_jax.bench import kernel, pu
from cellrec_jax.bench.report import Settings

pytestmark = pytest.mark.usefixtures("quick_peaks")


def test_rows():
    found = pu.run(Settings(sizes=(9,), repeats=1), lambda _: None)
    assert not found.wrong
    names = ["pu_risk", "plain JAX", "copy"] + ["torch"] * kernel.has_torch()
    expected = [
        (direction, name)
        for direction in (kernel.FORWARD, kernel.BOTH)
        for name in names
    ]
    rows = [(row["direction"], row["contestant"]) for row in found.rows]
    assert rows == expected
