"""Targets, samples and calibrated losses of the two stages, by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.methods.calibrated_rcnn import stages
from cellrec_jax.methods.calibrated_rcnn.options import LossOptions, ModelOptions
from cellrec_jax.types import Progress

MODEL = ModelOptions(rpn_batch=8, roi_batch=8, roi_positive_fraction=0.5)
TRUTH = stages.Truth(
    boxes_yxyx=jnp.array([[10.0, 20.0, 42.0, 52.0], [0.0, 0.0, 1.0, 1.0]]),
    labels=jnp.array([0, 5]),
    mask=jnp.array([True, False]),
    valid=jnp.ones((64, 96), bool),
)
ANCHORS = np.array(
    [[10, 20, 42, 52], [12, 22, 44, 54], [0, 60, 32, 92], [30, 60, 62, 92]], np.float32
)


def _first(logits, truth, loss=None):
    return stages.first_stage(
        jax.random.key(0),
        logits,
        jnp.zeros((4, 4)),
        truth,
        anchors_yxyx=ANCHORS,
        progress=Progress(0, 10),
        model=MODEL,
        loss=loss or LossOptions(),
    )


def test_first_stage_roles_and_losses():
    logits = jnp.zeros((4, 2))
    loss = _first(logits, TRUTH)
    # Anchors 0 and 1 (IoU 0.78) are positive, 2 and 3 do not touch the truth.
    assert int(loss.positive.sum()) == 2
    assert int(loss.mask.sum()) == 4
    np.testing.assert_allclose(loss.cls[loss.mask], np.log(2), rtol=1e-6)
    # Anchor 0 is exact; anchor 1 is off by 2 px of 32 in y and x: sigma 3.
    np.testing.assert_allclose(
        sorted(loss.box[loss.positive].tolist()),
        [0, 2 * 0.5 * (3 * 2 / 32) ** 2],
        atol=1e-6,
    )
    assert np.all(loss.box[~loss.positive] == 0)


def test_first_stage_skips_anchors_outside_the_valid_region():
    left = TRUTH._replace(valid=jnp.arange(96)[None, :] < jnp.full((64, 1), 60))
    loss = _first(jnp.zeros((4, 2)), left)
    assert int(loss.mask.sum()) == 2  # only the two positives are left of x = 60


def test_proposals_are_clipped_suppressed_and_best_first():
    logits = jnp.array([[1.0, 0.0], [3.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
    boxes, mask = stages.proposals(
        logits, jnp.zeros((4, 4)), ANCHORS, (40, 90),
        pre_nms=3, post_nms=4, iou_threshold=0.7,
    )  # fmt: skip
    assert mask.tolist() == [True, True, False, False]
    assert boxes[0].tolist() == [12, 22, 40, 54]  # the best; anchor 0 is its double
    assert boxes[1].tolist() == [0, 60, 32, 90]


def test_the_best_of_each_level_are_suppressed_together(rng):
    """As one call for the anchors that a loop chooses."""
    sizes, number = (20, 9, 1), 4
    anchors = rng.uniform(0, 60, (30, 2))
    anchors = np.concatenate([anchors, anchors + rng.uniform(8, 30, (30, 2))], axis=1)
    anchors = anchors.astype(np.float32)
    logits = rng.normal(size=(30, 2)).astype(np.float32)
    deltas = 0.1 * rng.normal(size=(30, 4)).astype(np.float32)
    score, chosen, start = logits[:, 0] - logits[:, 1], [], 0
    for size in sizes:
        order = np.argsort(-score[start : start + size])
        chosen.extend(start + order[:number])
        start += size
    chosen = np.array(chosen)
    assert len(chosen) == 9
    ways = {"post_nms": 7, "iou_threshold": 0.3}
    found, mask = stages.proposals(
        logits, deltas, anchors, (80, 90), pre_nms=number, level_sizes=sizes, **ways
    )
    expected, expected_mask = stages.proposals(
        logits[chosen], deltas[chosen], anchors[chosen], (80, 90), pre_nms=9, **ways
    )
    np.testing.assert_array_equal(mask, expected_mask)
    np.testing.assert_allclose(found[mask], expected[mask], rtol=1e-6)


def test_sampled_rois_carry_class_target_and_background():
    proposals = jnp.concatenate([jnp.asarray(ANCHORS), jnp.zeros((2, 4))])
    mask = jnp.array([True] * 4 + [False] * 2)
    rois = stages.sample_rois(
        jax.random.key(1), proposals, mask, TRUTH, num_classes=3, model=MODEL
    )
    assert int(rois.mask.sum()) == 4
    assert int(rois.positive.sum()) == 2
    labels = np.asarray(rois.labels)
    assert labels[np.asarray(rois.positive)].tolist() == [0, 0]
    assert set(labels[np.asarray(rois.mask & ~rois.positive)]) == {3}
    np.testing.assert_array_equal(rois.target_yxyx[0], TRUTH.boxes_yxyx[0])


def test_truth_boxes_join_the_proposals_only_when_asked():
    far = jnp.asarray(ANCHORS[2:])
    mask = jnp.ones(2, bool)
    without = stages.sample_rois(
        jax.random.key(1), far, mask, TRUTH, num_classes=1, model=MODEL
    )
    assert not np.any(without.positive)
    add = dataclasses.replace(MODEL, roi_add_truth=True)
    joined = stages.sample_rois(
        jax.random.key(1), far, mask, TRUTH, num_classes=1, model=add
    )
    assert int(joined.positive.sum()) == 1


ROIS = stages.RoIs(
    boxes_yxyx=jnp.array(
        [[0, 0, 2, 2], [0, 0, 2, 2], [0, 4, 2, 6], [9, 9, 99, 99]], jnp.float32
    ),
    labels=jnp.array([0, 1, 1, 1]),
    target_yxyx=jnp.array([[0, 0, 2, 2]] * 4, jnp.float32),
    positive=jnp.array([True, False, False, False]),
    mask=jnp.array([True, True, True, False]),
)

REST = {"progress": Progress(0, 10)}


def _second(loss: LossOptions, logits=None, truth=TRUTH, key=0, **rest):
    logits = jnp.zeros((4, 2)) if logits is None else logits
    deltas = jnp.zeros((4, 1, 4))
    rest = REST | rest
    return stages.second_stage(
        logits, deltas, ROIS, truth, jax.random.key(key), loss=loss, **rest
    )


def test_bde_weights_negatives_by_their_energy():
    """Centres (1,1), (1,1), (1,5): densities 4/3, 4/3, 8/3, largest distance 4."""
    plain = _second(LossOptions(calibration="plain"))
    bde = _second(LossOptions(calibration="bde"))
    ratio = np.asarray(bde.cls / plain.cls)[:3]
    np.testing.assert_allclose(ratio, [1, 1 / 3, 2 / 3], rtol=1e-6)
    np.testing.assert_allclose(bde.weight[:3], [1, 1 / 3, 2 / 3], rtol=1e-6)
    assert plain.weight.tolist() == [1] * 4
    np.testing.assert_array_equal(bde.box, plain.box)


def test_negatives_weigh_a_constant():
    loss = LossOptions(calibration="constant", constant_weight=0.3)
    plain, constant = _second(LossOptions(calibration="plain")), _second(loss)
    np.testing.assert_allclose(
        constant.cls[:3], np.asarray(plain.cls[:3]) * [1, 0.3, 0.3]
    )
    np.testing.assert_allclose(constant.weight[:3], [1, 0.3, 0.3])


def test_literal_background_costs_nothing():
    loss = _second(LossOptions(literal=True))
    assert loss.cls[0] > 0
    assert np.all(loss.cls[1:3] == 0)
    assert loss.weight.tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("name", ["label_smoothing", "confidence_penalty", "proselflc"])
def test_other_calibrations_reach_the_loss(name):
    logits = jnp.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    plain = _second(LossOptions(calibration="plain"), logits)
    other = _second(LossOptions(calibration=name, proselflc_steps=1), logits)
    assert np.all(np.isfinite(other.cls))
    assert np.all(np.abs(other.cls - plain.cls)[:2] > 1e-4)


def test_energy_gives_no_gradient_to_the_boxes():
    def total(deltas):
        loss = stages.second_stage(
            jnp.zeros((4, 2)),
            deltas,
            ROIS,
            TRUTH,
            jax.random.key(0),
            loss=LossOptions(),
            **REST,
        )
        return loss.cls.sum()

    assert not np.any(jax.grad(total)(jnp.zeros((4, 1, 4)) + 0.1))


def _negatives(**loss):
    """Weights of the two negatives, centres (1, 1) and (1, 5); a positive at (1, 1)."""
    return _second(LossOptions(**loss)).weight[1:3]


def test_kernel_energy_has_a_bandwidth_of_half_a_side():
    # Sides of 2 px, so 1 px; 4 px away is 4 deviations.
    far = np.exp(-8)
    expected = [1 / (2 + far), 1 / (1 + 2 * far)]
    np.testing.assert_allclose(_negatives(energy="kernel"), expected, rtol=1e-5)
    wide = np.exp(-0.5)
    found = _negatives(energy="kernel", kernel_px=4.0)
    np.testing.assert_allclose(found, [1 / (2 + wide), 1 / (1 + 2 * wide)], rtol=1e-5)


def test_score_energy_spares_what_is_taken_for_a_cell():
    loss = LossOptions(energy="score")
    logits = jnp.log(jnp.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.5, 0.5]]))
    found = _second(loss, logits)
    np.testing.assert_allclose(found.weight[:3], [1, 0.3, 0.8], rtol=1e-5)
    slope = jax.grad(lambda logits: _second(loss, logits).cls[1])(logits)
    # Of 0.3 (-log p_b) with the weight held: 0.3 p_cell.
    np.testing.assert_allclose(slope[1], [0.3 * 0.7, -0.3 * 0.7], rtol=1e-5)


def test_controls_exchange_the_weights_of_negatives():
    np.testing.assert_allclose(
        _negatives(energy_order="inverse"), [2 / 3, 1 / 3], rtol=1e-6
    )
    loss = LossOptions(energy_order="permuted")
    draws = {tuple(_second(loss, key=key).weight.tolist()) for key in range(8)}
    assert len(draws) == 2
    for weight in draws:
        assert sorted(weight[1:3]) == pytest.approx([1 / 3, 2 / 3])
        assert weight[0] == 1


def test_weights_warm_up_over_a_share_of_the_steps():
    halfway = {"warmup": 0.4, "calibration": "constant", "constant_weight": 0.2}
    steps = [0, 1, 2, 4, 9]
    found = [
        float(_second(LossOptions(**halfway), progress=Progress(step, 10)).weight[1])
        for step in steps
    ]
    np.testing.assert_allclose(found, [1, 0.8, 0.6, 0.2, 0.2], rtol=1e-5)


NEAR = TRUTH._replace(
    boxes_yxyx=jnp.array([[0.0, 1.0, 2.0, 3.0], [0.0, 4.0, 2.0, 6.0]]),
    labels=jnp.array([0, 0]),
)
"""IoU 1/3 with the first two boxes, 0 with the third; the second box is padding."""


def test_soft_sampling_weighs_by_overlap_or_distance():
    def weights(truth=NEAR, **loss):
        options = LossOptions(calibration="soft_sampling", **loss)
        return _second(options, truth=truth).weight[:3]

    third = 0.25 + 0.75 * np.exp(-50 * np.exp(-20 / 3))
    np.testing.assert_allclose(weights(), [1, third, 0.25], rtol=1e-5)
    nothing = NEAR._replace(mask=jnp.zeros(2, bool))
    np.testing.assert_allclose(weights(nothing), [1, 0.25, 0.25], rtol=1e-5)
    # Centres are 1 and 3 px from the annotated one, whose side is 2: 1 - d / 8.
    near, far = (0.1 + 0.9 * np.exp(-50 * np.exp(-20 * (1 - d / 8))) for d in (1, 3))
    found = weights(soft_by="distance", soft_reach=4.0, soft_least=0.1)
    np.testing.assert_allclose(found, [1, near, far], rtol=1e-5)


def test_recalibration_turns_boxes_far_from_annotations_that_seem_cells():
    probs = np.float32([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4], [0.9, 0.1]])
    found = _second(
        LossOptions(calibration="recalibrated", recalibrated_weight=0.5),
        jnp.log(probs),
        truth=NEAR,
    )
    assert found.mirrored.tolist()[:3] == [False, False, True]
    expected = [-np.log(0.9), -np.log(0.3), -0.5 * np.log(0.6)]
    np.testing.assert_allclose(found.cls[:3], expected, rtol=1e-5)
    sure = LossOptions(calibration="recalibrated", recalibrated_threshold=0.65)
    assert not np.any(_second(sure, jnp.log(probs), truth=NEAR).mirrored[:3])


def test_unlabelled_boxes_have_their_odds_alone():
    logits = jnp.array([[2.0, 0.5], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    found = _second(LossOptions(calibration="pu"), logits)
    np.testing.assert_allclose(found.margin, [1.5, 1, -1, 0])
    assert found.cls.tolist() == [0] * 4


@pytest.mark.parametrize("name", ["bde", "soft_sampling", "recalibrated", "pu"])
@pytest.mark.parametrize("scope", ["second", "both"])
def test_the_first_stage_is_calibrated_by_scope_both(name, scope):
    logits = jnp.tile(jnp.array([[1.0, 0.0]]), (4, 1))
    plain = _first(logits, TRUTH, LossOptions(calibration="plain"))
    found = _first(logits, TRUTH, LossOptions(calibration=name, scope=scope))
    differs = np.any(np.abs(found.cls - plain.cls)[plain.mask] > 1e-3)
    assert differs == (scope == "both")
