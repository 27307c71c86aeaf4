"""Boxes of a second look at an image, flipped, in places without an annotation.

Of one image, where it says nothing else; no gradient. Sources, and what differs:

Wang et al., Co-mining, AAAI 2021: each of two views is trained on the other's
detections (score from 0.5 or 0.6) that overlap no annotation by more than 0.4. Here one
view is trained; which one is drawn by augmentation.

Suri et al., SparseDet, ICCV 2023: proposals of an objectness above 0.8 that overlap no
annotation by more than 0.2 are no negatives; the features of both views at them are
drawn together. There one proposal network reads both views, here both views must find
the place; it is spared in both stages; class probabilities are drawn together.

Wang et al., Calibrated Teacher, AAAI 2023: detections of averaged weights that are
labels by a calibrated score. Logistic calibration is fitted to detections beside
annotations, which are right where they overlap them by 0.75 (the authors' code). Nearly
all of these are cells, so it tells how well boxes fit more than how many are cells;
`recall` and `lee_liu` are ours. Annotations are a random part of the cells, so the
share of them that is found tells the share of all cells; but they were trained on, and
are found more easily than the others.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from cellrec_jax import geometry
from cellrec_jax.methods.calibrated_rcnn.mining_options import MiningOptions
from cellrec_jax.ops import boxes, nms

if TYPE_CHECKING:
    from cellrec_jax.methods.calibrated_rcnn.stages import Truth

BINS = 160
CELLS, DETECTIONS, NEAR, RIGHT = range(4)
"""Rows of `counts`."""
_REACH = 8.0  # bins are of logits from -8 to 8
_NEAR_IOU = 0.4
_RIGHT_IOU = 0.75
_AGREED_IOU = 0.5
_MEMORY = 0.95  # of counts, a step: those of the last 20 steps count
_RIDGE = 0.01
_NEWTON_STEPS = 20


class Found(NamedTuple):
    """M boxes of a second look, best first: [M, 4] px, labels, scores and mask [M]."""

    boxes_yxyx: jax.Array
    labels: jax.Array
    """i32 [M] class ids."""
    scores: jax.Array
    """f32 [M] in [0, 1]."""
    mask: jax.Array


class Mined(NamedTuple):
    """What became of M boxes: bool [M] `taken`, f32 [M] `doubt` in [0, 1)."""

    taken: jax.Array
    doubt: jax.Array
    """How near a box came to be taken: its score over the threshold; 0 for others."""


def flip(boxes_yxyx: jax.Array, width: int) -> jax.Array:
    """Boxes [..., 4] in the image `width` px wide mirrored left to right."""
    y0, x0, y1, x1 = jnp.moveaxis(boxes_yxyx, -1, 0)
    return jnp.stack([y0, width - x1, y1, width - x0], axis=-1)


def best(found: Found, number: int) -> Found:
    """The `number` best boxes, one a place, whatever their class; slots that are left.

    Of any order; places are the same where boxes overlap by more than 0.4.
    """
    idx, kept = nms.nms(
        found.boxes_yxyx,
        found.scores,
        found.mask,
        iou_threshold=_NEAR_IOU,
        max_kept=number,
    )
    return Found(
        found.boxes_yxyx[idx],
        found.labels[idx],
        jnp.where(kept, found.scores[idx], 0.0),
        kept,
    )


def agreed(found: Found, other: Found) -> Found:
    """Boxes with the lesser of their score and the best that overlaps them in `other`.

    By 0.5 or more, whatever its class; none is 0. Both views in the same frame.
    """
    near = boxes.iou_matrix(found.boxes_yxyx, other.boxes_yxyx) >= _AGREED_IOU
    scores = jnp.where(near & other.mask[None, :], other.scores[None, :], 0.0)
    least = jnp.minimum(found.scores, jnp.max(scores, axis=1, initial=0.0))
    return found._replace(scores=least)


def same_place(found: Found, truth: "Truth") -> jax.Array:
    """Whether each box is at each annotated one: bool [M, N].

    They overlap by 0.4 or more, or the centre is nearer to the annotated one than half
    of its shorter side.
    """
    centers = geometry.box_centers(found.boxes_yxyx)
    away = centers[:, None, :] - geometry.box_centers(truth.boxes_yxyx)[None, :, :]
    size = truth.boxes_yxyx[:, 2:] - truth.boxes_yxyx[:, :2]
    radius = jnp.min(size, axis=1) / 2
    near = jnp.sum(away**2, axis=-1) < radius[None, :] ** 2
    overlaps = boxes.iou_matrix(found.boxes_yxyx, truth.boxes_yxyx)
    pairs = found.mask[:, None] & truth.mask[None, :]
    return pairs & (near | (overlaps >= _NEAR_IOU))


def scores_at(found: Found, truth: "Truth") -> jax.Array:
    """Score of the best box at the place of each annotated cell, f32 [N]; 0: none."""
    place = same_place(found, truth)
    scores = jnp.where(place, found.scores[:, None], 0.0)
    return jnp.max(scores, axis=0, initial=0.0)


def counts(found: Found, truth: "Truth", *, classed: bool = True) -> jax.Array:
    """How many boxes have which score, f32 [4, BINS], of scores that rise.

    Rows: annotated cells, by the best box at their place (bin 0 without one);
    detections; those at the place of a cell; and those of them that are right, of its
    class (where `classed`) and well placed.
    """
    place = same_place(found, truth)
    near = jnp.any(place, axis=1)
    overlaps = boxes.iou_matrix(found.boxes_yxyx, truth.boxes_yxyx)
    fits = place & (overlaps >= _RIGHT_IOU)
    if classed:
        fits &= found.labels[:, None] == truth.labels[None, :]
    right = jnp.any(fits, axis=1)
    bins = _bin(found.scores)
    return jnp.stack(
        [
            _histogram(_bin(scores_at(found, truth)), truth.mask),
            _histogram(bins, found.mask),
            _histogram(bins, near),
            _histogram(bins, right),
        ]
    )


def remember(before: jax.Array, seen: jax.Array, sure: jax.Array) -> jax.Array:
    """Running counts [4, BINS], those of a step [4, BINS] added where it is `sure`.

    Linear, so that the mean over devices is what one device would have of all images.
    """
    return jnp.where(sure, _MEMORY * before + (1.0 - _MEMORY) * seen, before)


def threshold(counted: jax.Array, rule: str, at: float) -> jax.Array:
    """Least score of what is taken, f32 [], by running `counts` [4, BINS].

    See `MiningOptions.mining_rule`; 1, which takes nothing, where nothing was counted,
    where a share `at` is not found at any score, or where scores tell nothing.
    Lee and Liu: Learning with positive and unlabeled examples using weighted logistic
    regression, ICML 2003.
    """
    chex.assert_shape(counted, (4, BINS))
    if rule == "score":
        return jnp.float32(at)
    if rule == "precision":
        return _of_precision(counted[NEAR], counted[RIGHT], at)
    edges = jax.nn.sigmoid(_edges()[:-1])
    recall, detected = _share_from(counted[CELLS]), _share_from(counted[DETECTIONS])
    # Bin 0 holds what was not found.
    if rule == "recall":
        reached = (recall >= at - 1e-6).at[0].set(False)
        highest = jnp.max(jnp.where(reached, edges, 0.0))
        return jnp.where(jnp.any(reached), highest, 1.0)
    worth = jnp.where(detected > 0, recall**2 / jnp.maximum(detected, 1e-9), 0.0)
    worth = worth.at[0].set(0.0)
    return jnp.where(jnp.max(worth) > 0, edges[jnp.argmax(worth)], 1.0)


def mine(
    found: Found, truth: "Truth", least: jax.Array, sure: jax.Array, in_valid: jax.Array
) -> Mined:
    """Takes boxes from the score `least` on, where there is no annotated cell.

    Nor where known background is, which is not doubted either. Nothing unless `sure`;
    `in_valid` bool [M] tells which lie where anything counts.
    """
    known = truth
    if truth.background is not None:
        known = truth._replace(mask=truth.mask | truth.background)
    free = found.mask & in_valid & ~jnp.any(same_place(found, known), axis=1)
    taken = free & (found.scores >= least) & sure
    doubt = jnp.where(free & ~taken & sure, found.scores / least, 0.0)
    return Mined(taken, jax.lax.stop_gradient(doubt))


def extended(
    truth: "Truth", found: Found, mined: Mined, loss: MiningOptions
) -> "Truth":
    """Annotations, and after them what was mined: N + M boxes.

    pseudo_positive adds none, but doubts what was taken wholly.
    """
    if loss.mining == "pseudo_positive":
        doubt = mined.taken.astype(jnp.float32)
        return truth._replace(doubted_yxyx=found.boxes_yxyx, doubt=doubt)
    given = jnp.ones(len(truth.mask)) if truth.trust is None else truth.trust
    trust = jnp.full(len(mined.taken), loss.mining_weight)
    if truth.background is not None:
        none = jnp.zeros(len(mined.taken), bool)
        background = jnp.concatenate([truth.background, none])
        truth = truth._replace(background=background)
    return truth._replace(
        boxes_yxyx=jnp.concatenate([truth.boxes_yxyx, found.boxes_yxyx]),
        labels=jnp.concatenate([truth.labels, found.labels]),
        mask=jnp.concatenate([truth.mask, mined.taken]),
        trust=jnp.concatenate([given, trust]),
        doubted_yxyx=found.boxes_yxyx,
        doubt=mined.doubt,
    )


def spared(boxes_yxyx: jax.Array, truth: "Truth") -> jax.Array:
    """Whether boxes [S, 4] overlap by 0.5 what is doubted wholly: bool [S]."""
    assert truth.doubt is not None  # for mypy
    assert truth.doubted_yxyx is not None
    near = boxes.iou_matrix(boxes_yxyx, truth.doubted_yxyx) >= _AGREED_IOU
    return jnp.any(near & (truth.doubt >= 1.0)[None, :], axis=1)


def loss_factor(
    boxes_yxyx: jax.Array,
    positive: jax.Array,
    trust: jax.Array,
    truth: "Truth",
    negatives: str,
) -> jax.Array:
    """What mining multiplies the loss of sampled boxes [S, 4] by, f32 [S].

    `trust` [S] of positives, and what `MiningOptions.mining_negatives` says for others.
    """
    boxes_yxyx = jax.lax.stop_gradient(boxes_yxyx)
    if negatives == "doubted":
        assert truth.doubt is not None  # for mypy
        assert truth.doubted_yxyx is not None
        overlaps = boxes.iou_matrix(boxes_yxyx, truth.doubted_yxyx)
        rest = 1.0 - jnp.max(overlaps * truth.doubt[None, :], axis=1, initial=0.0)
    elif negatives == "focal_iou":
        overlaps = boxes.iou_matrix(boxes_yxyx, truth.boxes_yxyx)
        overlaps = jnp.where(truth.mask[None, :], overlaps, 0.0)
        rest = focal_iou(jnp.max(overlaps, axis=1, initial=0.0))
    else:
        rest = jnp.ones(len(boxes_yxyx))
    return jnp.where(positive, trust, rest)


def focal_iou(overlap: jax.Array) -> jax.Array:
    """Weight of an unmatched box by its largest overlap with a label, f32 [...].

    b + k (1 - b) (-a IoU^g log(1.00001 - IoU)) with a = 0.25, g = 2, b = 0.5, k = 3
    (Wang et al. 2023, and their code's constants). Up to an overlap of 0.5 it is 0.5 to
    0.57: little else than a constant weight.
    """
    focal = -0.25 * overlap**2 * jnp.log(1.00001 - overlap)
    return 0.5 + 3.0 * (1.0 - 0.5) * focal


def _edges() -> jax.Array:
    """Logits between bins, [BINS + 1]."""
    return jnp.linspace(-_REACH, _REACH, BINS + 1)


def _bin(scores: jax.Array) -> jax.Array:
    """Bin of scores in [0, 1], by their logits; i32 [...]."""
    logits = jax.scipy.special.logit(jnp.clip(scores, 1e-6, 1.0 - 1e-6))
    place = jnp.floor((logits + _REACH) * (BINS / (2 * _REACH)))
    return jnp.clip(place, 0, BINS - 1).astype(jnp.int32)


def _histogram(bins: jax.Array, mask: jax.Array) -> jax.Array:
    """How many are in each bin, f32 [BINS]."""
    return jnp.sum(jax.nn.one_hot(bins, BINS) * mask[:, None], axis=0)


def _share_from(counted: jax.Array) -> jax.Array:
    """Share of what was counted in each bin and above, [BINS]; 0 without any."""
    total = jnp.sum(counted)
    above = jnp.cumsum(counted[::-1])[::-1]
    return jnp.where(total > 0, above / jnp.where(total > 0, total, 1.0), 0.0)


def _of_precision(near: jax.Array, right: jax.Array, at: float) -> jax.Array:
    """Score whose calibrated value is `at`; 1 where higher scores are not better."""
    slope, offset = logistic(near, right)
    rises = (jnp.sum(near) > 0) & (slope > 1e-3)
    logit = (jax.scipy.special.logit(at) - offset) / jnp.where(rises, slope, 1.0)
    least = jax.nn.sigmoid(jnp.clip(logit, -_REACH, _REACH))
    return jnp.where(rises, least, 1.0)


def logistic(near: jax.Array, right: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Slope and offset of logits, f32 [] each: logistic (Platt) calibration.

    Of how many boxes a bin holds and how many of them are right, [BINS] each. A ridge
    of 0.01 (of a mean loss) draws to what changes nothing: slope 1, offset 0.
    """
    total = jnp.sum(near)
    scale = jnp.where(total > 0, 1.0 / jnp.where(total > 0, total, 1.0), 0.0)
    near, right = near * scale, right * scale
    edges = _edges()
    inputs = jnp.stack([(edges[:-1] + edges[1:]) / 2, jnp.ones(BINS)])
    start = jnp.array([1.0, 0.0])

    def step(_: Any, weights: jax.Array) -> jax.Array:
        share = jax.nn.sigmoid(weights @ inputs)
        slope = inputs @ (near * share - right) + _RIDGE * (weights - start)
        bend = (inputs * (near * share * (1.0 - share))[None, :]) @ inputs.T
        (a, b), (_, d) = bend + _RIDGE * jnp.eye(2)
        inverse = jnp.stack([d, -b, -b, a]).reshape(2, 2) / (a * d - b * b)
        return weights - jnp.clip(inverse @ slope, -1.0, 1.0)

    slope, offset = jax.lax.fori_loop(0, _NEWTON_STEPS, step, start)
    return slope, offset
