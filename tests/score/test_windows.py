"""Fields with the most: exact counts, compared with a loop over all of them."""

import numpy as np
import pytest

from cellrec_jax.score import definitions, windows

INDEX = definitions.find(("positive", "negative"))[0]
MITOSES = definitions.find(("mitosis", "nucleus"))[0]


@pytest.mark.parametrize("side", [1.0, np.sqrt(2.0), 0.35])
def test_counts_are_those_of_a_loop(side):
    rng = np.random.default_rng(0)
    points_yx = rng.uniform((3.02, -1.3), (5.5, 2.9), (300, 2))
    labels = rng.integers(0, 2, 300)
    corner, counts = windows.counts_in(points_yx, labels, 2, side)
    np.testing.assert_allclose(corner, [3.0, -1.3])
    for row, column in np.ndindex(counts.shape[:2]):
        y, x = corner + np.array([row, column]) * windows.STEP_MM
        field = windows.Field((y, x), side, np.zeros(2))
        expected = np.bincount(labels[field.holds(points_yx)], minlength=2)
        np.testing.assert_array_equal(counts[row, column], expected)
    far = corner + (np.array(counts.shape[:2]) - 1) * windows.STEP_MM + side
    assert (far >= points_yx.max(0) - 1e-9).all()
    assert (far < points_yx.max(0) + 2 * windows.STEP_MM).all()


def test_the_hot_spot_is_where_cells_are_positive_and_enough():
    """Positive cells at (2, 3) mm; a lone positive one elsewhere does not count."""
    rng = np.random.default_rng(1)
    ground = rng.uniform(0, 6, (6000, 2))
    spot = rng.uniform((1.6, 2.6), (2.4, 3.4), (400, 2))
    points_yx = np.concatenate([ground, spot, [[9.0, 9.0]]])
    labels = np.concatenate([np.ones(6000), np.zeros(400), [0]]).astype(int)
    field = windows.highest(points_yx, labels, INDEX, 1.0, 100)
    low = np.asarray(field.corner_yx)
    assert (low <= 1.61).all() or low[1] <= 2.61
    assert (low + 1 >= (2.39, 3.39)).all()
    assert field.counts[0] == 400
    assert field.counts.sum() == field.holds(points_yx).sum()
    lone = windows.highest(points_yx, labels, INDEX, 1.0, 1)
    assert lone.counts.tolist() == [1, 0]
    assert windows.highest(points_yx, labels, INDEX, 1.0, 10_000) is None


def test_most_mitoses_in_2_mm2():
    points_yx = np.array([[0.5, 0.5], [1.0, 1.0], [1.85, 1.85], [9.0, 9.0], [5.0, 5.0]])
    labels = np.array([0, 0, 0, 0, 1])
    field = windows.highest(points_yx, labels, MITOSES, 2.0)
    assert field.counts[0] == 3
    assert field.side_mm == pytest.approx(1.41421, abs=1e-5)
    assert windows.highest(points_yx, labels * 0 + 1, MITOSES, 2.0) is None
    assert windows.highest(points_yx[:0], labels[:0], MITOSES, 2.0) is None


def test_a_square_that_may_lie_anywhere_holds_little_more():
    lost = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        points_yx = rng.uniform(0, 4, (rng.integers(20, 200), 2))
        labels = np.zeros(len(points_yx), int)
        side = np.sqrt(2.0)
        found = windows.highest(points_yx, labels, MITOSES, 2.0).counts[0]
        # The best square has a cell at its upper and one at its left edge.
        in_rows = points_yx[:, 0] - points_yx[:, :1]
        in_columns = points_yx[:, 1] - points_yx[:, 1:]
        rows = ((in_rows >= 0) & (in_rows < side)).astype(float)
        columns = ((in_columns >= 0) & (in_columns < side)).astype(float)
        lost.append((rows @ columns.T).max() - found)
    assert min(lost) >= 0
    assert max(lost) <= 2
