from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from cellrec_jax.data.readers import clean as cleaning
from cellrec_jax.data.readers.clean import clean, points_from_xy
from cellrec_jax.data.record import Record
from cellrec_jax.errors import DataError

H, W = 20, 30


def _record(points_yx: list, labels: list | None = None, **more: object) -> Record:
    labels = [0] * len(points_yx) if labels is None else labels
    return Record(
        "a",
        np.zeros((H, W, 3), np.uint8),
        np.array(points_yx),
        np.array(labels),
        **more,
    )


@pytest.mark.parametrize(
    ("point_yx", "repair"),
    [
        ((0.0, 0.0), None),
        ((19.99, 29.99), None),
        ((20.0, 5.0), cleaning.POINTS_OUTSIDE),
        ((5.0, 30.0), cleaning.POINTS_OUTSIDE),
        ((25.0, 5.0), cleaning.POINTS_OUTSIDE),  # inside only if y and x are swapped
        ((-0.01, 5.0), cleaning.POINTS_OUTSIDE),
        ((5.0, -1.0), cleaning.POINTS_OUTSIDE),
        ((np.nan, 5.0), cleaning.POINTS_NAN),
        ((5.0, np.nan), cleaning.POINTS_NAN),
        ((np.inf, 5.0), cleaning.POINTS_NAN),
        ((5.0, -np.inf), cleaning.POINTS_NAN),
        ((3.5, 4.5), cleaning.POINTS_DUPLICATE),
    ],
)
def test_unusable_points_are_dropped_and_counted(
    point_yx: tuple[float, float], repair: str | None
) -> None:
    repairs: Counter[str] = Counter()
    record = clean(_record([(3.5, 4.5), point_yx], [1, 1]), repairs)
    assert len(record.points_yx) == (2 if repair is None else 1)
    assert repairs == ({} if repair is None else {repair: 1})
    assert record.points_yx.dtype == np.float32
    assert record.labels.dtype == np.int32


def test_same_point_of_another_class_is_no_duplicate() -> None:
    repairs: Counter[str] = Counter()
    record = clean(_record([(3, 4), (3, 4), (3, 4)], [0, 1, 0]), repairs)
    assert record.labels.tolist() == [0, 1]
    assert repairs == {cleaning.POINTS_DUPLICATE: 1}


def test_order_is_kept() -> None:
    points_yx = [(9, 1), (2, 8), (9, 1), (1, 1), (30, 1), (0, 29)]
    record = clean(_record(points_yx, range(6)), Counter())
    assert record.labels.tolist() == [0, 1, 2, 3, 5]
    record = clean(_record(points_yx), Counter())
    assert record.points_yx.tolist() == [[9, 1], [2, 8], [1, 1], [0, 29]]


@pytest.mark.parametrize(
    ("box_yxyx", "expected", "repair"),
    [
        ((2, 3, 6, 9), (2, 3, 6, 9), None),
        ((0, 0, 20, 30), (0, 0, 20, 30), None),
        ((6, 9, 2, 3), (2, 3, 6, 9), cleaning.BOXES_INVERTED),
        ((2, 9, 6, 3), (2, 3, 6, 9), cleaning.BOXES_INVERTED),
        ((-2, 3, 6, 35), (0, 3, 6, 30), cleaning.BOXES_CLIPPED),
        ((2, 3, 2, 9), None, cleaning.BOXES_DEGENERATE),
        ((2, 3, 6, np.nan), None, cleaning.BOXES_DEGENERATE),
        ((25, 3, 29, 9), None, cleaning.BOXES_DEGENERATE),  # below the image
    ],
)
def test_boxes_are_mended_or_dropped(
    box_yxyx: tuple, expected: tuple | None, repair: str | None
) -> None:
    repairs: Counter[str] = Counter()
    boxes_yxyx = np.array([(0, 0, 4, 4), box_yxyx])
    record = clean(_record([(2, 2), (4, 6)], [0, 1], boxes_yxyx=boxes_yxyx), repairs)
    assert repairs == ({} if repair is None else {repair: 1})
    assert record.boxes_yxyx is not None
    assert record.boxes_yxyx[1:].tolist() == ([] if expected is None else [[*expected]])
    assert len(record.points_yx) == len(record.labels) == len(record.boxes_yxyx)


def test_places_are_those_of_the_file() -> None:
    boxes_yxyx = np.array([(0, 0, 4, 4), (6, 9, 2, 3), (-2, 3, 6, 35), (2, 3, 2, 9)])
    points_yx = [(2, 2), (4, 6), (2, 19), (25, 6)]
    known = {"read": np.zeros((1, 4), np.float32)}
    record = _record(points_yx, boxes_yxyx=boxes_yxyx, repaired=known)
    found = {k: v.tolist() for k, v in clean(record, Counter()).repaired.items()}
    assert found == {
        "read": [[0, 0, 0, 0]],
        cleaning.BOXES_INVERTED: [[6, 9, 2, 3]],
        cleaning.BOXES_CLIPPED: [[-2, 3, 6, 35]],
        cleaning.POINTS_OUTSIDE: [[2, 3, 2, 9]],
    }
    assert list(known) == ["read"]  # the input is left alone
    points = clean(_record([(3.5, 4.5), (3.5, 4.5), (8, 99)]), Counter()).repaired
    assert points[cleaning.POINTS_DUPLICATE].tolist() == [[3.5, 4.5, 3.5, 4.5]]
    assert points[cleaning.POINTS_OUTSIDE].tolist() == [[8, 99, 8, 99]]


def test_concentric_boxes_are_two_cells() -> None:
    boxes_yxyx = np.array([(2, 2, 6, 8), (3, 4, 5, 6), (2, 2, 6, 8)])
    record = clean(_record([(4, 5)] * 3, boxes_yxyx=boxes_yxyx), Counter())
    assert record.boxes_yxyx is not None
    assert record.boxes_yxyx.tolist() == [[2, 2, 6, 8], [3, 4, 5, 6]]


def test_masks_follow_the_points() -> None:
    masks = np.zeros((H, W), np.int32)
    masks[0, 1], masks[1, 2], masks[2, 3] = 1, 2, 3
    points_yx = [(0.5, 1.5), (np.nan, 2.5), (2.5, 3.5)]
    record = clean(_record(points_yx, [4, 5, 6], masks=masks), Counter())
    assert record.masks is not None
    assert record.labels.tolist() == [4, 6]
    assert record.masks[[0, 1, 2], [1, 2, 3]].tolist() == [1, 0, 2]
    assert masks[1, 2] == 2  # the input is left alone


@pytest.mark.parametrize("labels", [[-1], [2]])
def test_unknown_class_ids_are_an_error(labels: list[int]) -> None:
    with pytest.raises(DataError, match=r"image a: unknown class id -?\d .*pos, neg"):
        clean(_record([(1, 2)], labels), Counter(), ["pos", "neg"])
    with pytest.raises(DataError, match="unknown class id -1"):
        clean(_record([(1, 2)], [-1]), Counter())


def test_no_cells() -> None:
    repairs: Counter[str] = Counter()
    record = clean(_record([], boxes_yxyx=np.zeros((0, 4))), repairs)
    assert record.points_yx.shape == (0, 2)
    assert record.boxes_yxyx is not None
    assert record.boxes_yxyx.shape == (0, 4)
    assert not repairs


_numbers = st.one_of(
    st.sampled_from([0.0, 19.5, 20.0, 30.0, np.nan, np.inf]), st.floats(-9, 40)
)


@given(st.lists(st.tuples(_numbers, _numbers, st.integers(0, 2))))
def test_clean_is_idempotent_and_counts_all(cells: list[tuple]) -> None:
    repairs: Counter[str] = Counter()
    record = clean(
        _record([cell[:2] for cell in cells], [cell[2] for cell in cells]), repairs
    )
    assert len(record.points_yx) + repairs.total() == len(cells)
    assert all(0 <= y < H and 0 <= x < W for y, x in record.points_yx)
    again: Counter[str] = Counter()
    np.testing.assert_array_equal(clean(record, again).points_yx, record.points_yx)
    assert not again


@pytest.mark.parametrize(
    ("points_xy", "points_yx"),
    [
        ([(7, 3)], [[3.5, 7.5]]),
        ([(7.0, 3.0), (0.0, 9.0)], [[3.5, 7.5], [9.5, 0.5]]),
        ([(7.25, 3.0), (1.0, 9.0)], [[3.0, 7.25], [9.0, 1.0]]),  # continuous already
        ([], np.zeros((0, 2)).tolist()),
        ([(1e300, 2.5)], [[2.5, np.inf]]),
    ],
)
def test_points_from_xy(points_xy: list, points_yx: list) -> None:
    assert points_from_xy(np.array(points_xy)).tolist() == points_yx


def test_points_from_xy_keeps_nan() -> None:
    points_yx = points_from_xy(np.array([(7, 3), (np.nan, 4)]))
    np.testing.assert_array_equal(points_yx, [[3.5, 7.5], [4.5, np.nan]])
