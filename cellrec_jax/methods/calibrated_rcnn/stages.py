"""Targets, samples and losses of the detector's two stages, for one image each."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax import geometry
from cellrec_jax.losses import detection
from cellrec_jax.methods.calibrated_rcnn import mining, unmatched
from cellrec_jax.methods.calibrated_rcnn.options import LossOptions, ModelOptions
from cellrec_jax.methods.refine_options import BACKGROUND
from cellrec_jax.ops import assign, boxes, nms
from cellrec_jax.types import Progress

BOX_SCALES = (10.0, 10.0, 5.0, 5.0)
"""Of the second stage's box targets."""


class Truth(NamedTuple):
    """Boxes f32 [N, 4], labels i32 [N], mask [N] and valid [H, W] of one image."""

    boxes_yxyx: jax.Array
    labels: jax.Array
    mask: jax.Array
    valid: jax.Array
    background: jax.Array | None = None
    """bool [N], boxes that are known to hold no cell; None where there are none."""
    trust: jax.Array | None = None
    """f32 [N] weight of what is matched to each box; None is 1."""
    doubted_yxyx: jax.Array | None = None
    """f32 [M, 4] boxes that may be cells but are no labels."""
    doubt: jax.Array | None = None
    """f32 [M] how far, 1 wholly; see `mining`."""


class StageLoss(NamedTuple):
    """Losses f32 [S] of sampled boxes, not reduced; mask and positive bool [S]."""

    cls: jax.Array
    box: jax.Array
    """f32 [S] regression loss; 0 for negatives."""
    mask: jax.Array
    positive: jax.Array
    weight: jax.Array
    """f32 [S]: what `cls` was multiplied by, 1 for positives."""
    background: jax.Array | None = None
    """bool [S], sampled and at known background; None without rounds."""
    mirrored: jax.Array | None = None
    """bool [S]; see `unmatched.Costs`, also for `margin` f32 [S]."""
    margin: jax.Array | None = None


class RoIs(NamedTuple):
    """S boxes f32 [S, 4] px sampled for the second stage, no gradient; masks [S]."""

    boxes_yxyx: jax.Array
    labels: jax.Array
    """i32 [S] class id, K for background."""
    target_yxyx: jax.Array
    """f32 [S, 4] annotated box to reach (meaningful where positive)."""
    positive: jax.Array
    mask: jax.Array
    background: jax.Array | None = None
    """bool [S], at known background; None without rounds."""
    trust: jax.Array | None = None
    """f32 [S] that of the annotated box; None is 1."""


def with_trust(truth: Truth, trust: jax.Array) -> Truth:
    """Weighs labels by `trust` [B, N]; below 0 they are known to be background."""
    given = truth.mask & (trust >= 0.0)
    background = truth.mask & (trust < 0.0)
    return truth._replace(mask=given, background=background, trust=trust)


def with_background(truth: Truth) -> Truth:
    """Tells cells from boxes that rounds of pseudo labels know to be background."""
    is_cell = truth.labels != BACKGROUND
    return truth._replace(mask=truth.mask & is_cell, background=truth.mask & ~is_cell)


def at_background(
    boxes_yxyx: jax.Array, truth: Truth, least_iou: float, *, best: bool = False
) -> jax.Array | None:
    """Whether boxes [M, 4] are at known background, bool [M]; None without rounds.

    As an annotated cell's: from an overlap of `least_iou`, or the `best` of all.
    """
    if truth.background is None:
        return None
    role = assign.assign(
        boxes.iou_matrix(boxes_yxyx, truth.boxes_yxyx),
        truth.background,
        positive_iou=least_iou,
        negative_iou=0.0,
        best_per_truth=best,
    )
    return role == assign.POSITIVE


def is_valid(boxes_yxyx: jax.Array, valid: jax.Array) -> jax.Array:
    """Whether the pixel under each box's centre counts. [M, 4] -> bool [M]."""
    pixel = jnp.floor(geometry.box_centers(boxes_yxyx)).astype(jnp.int32)
    height, width = valid.shape
    row = jnp.clip(pixel[:, 0], 0, height - 1)
    column = jnp.clip(pixel[:, 1], 0, width - 1)
    return valid[row, column]


@jax.named_scope("first_stage")
def first_stage(
    rng: jax.Array,
    logits: jax.Array,
    deltas_yxhw: jax.Array,
    truth: Truth,
    *,
    anchors_yxyx: np.ndarray,
    progress: Progress,
    model: ModelOptions,
    loss: LossOptions,
) -> StageLoss:
    """Losses of the proposal network on `model.rpn_batch` sampled anchors.

    Of logits [A, 2] (cell, background) and deltas [A, 4]. Calibrated by scope "both".
    """
    anchors = jnp.asarray(anchors_yxyx)
    role = assign.assign(
        boxes.iou_matrix(anchors, truth.boxes_yxyx),
        truth.mask,
        positive_iou=model.rpn_positive_iou,
        negative_iou=model.rpn_negative_iou,
        best_per_truth=True,
    )
    known = at_background(anchors, truth, model.rpn_positive_iou, best=True)
    if known is not None:
        role = jnp.where(known & (role == assign.IGNORED), assign.NEGATIVE, role)
    role = jnp.where(is_valid(anchors, truth.valid), role, assign.IGNORED)
    role = _sparing(role, anchors, truth)
    drawn = assign.sample(rng, role, model.rpn_batch, model.rpn_positive_fraction)
    known = None if known is None else known[drawn.idx] & drawn.mask & ~drawn.positive
    anchors, logits, deltas = (x[drawn.idx] for x in (anchors, logits, deltas_yxhw))
    overlaps = boxes.iou_matrix(anchors, truth.boxes_yxyx)
    truth_idx = assign.match_truth(overlaps, truth.mask)

    labels = jnp.where(drawn.positive, 0, 1)
    scoped = loss if loss.scope == "both" else LossOptions(calibration="plain")
    sampled = unmatched.Sampled(
        logits,
        labels,
        anchors,
        boxes.decode(deltas, anchors),
        drawn.positive,
        drawn.mask,
        truth.boxes_yxyx,
        truth.mask,
        known,
    )
    costs = unmatched.classify(rng, sampled, progress, scoped)
    target = boxes.encode(truth.boxes_yxyx[truth_idx], anchors)
    box = detection.smooth_l1(deltas, target, sigma=loss.rpn_sigma)
    box = jnp.where(drawn.positive, box, 0.0)
    stage = _stage_loss(costs, box, drawn.mask, drawn.positive, known)
    if truth.trust is None:
        return stage
    return _trusted(stage, sampled.dense_yxyx, truth.trust[truth_idx], truth, scoped)


@jax.named_scope("proposals")
def proposals(
    logits: jax.Array,
    deltas_yxhw: jax.Array,
    anchors_yxyx: np.ndarray,
    image_hw: tuple[int, int],
    *,
    pre_nms: int,
    post_nms: int,
    iou_threshold: float,
    level_sizes: Sequence[int] = (),
) -> tuple[jax.Array, jax.Array]:
    """Best first-stage boxes after suppression, [post_nms, 4], and their mask.

    The `pre_nms` best of logits [A, 2] and deltas [A, 4], clipped; no gradient. With
    `level_sizes`, numbers of anchors that sum to A, so many of each level.
    """
    candidates, _, kept_idx, kept = _suppressed(
        logits,
        deltas_yxhw,
        anchors_yxyx,
        image_hw,
        pre_nms=pre_nms,
        post_nms=post_nms,
        iou_threshold=iou_threshold,
        level_sizes=level_sizes,
    )
    return candidates[kept_idx], kept


@jax.named_scope("objects")
def objects(
    logits: jax.Array,
    deltas_yxhw: jax.Array,
    anchors_yxyx: np.ndarray,
    image_hw: tuple[int, int],
    **options: Any,
) -> mining.Found:
    """As `proposals`, with their objectness as score; labels are 0."""
    candidates, score, kept_idx, kept = _suppressed(
        logits, deltas_yxhw, anchors_yxyx, image_hw, **options
    )
    scores = jnp.where(kept, jax.nn.sigmoid(score[kept_idx]), 0.0)
    labels = jnp.zeros(len(kept_idx), jnp.int32)
    return mining.Found(candidates[kept_idx], labels, scores, kept)


def _suppressed(
    logits: jax.Array,
    deltas_yxhw: jax.Array,
    anchors_yxyx: np.ndarray,
    image_hw: tuple[int, int],
    *,
    pre_nms: int,
    post_nms: int,
    iou_threshold: float,
    level_sizes: Sequence[int] = (),
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Candidates and scores, and which of them suppression keeps: index and mask."""
    score = jax.lax.stop_gradient(logits[:, 0] - logits[:, 1])
    score, idx = _best(score, pre_nms, level_sizes or (len(anchors_yxyx),))
    deltas = jax.lax.stop_gradient(deltas_yxhw)[idx]
    candidates = boxes.decode(deltas, jnp.asarray(anchors_yxyx)[idx])
    candidates = boxes.clip(candidates, image_hw)
    mask = boxes.area(candidates) > 0
    kept_idx, kept = nms.nms(
        candidates,
        score,
        mask,
        iou_threshold=iou_threshold,
        max_kept=post_nms,
        is_sorted=len(level_sizes) < 2,
    )
    return candidates, score, kept_idx, kept


def _best(
    scores: jax.Array, number: int, sizes: Sequence[int]
) -> tuple[jax.Array, jax.Array]:
    """The highest scores of each part of [A] and where they are, part after part."""
    found = []
    start = 0
    for size in sizes:
        best, idx = jax.lax.top_k(scores[start : start + size], min(number, size))
        found.append((best, idx + start))
        start += size
    scores, idx = map(jnp.concatenate, zip(*found, strict=True))
    return scores, idx


@jax.named_scope("sample_rois")
def sample_rois(
    rng: jax.Array,
    proposals_yxyx: jax.Array,
    mask: jax.Array,
    truth: Truth,
    *,
    num_classes: int,
    model: ModelOptions,
) -> RoIs:
    """Draws `model.roi_batch` of proposals [P, 4], positives first; label K is none."""
    if model.roi_add_truth:
        proposals_yxyx = jnp.concatenate([proposals_yxyx, truth.boxes_yxyx])
        mask = jnp.concatenate([mask, truth.mask])
    overlaps = boxes.iou_matrix(proposals_yxyx, truth.boxes_yxyx)
    role = assign.assign(
        overlaps,
        truth.mask,
        positive_iou=model.roi_positive_iou,
        negative_iou=model.roi_positive_iou,
        best_per_truth=False,
    )
    usable = mask & is_valid(proposals_yxyx, truth.valid)
    role = jnp.where(usable, role, assign.IGNORED)
    role = _sparing(role, proposals_yxyx, truth)
    drawn = assign.sample(rng, role, model.roi_batch, model.roi_positive_fraction)
    truth_idx = assign.match_truth(overlaps[drawn.idx], truth.mask)
    known = at_background(proposals_yxyx[drawn.idx], truth, model.roi_positive_iou)
    return RoIs(
        proposals_yxyx[drawn.idx],
        jnp.where(drawn.positive, truth.labels[truth_idx], num_classes),
        truth.boxes_yxyx[truth_idx],
        drawn.positive,
        drawn.mask,
        None if known is None else known & drawn.mask & ~drawn.positive,
        None if truth.trust is None else truth.trust[truth_idx],
    )


def _sparing(role: jax.Array, boxes_yxyx: jax.Array, truth: Truth) -> jax.Array:
    """Roles [S] of boxes [S, 4]; no negatives where a cell is taken to be."""
    if truth.doubt is None:
        return role
    spared = (role == assign.NEGATIVE) & mining.spared(boxes_yxyx, truth)
    return jnp.where(spared, assign.IGNORED, role)


def _trusted(
    stage: StageLoss,
    boxes_yxyx: jax.Array,
    trust: jax.Array,
    truth: Truth,
    loss: LossOptions,
) -> StageLoss:
    """The losses of decoded boxes [S, 4], by how far labels and negatives are sure."""
    factor = mining.loss_factor(
        boxes_yxyx, stage.positive, trust, truth, loss.mining_negatives
    )
    return stage._replace(
        cls=stage.cls * factor, box=stage.box * factor, weight=stage.weight * factor
    )


def chosen_boxes(
    logits: jax.Array, deltas_yxhw: jax.Array, rois: RoIs
) -> tuple[jax.Array, jax.Array]:
    """Deltas and decoded boxes, f32 [S, 4] each, of the class whose energy counts.

    The annotated class of positives, the likeliest of other boxes; of logits
    [S, K + 1] and deltas [S, K, 4].
    """
    num_classes = deltas_yxhw.shape[1]
    predicted = jnp.argmax(logits[:, :num_classes], axis=1)
    chosen = jnp.where(rois.positive, rois.labels, predicted)
    deltas = jnp.take_along_axis(deltas_yxhw, chosen[:, None, None], axis=1)[:, 0]
    return deltas, boxes.decode(deltas, rois.boxes_yxyx, BOX_SCALES)


@jax.named_scope("second_stage")
def second_stage(
    logits: jax.Array,
    deltas_yxhw: jax.Array,
    rois: RoIs,
    truth: Truth,
    rng: jax.Array,
    *,
    progress: Progress,
    loss: LossOptions,
) -> StageLoss:
    """Calibrated losses of S sampled boxes (Eq. 9 to 11), logits [S, K + 1].

    Deltas [S, K, 4]; the energy is that of boxes decoded for the predicted class
    (negatives) or the annotated one.
    """
    deltas, decoded = chosen_boxes(logits, deltas_yxhw, rois)
    sampled = unmatched.Sampled(
        logits,
        rois.labels,
        rois.boxes_yxyx,
        rois.boxes_yxyx if loss.energy_boxes == "proposals" else decoded,
        rois.positive,
        rois.mask,
        truth.boxes_yxyx,
        truth.mask,
        rois.background,
    )
    costs = unmatched.classify(rng, sampled, progress, loss)
    target = boxes.encode(rois.target_yxyx, rois.boxes_yxyx, BOX_SCALES)
    box = detection.smooth_l1(deltas, target, sigma=loss.roi_sigma)
    box = jnp.where(rois.positive, box, 0.0)
    stage = _stage_loss(costs, box, rois.mask, rois.positive, rois.background)
    if rois.trust is None:
        return stage
    return _trusted(stage, decoded, rois.trust, truth, loss)


def _stage_loss(
    costs: unmatched.Costs,
    box: jax.Array,
    mask: jax.Array,
    positive: jax.Array,
    known: jax.Array | None,
) -> StageLoss:
    cls, weight, mirrored, margin = costs
    return StageLoss(cls, box, mask, positive, weight, known, mirrored, margin)
