import pytest

from cellrec_jax.bench import kernel, points
from cellrec_jax.bench.report import Settings

pytestmark = pytest.mark.usefixtures("quick_peaks")


@pytest.mark.slow
def test_rows():
    found = points.run(Settings(sizes=(16,), repeats=1, batch_size=2), lambda _: None)
    assert not found.wrong
    gce = ["fused", "plain JAX", "copy"] + ["torch"] * kernel.has_torch()
    directions = (kernel.FORWARD, kernel.BOTH)
    expected = [("gce", direction, name) for direction in directions for name in gce]
    expected += [
        ("matched", direction, name)
        for direction in directions
        for name in ("fused", "separate")
    ]
    keys = ("loss", "direction", "contestant")
    assert [tuple(row[key] for key in keys) for row in found.rows] == expected
