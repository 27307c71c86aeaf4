"""Labels of rounds in the two stages: known background, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import errors, methods
from cellrec_jax.methods import calibrated_rcnn
from cellrec_jax.methods.calibrated_rcnn import stages
from cellrec_jax.methods.calibrated_rcnn.options import LossOptions, ModelOptions
from cellrec_jax.types import Progress

MODEL = ModelOptions(rpn_batch=8, roi_batch=8, roi_positive_fraction=0.5)
LOSS = LossOptions(calibration="constant", constant_weight=0.25, scope="both")
CELL, BESIDE, FAR = (
    [10.0, 20.0, 42.0, 52.0],
    [10.0, 36.0, 42.0, 68.0],
    [48.0, 4, 80, 36],
)
LABELED = stages.Truth(
    boxes_yxyx=jnp.array([CELL, BESIDE, [0.0, 0.0, 0.0, 0.0]]),
    labels=jnp.array([0, 1, -1]),  # a cell, known background, padding
    mask=jnp.array([True, True, False]),
    valid=jnp.ones((96, 96), bool),
)
TRUTH = stages.with_background(LABELED)
PLAIN = LABELED._replace(mask=TRUTH.mask)
"""The same without what is known of background."""


def test_background_is_no_cell():
    assert TRUTH.mask.tolist() == [True, False, False]
    assert TRUTH.background.tolist() == [False, True, False]


def _first(truth, boxes_yxyx):
    anchors = np.array(boxes_yxyx, np.float32)
    return stages.first_stage(
        jax.random.key(0),
        jnp.zeros((len(anchors), 2)),
        jnp.zeros((len(anchors), 4)),
        truth,
        anchors_yxyx=anchors,
        progress=Progress(0, 10),
        model=MODEL,
        loss=LOSS,
    )


def test_anchors_at_known_background_are_full_negatives():
    """Half an overlap with a cell beside it (16 / 48) leaves an anchor out else."""
    loss = _first(PLAIN, [CELL, BESIDE, FAR])
    assert loss.background is None
    assert sorted(loss.weight[loss.mask].tolist()) == [0.25, 1.0]  # far and the cell
    loss = _first(TRUTH, [CELL, BESIDE, FAR])
    assert sorted(loss.weight[loss.mask].tolist()) == [0.25, 1.0, 1.0]
    assert loss.positive.sum() == loss.background.sum() == 1
    costs = np.log(2) * np.array([0.25, 1, 1])
    np.testing.assert_allclose(sorted(loss.cls[loss.mask]), costs, rtol=1e-6)


def test_the_best_anchor_of_known_background_is_at_it():
    """7 px off the overlap is 0.64, less than a cell needs."""
    off = [10.0, 43.0, 42.0, 75.0]
    loss = _first(TRUTH, [CELL, off, FAR])
    assert loss.background.sum() == 1
    closer = [10.0, 38.0, 42.0, 70.0]
    loss = _first(TRUTH, [CELL, off, closer, FAR])
    weights = loss.weight[loss.mask & ~loss.positive]
    assert sorted(weights.tolist()) == [0.25, 0.25, 1.0]


def test_a_cell_counts_more_than_background_at_the_same_place():
    both = LABELED._replace(boxes_yxyx=jnp.array([CELL, CELL, CELL]))
    loss = _first(stages.with_background(both), [CELL, FAR])
    assert (loss.positive.sum(), loss.background.sum()) == (1, 0)


def test_outside_of_where_labels_count_nothing_is_known():
    left = TRUTH._replace(valid=jnp.arange(96)[None] < jnp.full((96, 1), 48))
    assert _first(left, [CELL, BESIDE, FAR]).background.sum() == 0


def _second(truth):
    proposals = jnp.array([CELL, BESIDE, FAR])
    rois = stages.sample_rois(
        jax.random.key(0),
        proposals,
        jnp.ones(3, bool),
        truth,
        num_classes=1,
        model=MODEL,
    )
    loss = stages.second_stage(
        jnp.zeros((len(rois.mask), 2)),
        jnp.zeros((len(rois.mask), 1, 4)),
        rois,
        truth,
        jax.random.key(1),
        progress=Progress(0, 10),
        loss=LOSS,
    )
    return rois, loss


def test_rois_at_known_background_weigh_as_cells():
    rois, loss = _second(PLAIN)
    assert rois.background is None
    assert sorted(loss.weight[loss.mask].tolist()) == [0.25, 0.25, 1.0]
    rois, loss = _second(TRUTH)
    assert sorted(loss.weight[loss.mask].tolist()) == [0.25, 1.0, 1.0]
    (known,) = rois.boxes_yxyx[rois.background].tolist()
    assert known == BESIDE
    assert rois.labels[rois.background].tolist() == [1]  # K: background


def test_a_method_has_rounds_only_where_they_are_wanted():
    none, one = (
        calibrated_rcnn.Options(refine=calibrated_rcnn.RefineOptions(rounds=rounds))
        for rounds in (0, 1)
    )
    method = calibrated_rcnn.make(none, num_classes=1)
    assert (method.stages, method.traits.candidates) == ((), None)
    method = calibrated_rcnn.make(one, num_classes=1)
    assert [stage.kind for stage in method.stages] == ["rounds"]
    assert method.traits.candidates is not None


def test_rounds_are_of_one_class():
    options = calibrated_rcnn.Options(refine=calibrated_rcnn.RefineOptions(rounds=1))
    with pytest.raises(errors.ConfigError, match=r"of one class, not 2.*data.classes"):
        calibrated_rcnn.make(options, num_classes=2)


def test_patches_of_a_classifier_must_be_readable():
    fields = {"rounds": 1, "rank": "p_classification", "take": "share", "patch_px": 12}
    with pytest.raises(errors.ConfigError, match=r"refine\.patch_px=12.* at least 13"):
        methods.freeze({"method": "calibrated_rcnn", "refine": fields})
    by_score = {**fields, "rank": "score"}
    methods.freeze({"method": "calibrated_rcnn", "refine": by_score})


def test_trust_tells_cells_predictions_and_background():
    """A box that is trusted by half costs half; where none is counts in full."""
    cells = LABELED._replace(
        boxes_yxyx=jnp.array([CELL, FAR, BESIDE]),
        labels=jnp.array([0, 1, 1]),
        mask=jnp.ones(3, bool),
    )
    truth = stages.with_trust(cells, jnp.array([1.0, 0.5, -1.0]))
    assert truth.mask.tolist() == [True, True, False]
    assert truth.background.tolist() == [False, False, True]
    nowhere = [48.0, 52.0, 80.0, 84.0]
    loss = _first(truth, [CELL, BESIDE, FAR, nowhere])
    costs = np.log(2) * np.array([0.25, 0.5, 1, 1])
    np.testing.assert_allclose(sorted(loss.cls[loss.mask]), costs, rtol=1e-6)
    assert loss.positive.sum() == 2
    assert loss.background.sum() == 1
