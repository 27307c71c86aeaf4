"""Corrections of predictions, by hand: who is whose cell, and what became of it."""

import numpy as np
import orjson
import pytest

from cellrec_jax.convert import corrections
from cellrec_jax.convert.corrections import compare
from cellrec_jax.data.annotations import qupath
from cellrec_jax.data.annotations.content import Annotations
from cellrec_jax.errors import DataError

FOUR = [
    (10, 20, "pos", "a", 0.9),
    (30, 20, "neg", "b", 0.8),
    (50, 20, "pos", "c", 0.7),
    (70, 20, "neg", "d", 0.6),
]
"""y, x, class, id, score of what was predicted."""


def _read(rows, *, trust=None, boxes=None, ignore=()) -> Annotations:
    rows = [(*row, *("", np.nan)[len(row) - 3 :]) for row in rows]
    points_yx = np.array([row[:2] for row in rows], np.float64).reshape(-1, 2)
    nothing = np.full((len(rows), 4), np.nan)
    return Annotations(
        points_yx,
        tuple(row[2] for row in rows),
        nothing if boxes is None else np.array(boxes, np.float64),
        np.array([row[4] for row in rows], np.float64),
        ignore=ignore,
        trust=None if trust is None else np.array(trust, np.float64),
        ids=tuple(row[3] for row in rows),
    )


def _told(found: Annotations) -> list[tuple]:
    """(y, x, class, trust), sorted."""
    rows = zip(*found.points_yx.T, found.names, found.trust, strict=True)
    return sorted((float(y), float(x), name, float(t)) for y, x, name, t in rows)


def _compare(corrected, before=None, trust=0.5):
    old, new = _read(FOUR), _read(corrected)
    return compare(old, new, before, radius_px=8.0, trust=trust)


@pytest.mark.parametrize("with_ids", [True, False])
def test_each_kind_of_correction(with_ids: bool) -> None:
    """Untouched, relabelled, moved by 3 px; d deleted; one added. QuPath's 2 digits."""
    corrected = [
        (10.004, 20, "pos", "a"),
        (30, 20, "pos", "b"),
        (50, 23, "pos", "c"),
        (90, 90, "neg", "new"),
    ]
    corrected = corrected if with_ids else [row[:3] for row in corrected]
    found, counts = _compare(corrected)
    assert _told(found) == [
        (10, 20, "pos", 0.5),
        (30, 20, "pos", 1),
        (50, 23, "pos", 1),
        (70, 20, "neg", -1),
        (90, 90, "neg", 1),
    ]
    assert counts == {
        corrections.ADDED: 1,
        corrections.DELETED: 1,
        corrections.CHANGED: 2,
        corrections.UNTOUCHED: 1,
    }


def test_an_id_tells_a_cell_that_was_moved_far_a_place_does_not() -> None:
    rest = [row[:4] for row in FOUR[1:]]
    found, counts = _compare([*rest, (10, 60, "pos", "a")])
    assert _told(found)[:2] == [(10, 20, "pos", -1), (10, 60, "pos", 1)]
    assert counts[corrections.CHANGED] == counts[corrections.DELETED] == 1
    found, counts = _compare([*rest, (10, 60, "pos", "else")])
    assert _told(found)[:2] == [(10, 20, "pos", -1), (10, 60, "pos", 1)]
    assert counts[corrections.ADDED] == counts[corrections.DELETED] == 1


def test_without_ids_cells_are_shared_out_by_distance() -> None:
    """Two predictions 6 px apart: the nearer one each, whatever their order."""
    old = _read([(10, 10, "pos"), (10, 16, "pos")])
    new = _read([(10, 17, "pos"), (10, 10, "neg")])
    found, counts = compare(old, new, radius_px=8.0, trust=0.5)
    assert _told(found) == [(10, 10, "neg", 1), (10, 17, "pos", 1)]
    assert counts[corrections.CHANGED] == 2
    assert not counts[corrections.DELETED]


def test_duplicates_count_once() -> None:
    """The same object twice, and the same cell without an id."""
    rows = [row[:4] for row in FOUR]
    found, counts = _compare([*rows, rows[0], (90, 90, "neg"), (90, 90.01, "neg")])
    assert len(found.names) == 5
    assert counts[corrections.ADDED] == 1


def test_a_label_drawn_on_a_prediction_takes_its_place() -> None:
    """Not deleted, but a point of another class beside it."""
    found, counts = _compare([*(row[:4] for row in FOUR), (12, 22, "neg")])
    assert _told(found)[0] == (12, 22, "neg", 1)
    assert counts[corrections.UNTOUCHED] == 3
    # Deleted, and drawn anew: no background either.
    found, counts = _compare([*(row[:4] for row in FOUR[1:]), (12, 22, "neg", "new")])
    assert _told(found)[0] == (12, 22, "neg", 1)
    assert not counts[corrections.DELETED]


def test_a_double_that_is_deleted_leaves_no_background_at_the_cell() -> None:
    old = _read([(10, 10, "pos", "a", 0.9), (12, 12, "pos", "b", 0.3)])
    found, _ = compare(old, _read([(10, 10, "pos", "a")]), radius_px=8.0, trust=0.5)
    assert _told(found) == [(10, 10, "pos", 0.5)]


def test_trust_is_the_score_where_asked() -> None:
    old = _read([(10, 20, "pos", "a", 1.0), (30, 20, "neg", "b", 0.25)])
    found, _ = compare(old, old, radius_px=8.0, trust=None)
    assert found.trust.tolist() == [0.99, 0.25]


def test_what_was_known_before_stays_unless_it_is_corrected() -> None:
    """Of earlier labels and corrections; d is deleted now."""
    before = _read(
        [
            (11, 21, "neg"),  # at a, untouched: given as before
            (31, 20, "neg"),  # at b, relabelled now
            (71, 20, "neg"),  # at d, deleted now
            (51, 20, "pos"),  # known background at c, untouched
            (90, 90, "pos"),  # missed by the model
            (90, 20, "pos"),  # known background, where a cell is drawn now
            (10, 90, "pos"),  # predicted before: forgotten
        ],
        trust=[1, 1, 1, -1, 1, -1, 0.5],
    )
    corrected = [FOUR[0][:4], (30, 20, "pos", "b"), FOUR[2][:4], (91, 20, "neg")]
    found, counts = _compare(corrected, before)
    assert _told(found) == [
        (11, 21, "neg", 1),
        (30, 20, "pos", 1),
        (51, 20, "pos", -1),
        (70, 20, "neg", -1),
        (90, 90, "pos", 1),
        (91, 20, "neg", 1),
    ]
    assert counts[corrections.BEFORE] == 3
    assert not counts[corrections.UNTOUCHED]


def test_cells_without_a_class() -> None:
    old = _read([(10, 20, "cell", "a", 0.9)])
    found, _ = compare(old, _read([(50, 50, "")]), radius_px=8.0, trust=0.5)
    assert _told(found) == [(10, 20, "cell", -1), (50, 50, "cell", 1)]
    with pytest.raises(DataError, match=r"1 cells .* first at \(60, 50\).*neg or pos"):
        _compare([(50, 60, "")])


def test_nothing_predicted_and_nothing_left() -> None:
    nothing = _read([])
    assert not compare(nothing, nothing, radius_px=8.0, trust=0.5)[0].names
    found, _ = _compare([])
    assert found.trust.tolist() == [-1] * 4


def test_points_beside_boxes_get_the_median_box() -> None:
    boxes = [(6, 16, 14, 24), (24, 16, 36, 24), (44, 14, 56, 26)]
    old = _read(FOUR[:3], boxes=boxes)
    new = _read([*(row[:4] for row in FOUR[:3]), (80, 80, "neg")])
    found, _ = compare(old, new, radius_px=8.0, trust=0.5)
    by_place = dict(zip(found.points_yx[:, 0], found.boxes_yxyx.tolist(), strict=True))
    assert by_place[80] == [74, 76, 86, 84]  # 12 x 8
    assert by_place[10] == [6, 16, 14, 24]


def test_the_file_reads_as_it_was_written(tmp_path) -> None:
    ring = np.array([[0, 0], [0, 9], [7, 9], [7, 0]], np.float64)
    new = _read([FOUR[0][:4], (30, 20, "pos", "b")], ignore=((ring,),))
    found, _ = compare(_read(FOUR), new, radius_px=8.0, trust=0.25)
    file = tmp_path / "a.geojson"
    file.write_bytes(orjson.dumps(corrections.collection(found)))
    read = qupath.parse(file)
    assert _told(read) == _told(found)
    assert sorted(read.scores[np.isfinite(read.scores)]) == [0.6, 0.7, 0.9]
    assert len(read.ignore) == 1
