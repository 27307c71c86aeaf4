"""F1 over the radius, by hand on three images of two classes."""

import numpy as np
import pytest

from cellrec_jax.metrics import counting, radii
from cellrec_jax.metrics.results import ImageResult

NAMES = ("positive", "other")
CUTS = np.zeros(2, np.float32)


def _image(name, found, true, labels=0):
    """Cells on a line, y = 1; all of one class."""
    found, true = (
        np.array([[1.0, x] for x in columns]).reshape(-1, 2)
        for columns in (found, true)
    )
    return ImageResult(
        image_id=name,
        group="",
        pred_points_yx=found.astype(np.float32),
        pred_scores=np.ones(len(found), np.float32),
        pred_labels=np.full(len(found), labels, np.int32),
        pred_boxes_yxyx=None,
        pred_ignored=np.zeros(len(found), bool),
        true_points_yx=true.astype(np.float32),
        true_labels=np.full(len(true), labels, np.int32),
        true_boxes_yxyx=None,
    )


RESULTS = [
    _image("near", [3.0], [0.0]),  # found within 3 px
    _image("far", [5.0, 90.0], [0.0, 60.0]),  # one of two within 5 px
    _image("other", [1.0], [0.0], labels=1),
]


def _table(**options):
    return radii.table(
        RESULTS, NAMES, (2.0, 4.0, 6.0), thresholds=CUTS, num_bootstrap=50, **options
    )


def test_curves_and_areas_by_hand():
    """Positive: 0, 1 and 2 pairs of 3 predictions and 3 cells; means of two images."""
    found = _table()
    assert found["radii_px"] == [2.0, 4.0, 6.0]
    own = found["classes"]["positive"]
    assert own["total_F1"]["value"] == pytest.approx([0, 1 / 3, 2 / 3])
    assert own["mean_F1"]["value"] == pytest.approx([0, 0.5, 0.75])
    assert own["total_F1"]["area"]["value"] == pytest.approx(1 / 3)
    assert own["mean_F1"]["area"]["value"] == pytest.approx((0.25 + 0.625) / 2)
    assert own["num_images"] == 2
    assert found["classes"]["other"]["mean_F1"]["value"] == [1, 1, 1]
    assert found["classes"]["other"]["num_images"] == 1
    low, high = own["mean_F1"]["low"], own["mean_F1"]["high"]
    assert (low[1], high[1]) == (0, 1)  # one image alone, the other alone


def test_images_where_a_class_is_absent_may_count_as_right():
    own = _table(empty_is_one=True)["classes"]["positive"]
    assert own["num_images"] == 3
    assert own["mean_F1"]["value"] == pytest.approx([1 / 3, 2 / 3, 2.5 / 3])
    assert own["total_F1"]["value"] == pytest.approx([0, 1 / 3, 2 / 3])


def test_strict_pairs_are_nearer_than_the_radius():
    assert counting.point_counts(RESULTS, CUTS, 3.0).num_matched[0, 0] == 1
    table = radii.table(
        RESULTS, NAMES, (3.0,), thresholds=CUTS, num_bootstrap=0, strict=True
    )
    own = table["classes"]["positive"]["total_F1"]
    assert own["value"] == [0.0]
    assert own["area"] == {"value": 0.0, "low": None, "high": None}


def test_a_class_that_is_nowhere_is_undefined():
    table = radii.table(
        RESULTS[:1], NAMES, (4.0, 5.0), thresholds=CUTS, num_bootstrap=5
    )
    own = table["classes"]["other"]
    assert own["num_images"] == 0
    assert own["mean_F1"]["value"] == [None, None]
    assert own["total_F1"]["area"]["value"] is None
