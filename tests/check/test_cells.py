from collections import Counter

import numpy as np

from cellrec_jax.check import cells
from cellrec_jax.data.readers import clean, dot_maps, label_images
from tests.check import fakes

NAMES = ("a", "b")


def test_pairs_nearer_than_the_radius():
    record = fakes.record([(10, 20), (10, 23), (30, 20), (30, 25)], [0, 1, 0, 0])
    (one,) = cells.near(fakes.facts(record), 4.0, NAMES)
    assert (one.y, one.x) == (10, 23)
    assert "3.0 px" in one.text
    assert "a and not b" in one.text
    assert len(list(cells.near(fakes.facts(record), 5.0, NAMES))) == 2
    assert not list(cells.near(fakes.facts(record), 2.9, NAMES))


def test_boxes_have_a_rule_of_their_own():
    boxes = fakes.of_boxes([(0, 0, 10, 10), (0, 1, 10, 11)])
    assert not list(cells.near(fakes.facts(boxes), 4.0, NAMES))


def _cleaned(record):
    counts = Counter()
    record = clean.clean(record, counts)
    return record, cells.repaired(record, counts)


def test_what_is_dropped_of_points_is_told_with_its_place():
    points = [(5, 6), (5, 6), (fakes.H + 3, 7), (np.nan, 7), (8, 9)]
    record, found = _cleaned(fakes.record(points))
    assert len(record.points_yx) == 2
    by_rule = {one.rule: one for one in found}
    assert by_rule.keys() == {"twice", "outside", "not-a-number"}
    assert (by_rule["twice"].y, by_rule["twice"].x) == (5, 6)
    assert by_rule["outside"].y == fakes.H + 3
    assert by_rule["not-a-number"].y is None


def test_what_is_mended_of_boxes_is_told_with_its_place():
    boxes = [(5, 5, 5, 9), (30, 20, 20, 40), (50, 110, 60, 140), (60, -1, 70, 9)]
    _, found = _cleaned(fakes.of_boxes(boxes))
    by_rule = {one.rule: one.box_yxyx for one in found}
    assert by_rule == {
        "box-empty": (5, 5, 5, 9),
        "box-inverted": (20, 20, 30, 40),
        "box-clipped": (50, 110, 60, 140),  # and not what is 1 px beyond
    }


def test_a_record_without_faults_has_none():
    assert _cleaned(fakes.record([(5, 6), (20, 30)]))[1] == []
    assert _cleaned(fakes.of_boxes([(5, 6, 20, 30)]))[1] == []


def test_counts_without_a_place_are_one_finding():
    (one,) = cells.repaired(fakes.record(), {clean.POINTS_DUPLICATE: 3})
    assert (one.rule, one.y) == ("twice", None)
    assert one.text.startswith("3 ")


def test_merged_dots_are_near_cells():
    places = {dot_maps.MERGED_DOTS: np.array([[4, 7, 4, 7]], np.float32)}
    record = fakes.record(repaired=places)
    (one,) = cells.repaired(record, {dot_maps.MERGED_DOTS: 1})
    assert (one.rule, one.y, one.x) == ("near", 4, 7)


def test_the_rest_is_told_of_the_set():
    counts = {"things guessed": 4, label_images.SEVERAL_PARTS: 2, clean.POINTS_NAN: 1}
    (one,) = cells.reader_lines(counts)
    assert (one.rule, one.image, one.text) == ("reader", "", "4 things guessed")


def test_cells_in_parts_are_told_at_the_second():
    masks = np.zeros((fakes.H, fakes.W), np.int32)
    masks[10:20, 10:20] = 1
    masks[40:50, 10:20] = 2
    masks[40:44, 30:35] = 2
    masks[70:80, 10:20] = 3
    masks[70, 40] = 3
    masks[20, 20] = 1  # touches by a corner
    found = list(cells.parts(fakes.record(np.zeros((3, 2)), masks=masks)))
    assert [(one.y, one.x, one.weight) for one in found] == [
        (42, 32.5, "warning"),
        (70.5, 40.5, "note"),  # a stray px
    ]
    assert not list(cells.parts(fakes.record([(1, 2)])))
