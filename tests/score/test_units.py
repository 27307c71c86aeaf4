"""Squares and images: every cell in one, all of the area shared out."""

import numpy as np
import pytest

from cellrec_jax.score import units
from cellrec_jax.score.sheets import Sheet


def sheet(points_yx, size_hw=None, area_mm2=None, mpp=0.0):
    points_yx = np.asarray(points_yx, np.float64)
    labels = np.arange(len(points_yx)) % 2
    return Sheet("a", points_yx, labels, size_hw, area_mm2, mpp)


def test_an_image_is_cut_into_about_16_squares():
    # 400 x 600 px: 3.27 x 4.90 of 122 px, so 3 x 5.
    rng = np.random.default_rng(0)
    points_yx = rng.uniform(0, (400, 600), (500, 2))
    found = units.of_sheets([sheet(points_yx, (400, 600), 0.06, 0.5)], 2)
    assert found.counts.shape == (15, 2)
    np.testing.assert_allclose(found.areas_mm2, 0.06 / 15)
    assert found.what == "15 squares of about 61 um"
    for i, (row, column) in enumerate(np.ndindex(3, 5)):
        low = np.array([row * 400 / 3, column * 120])
        high = low + np.array([400 / 3, 120])
        inside = np.all((points_yx >= low) & (points_yx < high), axis=1)
        expected = np.bincount(np.arange(500)[inside] % 2, minlength=2)
        np.testing.assert_array_equal(found.counts[i], expected)


def test_a_slides_squares_lie_where_its_cells_are():
    """Two pieces of tissue of 2 x 2 mm, 8 mm apart: squares of 0.71 mm in both."""
    rng = np.random.default_rng(1)
    piece = rng.uniform(0, 4000, (4000, 2))
    points_yx = np.concatenate([piece[:2000], piece[2000:] + 16000])
    found = units.of_sheets([sheet(points_yx, None, 8.0, 0.5)], 2)
    assert found.counts.sum() == 4000
    assert 16 <= len(found.counts) <= 32
    assert found.areas_mm2.sum() == pytest.approx(8.0)
    assert found.what.endswith("squares of about 707 um")
    # As dense everywhere: areas follow the cells.
    dense = found.counts.sum(1) / found.areas_mm2
    large = found.areas_mm2 > 0.2
    assert np.abs(dense[large] / 500 - 1).max() < 0.25


def test_images_are_units_where_there_are_enough():
    sheets = [sheet([[1, 1]] * n, (10, 10), 0.5) for n in range(1, 7)]
    found = units.of_sheets(sheets, 2)
    np.testing.assert_array_equal(found.counts.sum(1), [1, 2, 3, 4, 5, 6])
    assert (found.what, found.areas_mm2.sum()) == ("6 images", 3.0)
    few = units.of_sheets(sheets[:3], 2)
    assert few.what == "12 squares of about 4 px"
    assert few.counts.sum() == 6


def test_what_is_not_known():
    assert np.isnan(units.of_sheets([sheet([[1, 1]] * 3, (10, 10))], 2).areas_mm2).all()
    alone = units.of_sheets([sheet([[5, 5]])], 2)
    assert alone.counts.tolist() == [[1, 0]]
    empty = units.of_sheets([sheet(np.zeros((0, 2)), None, 2.0, 0.5)], 2)
    assert (empty.counts.tolist(), empty.areas_mm2.tolist()) == ([[0, 0]], [2.0])
    framed = units.of_sheets([sheet([[5, 5], [85, 105]])], 2)
    assert framed.counts.sum() == 2
    assert units.of_sheets([], 2).counts.shape == (0, 2)


def test_points_at_the_border_belong_to_the_last_square():
    index, shape = units.square_of(np.array([[10.0, 10.0], [-0.1, 0.0]]), (10, 10), 4)
    assert (index.tolist(), shape) == ([3, 0], (2, 2))
