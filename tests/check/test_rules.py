"""Findings take their weight from their rule, and their place from their box."""

import numpy as np

from cellrec_jax.check.rules import NOTE, RULES, WEIGHTS, finding, worst
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


def test_the_worst_weight_counts():
    notes = [finding("alike", "a", ""), finding("class-rare", "", "")]
    assert worst([]) is None
    assert worst(notes) == "note"
    assert worst([*notes, finding("near", "a", "")]) == "warning"
    assert (
        worst([*notes, finding("leak", "a", ""), finding("near", "a", "")]) == "error"
    )
