"""Cells as writers get them: boxes at the border, masks, numbers as text."""

import numpy as np

from cellrec_jax.convert import cells as lib


def _cells(points: list) -> lib.ImageCells:
    points_yx = np.array(points, np.float64).reshape(-1, 2)
    labels = np.zeros(len(points_yx), np.int32)
    nothing = (None,) * 5
    return lib.ImageCells("a", None, (20, 30), points_yx, labels, *nothing)


def test_drawn_boxes_stay_inside_and_centred() -> None:
    found = lib.with_boxes(_cells([(10, 15), (2, 15), (10, 29.5), (0, 30)]), 8)
    expected = [[6, 11, 14, 19], [0, 11, 4, 19], [6, 29, 14, 30], [0, 29.98, 0.02, 30]]
    np.testing.assert_allclose(found.boxes_yxyx, expected)


def test_narrow_boxes_are_widened_inside() -> None:
    boxes = [[5, 6, 9, 6.4], [0, 3, 0.2, 9], [19.5, 29.9, 20, 30], [1, 2, 2, 4]]
    cells = _cells([(1, 1)] * 4)._replace(boxes_yxyx=np.array(boxes))
    found, number = lib.widened(cells, 1.0)
    expected = [[5, 5.7, 9, 6.7], [0, 3, 1, 9], [19, 29, 20, 30], [1, 2, 2, 4]]
    np.testing.assert_allclose(found.boxes_yxyx, expected)
    assert number == 3
    assert lib.widened(cells, 0.0) == (cells, 0)


def test_boxes_around_masks() -> None:
    masks = np.zeros((20, 30), np.int32)
    masks[2:5, 7:9] = 2
    masks[10, 3] = masks[12, 20] = 1
    found = lib.around_masks(_cells([(11, 12), (3.5, 8)])._replace(masks=masks))
    np.testing.assert_array_equal(found, [[10, 3, 13, 21], [2, 7, 5, 9]])


def test_scores_and_texts() -> None:
    scored = _cells([(1, 2), (3, 4)])._replace(scores=np.array([0.25, np.nan]))
    assert [scored.score(0), scored.score(1)] == [0.25, None]
    assert _cells([(1, 2)]).score(0) is None
    assert lib.texts([0.5, -0.25, 100, 0]) == ["0.5", "-0.25", "100", "0"]
    assert [lib.guarded(text) for text in ("=a", "a=", "-")] == ["'=a", "a=", "'-"]
