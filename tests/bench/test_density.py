import numpy as np
import pytest

from cellrec_jax.bench import density, kernel
from cellrec_jax.bench.report import Settings

pytestmark = pytest.mark.usefixtures("quick_peaks")


def test_rows():
    said = []
    settings = Settings(sizes=(5, 9), batch_size=2, repeats=2)
    found = density.run(settings, said.append)
    assert not found.wrong
    names = ["sorted", "dense"] + ["torch cdist"] * kernel.has_torch()
    expected = [(boxes, 2, name) for boxes in (5, 9) for name in names]
    keys = ("boxes", "batch", "contestant")
    assert [tuple(row[key] for key in keys) for row in found.rows] == expected
    assert said == [f"density: boxes {n}, batch 2, forward" for n in (5, 9)]
    assert "DENSE_UP_TO" in found.notes[0]


def test_expected_by_hand():
    points_yx = np.array([[[0, 0], [3, 4], [0, 1]]], np.float32)
    density_px = density._expected(points_yx, None)
    np.testing.assert_allclose(density_px, [[8 / 3, 13 / 3, 7 / 3]])


def test_advice_is_the_largest_size_at_which_dense_does_not_lose():
    rows = [
        {"boxes": boxes, "contestant": "sorted", "ratio": ratio}
        for boxes, ratio in ((64, 2.0), (128, 0.95), (256, 0.8), (512, 3.0))
    ]
    assert "as fast up to 128 boxes" in density._advice(rows)
