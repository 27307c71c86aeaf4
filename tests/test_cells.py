"""Cells of tiles: chosen, moved, scaled, joined; one cell seen twice is one."""

import dataclasses

import numpy as np
import pytest

from cellrec_jax import cells


def _cells(points_yx, scores, boxes_yxyx=None):
    number = len(scores)
    return cells.Cells(
        np.array(points_yx, np.float32),
        np.array(scores, np.float32),
        np.arange(number, dtype=np.int32),
        np.zeros((number, 1), np.float32),
        None if boxes_yxyx is None else np.array(boxes_yxyx, np.float32),
    )


def test_rows_say_what_is_known():
    plain = _cells([[1, 2.5], [3, 5]], [0.5, 0.75])
    assert len(plain) == 2
    assert plain.to_rows()[0] == {"y": 1.0, "x": 2.5, "score": 0.5, "label": 0}
    boxed = _cells([[1, 2.5]], [0.5], [[0, 1, 2, 3]])
    named = dataclasses.replace(boxed, class_names=("tumour", "other"))
    assert named.to_rows() == [
        {"y": 1.0, "x": 2.5, "score": 0.5, "label": 0, "class": "tumour"}
        | {"y0": 0.0, "x0": 1.0, "y1": 2.0, "x1": 3.0}
    ]


def test_a_table_has_the_same_columns():
    pytest.importorskip("pandas", reason="the extra `pandas` is not installed")
    found = dataclasses.replace(
        _cells([[1, 2], [3, 5]], [0.5, 1]), class_names=("a", "b")
    )
    assert found.to_pandas().to_dict("records") == found.to_rows()
    none = cells.select(found, np.array([False, False])).to_pandas()
    assert list(none.columns) == ["y", "x", "score", "label", "class"]
    assert none.empty


def test_boxes_go_with_their_points():
    found = _cells([[1, 2], [3, 5]], [0.5, 0.9], [[0, 1, 2, 3], [2, 4, 4, 6]])
    moved = cells.rescale(cells.shift(found, (10, 20)), np.array([2, 0.5], np.float32))
    assert moved.points_yx.tolist() == [[22, 11], [26, 12.5]]
    assert moved.boxes_yxyx.tolist() == [[20, 10.5, 24, 11.5], [24, 12, 28, 13]]
    best = cells.sort(moved)
    assert best.labels.tolist() == [1, 0]
    assert best.boxes_yxyx[0].tolist() == [24, 12, 28, 13]


def test_parts_are_joined_with_or_without_boxes():
    part = _cells([[1, 2]], [0.5])
    both = cells.concatenate([part, cells.select(part, np.array([False])), part])
    assert both.points_yx.tolist() == [[1, 2], [1, 2]]
    assert both.boxes_yxyx is None
    boxed = dataclasses.replace(part, boxes_yxyx=np.zeros((1, 4), np.float32))
    assert cells.concatenate([boxed, boxed]).boxes_yxyx.shape == (2, 4)


def test_twins_at_a_seam_become_one():
    found = _cells([[0, 0], [0, 1], [0, 5.5], [0, 1.5]], [0.5, 0.9, 0.7, 0.8])
    kept = cells.drop_twins(found, np.array([0, 1, 0, 2]), 2.0)
    assert kept.scores.tolist() == pytest.approx([0.9, 0.7])


def test_neighbours_of_one_tile_both_stay():
    """The model told them apart; only a cell of another tile can be the same one."""
    found = _cells([[0, 0], [0, 1], [0, 0.5]], [0.5, 0.9, 0.4])
    kept = cells.drop_twins(found, np.array([0, 0, 1]), 2.0)
    assert kept.scores.tolist() == pytest.approx([0.5, 0.9])
