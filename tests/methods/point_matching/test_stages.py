"""Proposals, matching, logs and decoding of matched points, by hand."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.losses import matched
from cellrec_jax.methods.point_matching import stages
from cellrec_jax.methods.point_matching.options import LossOptions, ModelOptions
from cellrec_jax.nn.point_net import PointOutputs
from cellrec_jax.ops.matching import Match
from cellrec_jax.types import Batch, Decode, Progress

MODEL = ModelOptions(level=3, anchors="2x2", offset_scale=10.0)
LOSS = LossOptions(matcher="host")
JOINT = LossOptions(matcher="host", classification="cross_entropy")

match = jax.jit(stages.match, static_argnames="loss")
losses = jax.jit(stages.losses, static_argnames="loss")
negative_scale = jax.jit(stages.negative_scale, static_argnames="loss")
diagnostics = jax.jit(stages.diagnostics)
weight_logs = jax.jit(stages.weight_logs)
draw_negatives = jax.jit(stages.draw_negatives, static_argnames="loss")
cell_mask = jax.jit(stages.cell_mask)


def _batch(points_yx, labels, *, size_hw=(12, 20), **changes) -> Batch:
    """One image with these cells, all of them real."""
    points_yx = np.asarray(points_yx, np.float32).reshape(1, -1, 2)
    count = points_yx.shape[1]
    batch = Batch(
        image=np.zeros((1, *size_hw, 3), np.float32),
        image_mask=np.ones(1, bool),
        points_yx=points_yx,
        labels=np.asarray(labels, np.int32).reshape(1, count),
        points_mask=np.ones((1, count), bool),
        boxes_yxyx=np.zeros((1, count, 4), np.float32),
        valid=np.ones((1, *size_hw), bool),
        example_index=np.zeros(1, np.int32),
    )
    return batch._replace(**changes)


def _proposals(points_yx, object_logits, class_logits=None, mask=None):
    """One image; logits of (object, background) are (value, 0)."""
    logits = np.asarray(object_logits, np.float32)
    logits = np.stack([logits, np.zeros_like(logits)], axis=-1)
    classes = None if class_logits is None else np.asarray(class_logits, np.float32)
    mask = np.ones(len(logits), bool) if mask is None else np.asarray(mask)
    return stages.Proposals(
        jnp.asarray(points_yx, jnp.float32)[None],
        jnp.asarray(logits)[None],
        None if classes is None else jnp.asarray(classes)[None],
        jnp.asarray(mask)[None],
    )


def test_propose_moves_anchors_and_masks_padding_and_invalid_regions():
    """An image 12 x 20 has 2 x 3 cells of 8 px: four anchors each."""
    batch = _batch([[1, 1]], [0])
    valid = batch.valid.copy()
    valid[:, :4] = False
    offsets = np.zeros((1, 24, 2), np.float32)
    offsets[0, 5] = [0.5, -0.25]
    outputs = PointOutputs(jnp.asarray(offsets), jnp.zeros((1, 24, 2)), None)
    proposals = stages.propose(outputs, batch._replace(valid=valid), (2, 3), MODEL)
    points = np.asarray(proposals.points_yx[0])
    np.testing.assert_allclose(points[:4], [[2, 2], [2, 6], [6, 2], [6, 6]])
    np.testing.assert_allclose(points[5], [2 + 5, 14 - 2.5])
    at_home = np.delete(np.arange(24), 5)
    y, x = points[at_home].T
    expected = (y >= 4) & (y < 12) & (x < 20)
    np.testing.assert_array_equal(proposals.mask[0, at_home], expected)
    assert not proposals.mask[0, 5]  # where its anchor is counts
    assert expected.sum() == 2 * 5  # rows 6 and 10; columns 2, 6, 10, 14, 18


def test_a_centred_grid_sticks_out_alike_on_both_sides():
    """12 x 20 px in cells of 8 px: the grid of 16 x 24 starts at -2, -2."""
    model = dataclasses.replace(MODEL, origin="center", anchors="1x1")
    outputs = PointOutputs(jnp.zeros((1, 6, 2)), jnp.zeros((1, 6, 2)), None)
    proposals = stages.propose(outputs, _batch([[1, 1]], [0]), (2, 3), model)
    points = [[2, 2], [2, 10], [2, 18], [10, 2], [10, 10], [10, 18]]
    np.testing.assert_allclose(proposals.points_yx[0], points)
    assert proposals.mask.all()


def test_an_image_smaller_than_a_cell_may_hold_no_anchor_point():
    """Five points in 32 x 32 px, the first at (8, 8); centred, the middle one stays."""
    model = ModelOptions()
    points, inside = stages.anchor_grid((8, 31), (1, 1), model)
    np.testing.assert_allclose(points[0], [16, 16])
    assert not inside.any()
    with pytest.raises(errors.ConfigError, match=r"8 x 31 px hold no .* least 32,32"):
        stages.check_anchors((8, 31), (1, 1), model)
    stages.check_anchors((9, 31), (1, 1), model)
    centred = dataclasses.replace(model, origin="center")
    points, inside = stages.anchor_grid((8, 31), (1, 1), centred)
    np.testing.assert_allclose(points[inside], [[4, 16]])
    stages.check_anchors((8, 31), (1, 1), centred)


def test_propose_masks_filler_images():
    batch = _batch([[1, 1]], [0], image_mask=np.zeros(1, bool))
    outputs = PointOutputs(jnp.zeros((1, 24, 2)), jnp.zeros((1, 24, 2)), None)
    assert not np.any(stages.propose(outputs, batch, (2, 3), MODEL).mask)


def test_probabilities_with_a_class_head_are_its_share_of_the_objectness(rng):
    objectness = rng.normal(size=(7, 2)).astype(np.float32)
    classes = rng.normal(size=(7, 3)).astype(np.float32)
    probs, joint = stages.probabilities(objectness, classes)
    expected = 1 / (1 + np.exp(objectness[:, 1] - objectness[:, 0]))
    np.testing.assert_allclose(probs, expected, rtol=1e-5)
    share = np.exp(classes) / np.exp(classes).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(joint, expected[:, None] * share, rtol=1e-5)


def test_probabilities_without_a_class_head_leave_out_the_background(rng):
    logits = rng.normal(size=(7, 4)).astype(np.float32)
    probs, joint = stages.probabilities(logits, None)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(joint, softmax[:, :3], rtol=1e-5)
    np.testing.assert_allclose(probs, joint.sum(axis=-1), rtol=1e-5)


# 20 px cost as much as a probability of 1; the cells are 6 px apart.
POINTS = [[2.0, 2.0], [2.0, 8.0], [9.0, 18.0]]
CELLS = [[2.0, 2.5], [2.0, 7.0]]


def test_match_weighs_distance_objectness_and_class():
    near = match(
        _proposals(POINTS, [0, 0, 0], np.zeros((3, 2))), _batch(CELLS, [0, 1]), LOSS
    )
    assert near.proposal_idx.tolist() == [[0, 1]]
    assert near.matched.tolist() == [[True, True, False]]
    # Crossed, the pair costs 0.05 (5.5 + 5.0) more than 0.05 (0.5 + 1.0): 0.45.
    classes = [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]  # 0.73 of the other class
    crossed = match(_proposals(POINTS, [0, 0, 0], classes), _batch(CELLS, [0, 1]), LOSS)
    assert crossed.proposal_idx.tolist() == [[1, 0]]
    sure = match(
        _proposals(POINTS, [0, -9, 9], np.zeros((3, 2))),
        _batch([[2.0, 9.0]], [0]),
        LOSS,
    )
    assert sure.proposal_idx.tolist() == [[2]]  # 11.4 px cost 0.57 of 1


def test_match_without_a_class_head_takes_the_joint_probability_once():
    """0.05 * 16 px = 0.8 for a likelier class: bought twice as dear with objectness."""
    logits = np.zeros((1, 2, 3), np.float32)
    logits[0, 0] = [-9, -9, 0]
    logits[0, 1] = [9, -9, 0]
    points = jnp.array([[[2.0, 2.0], [2.0, 18.0]]])
    proposals = stages.Proposals(
        points, jnp.asarray(logits), None, jnp.ones((1, 2), bool)
    )
    far = match(proposals, _batch([[2.0, 0.0]], [0]), JOINT)  # 0.8 of 1
    assert far.proposal_idx.tolist() == [[1]]
    other = match(proposals, _batch([[2.0, 0.0]], [1]), JOINT)
    assert other.proposal_idx.tolist() == [[0]]
    dear = LossOptions(matcher="host", distance_cost=0.075)  # 1.2: of 1, not of 2
    kept = match(proposals, _batch([[2.0, 0.0]], [0]), dear)
    assert kept.proposal_idx.tolist() == [[0]]


def test_match_reads_neither_padding_nor_masked_proposals():
    masked = _proposals(POINTS, [0, 0, 0], np.zeros((3, 2)), [False, True, True])
    cells = _batch([*CELLS, [np.nan, 1e9]], [0, 1, 77])
    cells = cells._replace(points_mask=np.array([[False, True, False]]))
    found = match(masked, cells, LOSS)
    assert found.proposal_idx.tolist() == [[-1, 1, -1]]


def test_cell_mask_leaves_out_padding_invalid_regions_and_fillers():
    batch = _batch([[1, 1], [5, 1], [11.9, 19.9], [np.nan, 0]], [0, 0, 1, 0])
    batch = batch._replace(points_mask=np.array([[True, True, True, False]]))
    valid = batch.valid.copy()
    valid[0, 5, 1] = False
    batch = batch._replace(valid=valid)
    assert cell_mask(batch).tolist() == [[True, False, True, False]]
    filler = batch._replace(image_mask=np.zeros(1, bool))
    assert not np.any(cell_mask(filler))


IN_LINE = [[0.0, 0.0], [0.0, 4.0], [0.0, 4.0], [9.0, 9.0], [5.0, 5.0]]
REAL = [True] * 4 + [False]


def _bde(doubtful, **changes):
    return LossOptions(calibration="bde", doubtful=doubtful, **changes)


def test_negative_scale_is_the_energy_of_predicted_proposals_and_1_elsewhere():
    proposals = _proposals(IN_LINE, [1, 1, 1, -1, 1], np.zeros((5, 1)), REAL)
    scale = negative_scale(proposals, _bde("confident"))
    # Densities of the first three: 8/3, 4/3, 4/3 px; the largest distance is 4 px.
    np.testing.assert_allclose(scale, [[2 / 3, 1 / 3, 1 / 3, 1, 1]], rtol=1e-6)
    np.testing.assert_array_equal(negative_scale(proposals, LossOptions()), 1)


def test_negative_scale_of_proposals_that_are_far_from_predicted():
    """Scores of sparse training, 0.02 to 0.2; the fourth is 18 and 14 px away."""
    scores = np.array([0.2, 0.1, 0.1, 0.02, 0.99])
    logits = np.log(scores / (1 - scores))
    proposals = _proposals(IN_LINE, logits, np.zeros((5, 1)), REAL)
    scale = negative_scale(proposals, _bde("weighted"))
    near = 0.2 * 4 + 0.02 * 14
    sums = np.array([0.2 * 4 + 0.02 * 18, near, near, 0.2 * 18 + 0.2 * 14])
    expected = sums / 0.42 / 18
    np.testing.assert_allclose(scale, [[*expected, 1]], rtol=1e-5)
    # The best three of four are those of the line.
    scale = negative_scale(proposals, _bde("top", doubtful_share=0.7))
    np.testing.assert_allclose(scale, [[2 / 3, 1 / 3, 1 / 3, 1, 1]], rtol=1e-6)
    np.testing.assert_array_equal(negative_scale(proposals, _bde("confident")), 1)


def test_a_constant_weighs_every_proposal_without_a_cell():
    proposals = _proposals(POINTS, [2, 2, 2], np.zeros((3, 2)))
    batch = _batch(CELLS, [0, 1])
    found = match(proposals, batch, LOSS)
    constant = LossOptions(matcher="host", calibration="constant", constant_weight=0.3)
    plain, less = (_scaled(proposals, batch, found, one) for one in (LOSS, constant))
    np.testing.assert_allclose(less.detection / plain.detection, [[1, 1, 0.3]])
    np.testing.assert_allclose(less.detection_weight, [[1, 1, 0.3 * 0.6]], rtol=1e-6)


def _crowd(cells):
    """Two images with 40 proposals, 35 real, of which the first ones hold a cell."""
    mask = np.broadcast_to(np.arange(40) < 35, (2, 40))
    held = jnp.asarray(np.arange(40) < np.array(cells)[:, None])
    blank = jnp.zeros((2, 40, 2))
    batch = _batch([[1, 1]], [0])._replace(example_index=np.array([4, 9]))
    proposals = stages.Proposals(blank, blank, blank, jnp.asarray(mask))
    return proposals, batch, Match(jnp.zeros((2, 1), jnp.int32), held)


@pytest.mark.parametrize(
    ("ratio", "cells", "negatives"),
    [
        (3.0, (2, 5), (6, 15)),
        (0.5, (3, 1), (2, 1)),  # rounded up
        (3.0, (0, 12), (3, 23)),  # as for one cell; all there are
        (0.0, (0, 2), (35, 33)),  # all
    ],
)
def test_negatives_are_drawn_by_the_number_of_cells(ratio, cells, negatives):
    proposals, batch, found = _crowd(cells)
    loss = LossOptions(negative_ratio=ratio)
    drawn = draw_negatives(jax.random.key(0), proposals, batch, found, loss).mask
    held = np.asarray(found.matched)
    assert np.asarray(drawn)[held].all()
    assert (drawn & ~held).sum(axis=1).tolist() == list(negatives)
    assert not np.any(drawn & ~proposals.mask)


def test_draws_of_negatives_are_fair_and_follow_the_example():
    proposals, batch, found = _crowd((2, 2))
    loss = LossOptions(negative_ratio=4.0)
    draw = functools.partial(draw_negatives, loss=loss)
    key = jax.random.key(3)
    first = np.asarray(draw(key, proposals, batch, found).mask)
    swapped = batch._replace(example_index=batch.example_index[::-1])
    again = np.asarray(draw(key, proposals, swapped, found).mask)
    np.testing.assert_array_equal(again, first[::-1])
    assert (first[0] != first[1]).any()
    keys = jax.random.split(key, 1000)
    many = jax.vmap(lambda one: draw(one, proposals, batch, found).mask)(keys)
    share = np.asarray(many).mean(axis=0)
    # 8 of 33; five standard deviations.
    np.testing.assert_allclose(share[:, 2:35], 8 / 33, atol=0.07)


def test_a_focal_loss_in_place_of_cross_entropy():
    loss = LossOptions(focal=2.0, calibration="bde")
    logits, labels = jnp.log(jnp.array([[0.75, 0.25]])), jnp.array([0])
    cost = stages.detection_cost(Progress(0, 10), loss)(logits, labels)
    np.testing.assert_allclose(cost, np.log(4 / 3) / 16, rtol=1e-5)


def _scaled(proposals, batch, found, loss):
    """Losses with the scale that the options ask."""
    return losses(proposals, batch, found, negative_scale(proposals, loss), loss)


def _total(offsets, *, proposals, batch, loss):
    """Sum of the losses of proposals that were moved by offsets times 10 px."""
    moved = proposals._replace(points_yx=proposals.points_yx + 10 * offsets)
    found = match(moved, batch, loss)
    terms = _scaled(moved, batch, found, loss)
    return matched.total_loss(terms, options=loss.terms())[0]


def test_offsets_receive_the_gradient_of_matched_pairs():
    """2 lambda (pred - true) / n times the scale; the public P2PNet's is 0."""
    proposals = _proposals(POINTS, [0, 0, 0], np.zeros((3, 2)))
    batch = _batch(CELLS, [0, 1])
    total = functools.partial(_total, proposals=proposals, batch=batch, loss=LOSS)
    grads = jax.jit(jax.grad(total))(jnp.zeros((1, 3, 2)))
    factor = 2 * LOSS.regression_weight * 10 / 2
    expected = np.array([[0, -0.5], [0, 1.0], [0, 0]]) * factor
    np.testing.assert_allclose(grads[0], expected, rtol=1e-5, atol=1e-9)


def test_calibration_lowers_the_loss_of_unmatched_predictions_alone():
    proposals = _proposals(POINTS, [2, 2, 2], np.zeros((3, 2)))
    batch = _batch(CELLS, [0, 1])
    found = match(proposals, batch, LOSS)
    bde = LossOptions(matcher="host", calibration="bde")
    plain, less = (_scaled(proposals, batch, found, loss) for loss in (LOSS, bde))
    # The third is 23 px and 17 px from the others (and 0 from itself), at most 23.
    ratio = np.asarray(less.detection / plain.detection)[0]
    np.testing.assert_allclose(ratio, [1, 1, 40 / 3 / 23], rtol=1e-5)
    np.testing.assert_array_equal(less.regression, plain.regression)


def test_other_calibrations_change_the_targets_of_all_proposals():
    """Objectness 0.5, 0.8 and 0.8, (object, background); the third has no cell."""
    proposals = _proposals(POINTS, [0, np.log(4), np.log(4)], np.zeros((3, 2)))
    batch = _batch(CELLS, [0, 1])
    found = match(proposals, batch, LOSS)
    np.testing.assert_array_equal(found.proposal_idx[0], [0, 1])
    smoothed = LossOptions(calibration="label_smoothing", epsilon=0.2)
    cost = stages.detection_cost(Progress(0, 10), smoothed)
    scale = negative_scale(proposals, smoothed)
    got = stages.losses(proposals, batch, found, scale, smoothed, cost)
    even, likely, unlikely = -np.log([0.5, 0.8, 0.2])
    expected = [
        even,
        0.9 * likely + 0.1 * unlikely,
        0.6 * (0.1 * likely + 0.9 * unlikely),
    ]
    np.testing.assert_allclose(got.detection[0], expected, rtol=1e-5)
    plain = _scaled(proposals, batch, found, LOSS)
    np.testing.assert_array_equal(got.regression, plain.regression)
    np.testing.assert_array_equal(got.classification, plain.classification)


@pytest.mark.parametrize("steps", [0, 100])
def test_trust_in_the_model_follows_the_schedule(steps):
    """ProSelfLC of 100 steps, the method's or the option's, at the 50th and last."""
    logits, labels = jnp.log(jnp.array([[0.9, 0.1]])), jnp.array([1])
    loss = LossOptions(calibration="proselflc", proselflc_steps=steps)
    middle, end = (
        stages.detection_cost(Progress(step, 7 if steps else 100), loss)(logits, labels)
        for step in (49, 99)
    )
    local = 1 + (0.9 * np.log(0.9) + 0.1 * np.log(0.1)) / np.log(2)
    for got, share in ((middle, 0.5), (end, 1 / (1 + np.exp(-8)))):
        trust = share * local
        expected = -(0.9 * trust) * np.log(0.9) - (1 - 0.9 * trust) * np.log(0.1)
        np.testing.assert_allclose(got, [expected], rtol=1e-3)


def test_diagnostics_by_hand():
    """Cell 0 is 3 px from its own and 1 px from another; cell 1 is left over."""
    points = [[2.0, 2.0], [2.0, 6.0], [2.0, 5.0], [2.0, 5.2]]
    proposals = _proposals(
        points, [1, -1, 1, 1], np.zeros((4, 1)), [True, True, True, False]
    )
    batch = _batch([[2.0, 5.0], [9.0, 9.0], [2.0, 6.5], [np.nan, 0]], [0] * 4)
    batch = batch._replace(points_mask=np.array([[True, True, True, False]]))
    found = Match(jnp.array([[0, -1, 1, -1]]), jnp.array([[True, True, False, False]]))
    logs = diagnostics(proposals, batch, found)
    logs |= weight_logs(proposals, batch, found, jnp.array([[3.0, 4.0, 0.3, 5.0]]))
    expected = {
        "matched_px": (3.0 + 0.5, 2.0),
        "reassigned": (1.0, 2.0),
        "left_over": (1.0, 3.0),
        "predicted": (2.0, 1.0),
        "negatives": (1.0, 1.0),  # the third
        "negative_weight": (float(np.float32(0.3)), 1.0),
    }
    assert {name: (float(a), float(b)) for name, (a, b) in logs.items()} == expected


CANDIDATES = np.array(
    [[1.0, 1.0], [-0.5, 3.0], [5.0, 5.0], [5.0, 8.0], [11.0, 19.9], [3.0, 20.0]]
)
LOGITS = np.array([0.0, 5.0, 2.0, 1.0, 3.0, 4.0])
CLASSES = np.array([[1.0, 0], [0, 0], [0, 1], [1, 0], [0, 2], [0, 0]])


@jax.jit
def _detect(thresholds, min_distance, mask):
    proposals = _proposals(CANDIDATES, LOGITS, CLASSES)
    return stages.detect(
        proposals.points_yx[0],
        proposals.objectness[0],
        proposals.classes[0],
        mask,
        size_hw=(12, 20),
        decode=Decode(thresholds, min_distance),
        model=ModelOptions(max_detections=5),
    )


def _found(thresholds=(0.0, 0.0), min_distance=0.0, mask=(True,) * 6):
    return _detect(jnp.array(thresholds), jnp.float32(min_distance), jnp.array(mask))


def test_detect_keeps_the_best_inside_the_image_in_order():
    found = _found()
    chex.assert_shape(found.class_probs, (5, 2))
    assert found.mask.tolist() == [True] * 4 + [False]
    order = [4, 2, 3, 0]
    np.testing.assert_allclose(found.points_yx[:4], CANDIDATES[order])
    expected = 1 / (1 + np.exp(-LOGITS[order]))
    np.testing.assert_allclose(found.scores[:4], expected, rtol=1e-5)
    assert np.all(np.diff(found.scores) <= 0)
    assert found.labels[:4].tolist() == [1, 1, 0, 0]
    np.testing.assert_allclose(
        found.class_probs[:4].sum(axis=-1), found.scores[:4], rtol=1e-5
    )


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"thresholds": (0.6, 0.9)}, [4, 3]),  # 0.95 and 0.88; 0.73 and 0.5
        ({"min_distance": 3.5}, [4, 2, 0]),
        ({"min_distance": 2.9}, [4, 2, 3, 0]),
        # The better of two near ones stays the better one below its threshold, too.
        ({"min_distance": 3.5, "thresholds": (0.0, 0.9)}, [4, 0]),
        ({"mask": np.arange(6) != 2}, [4, 3, 0]),
        ({"thresholds": (1.1, 1.1)}, []),
    ],
)
def test_detect_by_threshold_distance_and_mask(changes, kept):
    found = _found(**changes)
    np.testing.assert_allclose(found.points_yx[found.mask], CANDIDATES[kept])


@pytest.mark.parametrize(("rule", "kept"), [("mass", [0, 1]), ("argmax", [0])])
def test_detect_without_a_class_head(rule, kept):
    """A mass of 0.6 of which the likelier class has 0.32, where background has 0.4."""
    probs = np.array([[0.55, 0.15, 0.3], [0.28, 0.32, 0.4], [0.2, 0.2, 0.6]])
    points_yx = np.array([[1.0, 1], [2, 2], [3, 3]])
    found = stages.detect(
        points_yx,
        jnp.log(probs),
        None,
        jnp.ones(3, bool),
        size_hw=(9, 9),
        decode=Decode(jnp.full(2, 0.5), jnp.float32(0.0)),
        model=ModelOptions(class_head=False, score_rule=rule),
    )
    np.testing.assert_allclose(found.points_yx[found.mask], points_yx[kept])
    np.testing.assert_allclose(found.scores[found.mask], [0.7, 0.6][: len(kept)])


KNOWN = {"trust": np.array([[1.0, 0.5, -1.0]], np.float32)}
"""Of a given cell, a predicted one, and a place that is known to hold none."""


def _corrected():
    boxes = [[0, 0, 4, 4], [6, 6, 10, 10], [2, 10, 8, 18]]
    batch = _batch([[2, 2], [8, 8], [5, 14]], [0, 1, 0], **KNOWN)
    return batch._replace(boxes_yxyx=np.array([boxes], np.float32))


def test_a_place_without_a_cell_is_none_to_match():
    assert cell_mask(_corrected()).tolist() == [[True, True, False]]
    points = [[2, 2], [8, 8], [5, 14]]
    found = match(_proposals(points, np.zeros(3), np.zeros((3, 2))), _corrected(), LOSS)
    assert found.proposal_idx.tolist() == [[0, 1, -1]]


def test_proposals_in_the_box_of_known_background_are_at_it():
    points = [[2, 2], [2, 10], [7.9, 17.9], [8, 14], [8, 8]]
    proposals = _proposals(points, np.zeros(5))
    found = stages.at_background(proposals, _corrected())
    assert found.tolist() == [[False, True, True, False, False]]
    assert stages.at_background(proposals, _batch([[2, 2]], [0])) is None
    hidden = _corrected()._replace(points_mask=np.zeros((1, 3), bool))
    assert not stages.at_background(proposals, hidden).any()


def test_known_background_is_drawn_first():
    """One negative for the one cell: of eight the one that is known."""
    loss = dataclasses.replace(LOSS, negative_ratio=1.0)
    proposals = _proposals(np.full((9, 2), 3.0), np.zeros(9))
    found = Match(jnp.array([[0]]), jnp.arange(9)[None] == 0)
    known = jnp.arange(9)[None] == 6
    batch = _batch([[2, 2]], [0])
    for seed in range(5):
        key = jax.random.key(seed)
        drawn = draw_negatives(key, proposals, batch, found, loss, known)
        assert np.flatnonzero(drawn.mask[0]).tolist() == [0, 6]


def test_losses_are_those_of_trusted_cells():
    """Half at 0.5, of the cell and of its proposal."""
    points = [[2, 2], [8, 9], [5, 14]]
    proposals = _proposals(points, np.zeros(3), np.zeros((3, 2)))
    held = jnp.array([[True, True, False]])
    found, scale = Match(jnp.array([[0, 1, -1]]), held), jnp.ones((1, 3))
    plain = losses(proposals, _corrected()._replace(trust=None), found, scale, LOSS)
    half = losses(proposals, _corrected(), found, scale, LOSS)
    by_cell = np.array([[1, 0.5, 1]])
    assert plain.regression.tolist() == [[0, 1, 0]]
    for name in ("regression", "classification", "detection", "detection_weight"):
        expected = np.asarray(getattr(plain, name)) * by_cell
        np.testing.assert_allclose(getattr(half, name), expected, rtol=1e-6)


def test_trust_is_logged():
    batch, known = _corrected(), jnp.array([[False, False, True, True]])
    held = jnp.array([[True, True, False, False]])
    found = Match(jnp.array([[0, 1, -1]]), held)
    logs = stages.trust_logs(batch, found, known)
    assert [tuple(map(float, log)) for log in logs.values()] == [(1.5, 2), (2, 1)]
    assert stages.trust_logs(batch._replace(trust=None), found, None) == {}
