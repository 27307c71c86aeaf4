import numpy as np
import pytest

from cellrec_jax import cells as cell_lib
from cellrec_jax.cells import Cells
from cellrec_jax.metrics import suppression
from cellrec_jax.predict.slide.settle import Settler


def _cells(points_yx, scores) -> Cells:
    number = len(points_yx)
    return Cells(
        np.asarray(points_yx, np.float32).reshape(-1, 2),
        np.asarray(scores, np.float32),
        np.zeros(number, np.int32),
        np.ones((number, 1), np.float32),
    )


def _stream(found, tiles, own_px, min_distance, twins_px, rows):
    settler = Settler(min_distance, twins_px)
    parts = []
    for row in range(rows):
        y = found.points_yx[:, 0]
        here = (y >= row * own_px) & (y < (row + 1) * own_px)
        frontier = (row + 1) * own_px if row < rows - 1 else np.inf
        part = settler.add(cell_lib.select(found, here), tiles[here], frontier)
        parts.append(part)
    return cell_lib.concatenate(parts), parts


@pytest.mark.parametrize("own_px", [7, 10, 25, 100])
@pytest.mark.parametrize("min_distance", [0.0, 3.0, 12.0])
def test_rows_settle_as_if_all_were_there(rng, own_px, min_distance):
    """Long chains of lesser and better cells too, and equal scores."""
    points_yx = rng.uniform(0, 100, (300, 2)).astype(np.float32)
    scores = rng.integers(1, 30, 300) / 32
    found = _cells(points_yx, scores)
    tiles = np.zeros(300, np.int64)
    got, _ = _stream(found, tiles, own_px, min_distance, 0.0, -(-100 // own_px))
    order = np.lexsort((points_yx[:, 1], points_yx[:, 0], -scores))
    kept = suppression.suppress(points_yx[order], scores[order], min_distance)
    expected = points_yx[order][kept]
    assert len(expected) > 20
    np.testing.assert_array_equal(
        got.points_yx[np.lexsort(got.points_yx.T)], expected[np.lexsort(expected.T)]
    )


def test_twins_are_of_two_tiles():
    """Cells at 9.5 and 10.5 are one if two tiles found them, else two."""
    found = _cells([[9.5, 5], [10.5, 5], [9.6, 50], [10.4, 50.0]], [0.6, 0.7, 0.9, 0.8])
    tiles = np.array([0, 1, 3, 3])
    got, parts = _stream(found, tiles, 10, 0.0, 2.0, 2)
    np.testing.assert_allclose(got.points_yx, [[9.6, 50], [10.4, 50], [10.5, 5]])
    assert [len(part) for part in parts] == [0, 3]  # all wait for the row below


def test_a_cell_waits_for_a_better_one_that_waits():
    """The first falls to the second only if that one does not fall to the third."""
    points_yx = [[6.0, 0.0], [8.0, 0.0], [10.5, 0.0]]
    for last, kept in ((0.9, [6.0, 10.5]), (0.1, [8.0])):
        found = _cells(points_yx, [0.5, 0.6, last])
        got, parts = _stream(found, np.zeros(3, np.int64), 10, 3.0, 0.0, 2)
        np.testing.assert_allclose(got.points_yx[:, 0], kept)
        assert len(parts[0]) == 0


def test_what_is_settled_is_given_away_at_once():
    found = _cells([[1.0, 0.0], [5.0, 0.0], [9.0, 0.0]], [0.5, 0.6, 0.7])
    settler = Settler(2.0, 0.0)
    first = settler.add(found, np.zeros(3, np.int64), 10.0)
    np.testing.assert_allclose(first.points_yx[:, 0], [1.0, 5.0])
    last = settler.add(_cells([], []), np.zeros(0, np.int64), np.inf)
    np.testing.assert_allclose(last.points_yx[:, 0], [9.0])
