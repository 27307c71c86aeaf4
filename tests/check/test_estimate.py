"""The share without annotations by hand, and where it cannot be told."""

import numpy as np
import pytest

from cellrec_jax.check import estimate
from cellrec_jax.metrics.results import ImageResult


def _image(number: int, marked: int, false: int = 0, missed: int = 0) -> ImageResult:
    """`number` detections, best first, of which `marked`, spread evenly, are annotated.

    Below them `false` more; `missed` annotations are elsewhere.
    """
    total = number + false
    points = np.stack([np.arange(total) * 50.0, np.zeros(total)], 1)
    at = np.floor(np.arange(marked) * number / max(marked, 1)).astype(int)
    lost = np.stack([np.arange(missed) * 50.0, np.full(missed, 400.0)], 1)
    truth = np.concatenate([points[at], lost])
    return ImageResult(
        image_id="a",
        group="",
        pred_points_yx=points.astype(np.float32),
        pred_scores=np.linspace(0.9, 0.5, total, dtype=np.float32),
        pred_labels=np.arange(total) % 2,
        pred_boxes_yxyx=None,
        pred_ignored=np.zeros(total, bool),
        true_points_yx=truth.astype(np.float32),
        true_labels=np.zeros(len(truth), int),  # classes count for nothing
        true_boxes_yxyx=None,
    )


def test_by_the_models_precision():
    """Of 100 detections 80 are cells, of which 60 are annotated: a fourth is not."""
    own = estimate.precisions([_image(80, 80, false=20)] * 3, 5.0)
    assert own[0] == 0.8
    found = estimate.estimate([_image(80, 60, false=20, missed=30)] * 4, 5.0, own)
    assert found.by == "precision"
    assert found.share == pytest.approx(0.25)
    assert found.precision[0] == 0.8
    assert (found.num_annotated, found.num_detected) == (4 * 90, 4 * 100)
    assert found.num_matched == 4 * 60
    assert (found.low, found.high) == pytest.approx((0.25, 0.25))  # images are alike


def test_the_interval_is_of_both_sets_of_images():
    own = estimate.precisions([_image(80, 80, 20), _image(80, 80, 60)] * 4, 5.0)
    alike = [_image(80, 60, 20)] * 8
    unlike = [_image(80, 70, 20), _image(80, 50, 20)] * 4
    sure = estimate.estimate(alike, 5.0, np.full(401, 0.8))
    widths = []
    for images, precision in ((alike, own), (unlike, np.full(401, 0.8)), (unlike, own)):
        found = estimate.estimate(images, 5.0, precision)
        widths.append(found.high - found.low)
    assert sure.high == pytest.approx(sure.low)
    assert 0 < max(widths[:2]) < widths[2]


def test_more_matches_than_cells_are_a_share_of_0():
    own = np.full(11, 0.5)
    found = estimate.estimate([_image(50, 45)] * 3, 5.0, own)
    assert (found.share, found.low, found.high) == (0, 0, 0)


def test_by_the_ranking_where_precision_is_not_known():
    """The surest detections are cells, two of three annotated; below, none is."""
    images = [_image(60, 40 + 4 * (i % 2 * 2 - 1), false=60) for i in range(6)]
    found = estimate.estimate(images, 5.0)
    assert found.by == "ranking"
    assert found.precision == ()
    assert found.share == pytest.approx(1 / 3, abs=0.04)
    assert found.low <= 1 / 3 <= found.high


@pytest.mark.parametrize(
    ("images", "why"),
    [
        ([_image(80, 4)] * 4, "fewer than 20 annotated cells"),
        ([_image(4, 0, missed=30)] * 4, "fewer than 20 detections"),
        ([_image(80, 60)], "a single image has no interval"),
        ([_image(80, 80), _image(80, 5)], "the interval is too wide"),
    ],
)
def test_where_it_cannot_be_told(images, why):
    found = estimate.estimate(images, 5.0, np.full(401, 1.0))
    assert found.share is None
    assert found.why_not == why


def test_a_precision_of_nothing_is_not_known():
    own = estimate.precisions([_image(0, 0)] * 2, 5.0)
    assert np.isnan(own[0])
    assert estimate.estimate([_image(60, 40)] * 4, 5.0, own).by == "ranking"
