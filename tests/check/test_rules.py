"""Findings take their weight from their rule, and their place from their box."""

import numpy as np

from cellrec_jax.check.rules import NOTE, RULES, WEIGHTS, finding, on_slides, worst
from cellrec_jax.data.record import Part
from cellrec_jax.io.geojson_rules import class_fault


def test_every_rule_is_complete():
    for name, rule in RULES.items():
        assert rule.weight in WEIGHTS
        assert rule.what
        assert rule.todo
        assert class_fault(f"check: {name}", [0, 0, 0]) is None


def test_a_box_has_its_middle_for_a_place():
    one = finding("box-twice", "a", "text", box_yxyx=np.array([10, 2, 4, 8]))
    assert (one.y, one.x) == (7, 5)
    assert one.box_yxyx == (4, 2, 10, 8)  # put right
    assert one.weight == "warning"
    assert finding("parts", "a", "text", weight=NOTE).weight == "note"


def test_what_is_not_finite_is_no_place():
    one = finding("not-a-number", "a", "text", point_yx=(np.nan, 3.0))
    assert one.y is None
    assert one.x is None
    one = finding("box-empty", "a", "text", box_yxyx=(0, 0, np.inf, 3))
    assert one.box_yxyx is None
    assert one.x is None


def test_places_on_tiles_become_places_on_their_slide():
    part = Part("s", (100.0, 40.0), (2.0, 4.0))
    found = (
        finding("near", "s/1/0-0", "2 px", (3.25, 7.5)),
        finding("box-twice", "s/1/0-0", "overlaps", box_yxyx=(1, 2, 5, 8)),
        finding("alike", "s/1/0-0", "as another"),
        finding("near", "other", "2 px", (3.25, 7.5)),
    )
    near, box, *rest = on_slides(found, {"s/1/0-0": part})
    assert (near.image, near.y, near.x) == ("s", 106.5, 70)
    assert (box.y, box.x, box.box_yxyx) == (106, 60, (102, 48, 110, 72))
    assert rest == [*found[2:]]


def test_the_worst_weight_counts():
    notes = [finding("alike", "a", ""), finding("class-rare", "", "")]
    assert worst([]) is None
    assert worst(notes) == "note"
    assert worst([*notes, finding("near", "a", "")]) == "warning"
    assert (
        worst([*notes, finding("leak", "a", ""), finding("near", "a", "")]) == "error"
    )
