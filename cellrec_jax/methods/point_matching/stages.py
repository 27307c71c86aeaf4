"""Recognition by matched points: proposals, matching, logs, decoding.

Objectness is (object, background), or K classes and background without class head.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax import errors, geometry, masking
from cellrec_jax.losses import calibration, matched, points
from cellrec_jax.methods.point_matching.options import LossOptions, ModelOptions
from cellrec_jax.nn.point_net import PointOutputs
from cellrec_jax.ops import anchors, assign, matching, nms
from cellrec_jax.types import Batch, Decode, Detections, Metrics, Progress

_OBJECT = 0.5  # probability above which a proposal counts as predicted


class Proposals(NamedTuple):
    """What the network proposes for each anchor point."""

    points_yx: jax.Array
    """f32 [B, M, 2] px of the image."""
    objectness: jax.Array
    """f32 [B, M, 2] or [B, M, K + 1] logits."""
    classes: jax.Array | None
    """f32 [B, M, K] logits, or None."""
    mask: jax.Array
    """bool [B, M]; False where the anchor point lies outside the valid region."""


def anchor_grid(
    size_hw: tuple[int, int], grid_hw: tuple[int, int], model: ModelOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Anchor points [M, 2] px, and whether they lie in the unpadded image, [M]."""
    stride = 2**model.level
    points_yx = anchors.anchor_points(grid_hw, stride, model.anchors)
    if model.origin == "center":  # as `layers.pad_to_multiple` pads
        points_yx -= (np.array(grid_hw) * stride - size_hw) // 2
    return points_yx, geometry.inside(points_yx, size_hw)


def check_anchors(
    size_hw: tuple[int, int], grid_hw: tuple[int, int], model: ModelOptions
) -> None:
    """Refuses training images without anchor points, with a `ConfigError`."""
    if not anchor_grid(size_hw, grid_hw, model)[1].any():
        stride = 2**model.level
        raise errors.ConfigError(
            f"images of {size_hw[0]} x {size_hw[1]} px hold no anchor point: set "
            "--config.data.size_hw and --config.data.crop_hw (if not 0,0) to at least "
            f"{stride},{stride}, a cell of the grid at --config.model.level="
            f"{model.level}"
        )


def propose(
    outputs: PointOutputs, batch: Batch, grid_hw: tuple[int, int], model: ModelOptions
) -> Proposals:
    """Moves anchor points by the padded image's offsets; those outside are masked."""
    height, width = batch.valid.shape[1:]
    points_yx, inside = anchor_grid((height, width), grid_hw, model)
    pixel = np.floor(points_yx).astype(np.int64)
    row, column = np.clip(pixel, 0, (height - 1, width - 1)).T
    mask = batch.valid[:, row, column] & inside[None] & batch.image_mask[:, None]
    moved = jnp.asarray(points_yx)[None] + model.offset_scale * outputs.offsets_yx
    return Proposals(moved, outputs.objectness, outputs.classes, mask)


def probabilities(
    objectness: jax.Array, classes: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Returns objectness [..., M] and joint class probabilities [..., M, K].

    The latter sum to the former; without a class head see `ModelOptions.score_rule`.
    """
    softmax = jax.nn.softmax(objectness)
    if classes is None:
        return 1.0 - softmax[..., -1], softmax[..., :-1]
    probs = softmax[..., 0]
    return probs, probs[..., None] * jax.nn.softmax(classes)


def match(proposals: Proposals, batch: Batch, loss: LossOptions) -> matching.Match:
    """Matches cells by Eq. 2; without class head by joint probability, as P2PNet."""
    objectness, joint = probabilities(proposals.objectness, proposals.classes)
    weights = matching.MatchWeights(distance=loss.distance_cost)
    if proposals.classes is None:
        weights = weights._replace(objectness=0.0)
    else:
        joint = jax.nn.softmax(proposals.classes)
    return matching.match(
        proposals.points_yx,
        objectness,
        joint,
        batch.points_yx,
        batch.labels,
        cell_mask(batch),
        proposal_mask=proposals.mask,
        weights=weights,
        backend=loss.matcher,
    )


def cell_mask(batch: Batch) -> jax.Array:
    """Cells inside the valid region of real images, bool [B, N]."""
    slots = _slot_mask(batch)
    return slots if batch.trust is None else slots & (batch.trust >= 0.0)


def at_background(proposals: Proposals, batch: Batch) -> jax.Array | None:
    """Proposals in a box where a person said that no cell is, bool [B, M].

    None where nobody could have. No gradient.
    """
    if batch.trust is None:
        return None
    known = _slot_mask(batch) & (batch.trust < 0.0)

    def one_image(
        points_yx: jax.Array, boxes_yxyx: jax.Array, known: jax.Array
    ) -> jax.Array:
        low, high = boxes_yxyx[None, :, :2], boxes_yxyx[None, :, 2:]
        inside = (points_yx[:, None] >= low) & (points_yx[:, None] < high)
        return jnp.any(jnp.all(inside, axis=-1) & known[None], axis=1)

    points_yx = jax.lax.stop_gradient(proposals.points_yx)
    return jax.vmap(one_image)(points_yx, batch.boxes_yxyx, known)


def _slot_mask(batch: Batch) -> jax.Array:
    """Slots that are used inside the valid region of real images, bool [B, N]."""
    _, height, width = batch.valid.shape
    index = jnp.floor(jnp.where(batch.points_mask[..., None], batch.points_yx, 0.0))
    row, column = jnp.moveaxis(index.astype(jnp.int32), -1, 0)
    row, column = jnp.clip(row, 0, height - 1), jnp.clip(column, 0, width - 1)
    valid = jnp.asarray(batch.valid)[jnp.arange(len(row))[:, None], row, column]
    return batch.points_mask & valid & batch.image_mask[:, None]


def negative_scale(proposals: Proposals, loss: LossOptions) -> jax.Array:
    """What unmatched proposals' detection loss is multiplied by, [B, M].

    Boxes Density Energy of proposals that may be cells, matched or not, others 1; or a
    constant.
    """
    if loss.calibration != "bde":
        constant = loss.calibration == "constant"
        weight = loss.constant_weight if constant else 1.0
        return jnp.full(proposals.mask.shape, weight)
    objectness, _ = probabilities(proposals.objectness, proposals.classes)
    energy = functools.partial(
        calibration.doubtful_energy, doubt=loss.doubt(), form=loss.density_form
    )
    return jax.vmap(energy)(proposals.points_yx, objectness, proposals.mask)


def draw_negatives(
    rng: jax.Array,
    proposals: Proposals,
    batch: Batch,
    found: matching.Match,
    loss: LossOptions,
    known: jax.Array | None = None,
) -> Proposals:
    """Masks unmatched proposals but a few of each image, keyed by its example.

    Those at `known` background, bool [B, M], come first.
    """
    if not loss.negative_ratio:
        return proposals
    first = jnp.zeros(proposals.mask.shape) if known is None else known * 1.0

    def one_image(
        index: jax.Array, mask: jax.Array, held: jax.Array, first: jax.Array
    ) -> jax.Array:
        priority = jax.random.uniform(jax.random.fold_in(rng, index), mask.shape)
        priority += first
        cells = jnp.maximum(jnp.sum(held & mask), 1)
        count = jnp.ceil(loss.negative_ratio * cells - 1e-3).astype(jnp.int32)
        return mask & (held | assign.highest(priority, mask & ~held, count))

    mask = jax.vmap(one_image)(
        batch.example_index, proposals.mask, found.matched, first
    )
    return proposals._replace(mask=mask)


def detection_cost(progress: Progress, loss: LossOptions) -> points.Cost:
    """What takes the place of the detection loss's cross entropy at a step."""
    if loss.focal:
        return functools.partial(points.focal_cross_entropy, gamma=loss.focal)
    if loss.calibration in ("plain", *calibration.WEIGHTED):
        return points.cross_entropy
    return functools.partial(
        calibration.calibrated_cross_entropy,
        step=progress.step,
        options=loss.calibrated(progress.total),
    )


def losses(
    proposals: Proposals,
    batch: Batch,
    found: matching.Match,
    scale: jax.Array,
    loss: LossOptions,
    detection_cost: points.Cost = points.cross_entropy,
) -> matched.PointLosses:
    """Losses of every image, not reduced, scale [B, M]; see `losses.matched`."""
    options = loss.terms()

    def one_image(
        proposals: Proposals, batch: Batch, idx: jax.Array, scale: jax.Array
    ) -> matched.PointLosses:
        return matched.matched_losses(
            proposals.points_yx,
            proposals.objectness,
            proposals.classes,
            batch.points_yx,
            batch.labels,
            idx,
            proposal_mask=proposals.mask,
            negative_scale=scale,
            trust=batch.trust,
            detection_cost=detection_cost,
            options=options,
        )

    return jax.vmap(one_image)(proposals, batch, found.proposal_idx, scale)


def diagnostics(proposals: Proposals, batch: Batch, found: matching.Match) -> Metrics:
    """Logs `matched_px` (mean distance), `predicted` (proposals an image), and shares.

    Of cells, `reassigned` is the share not given their nearest proposal, `left_over`
    that without any.
    """

    def one_image(
        points_yx: jax.Array, mask: jax.Array, true_yx: jax.Array, idx: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        offsets = true_yx[:, None] - points_yx[None]
        squared = jnp.sum(offsets * offsets, axis=-1)
        nearest = jnp.argmin(jnp.where(mask[None], squared, jnp.inf), axis=1)
        own = true_yx - points_yx[jnp.maximum(idx, 0)]
        return jnp.sqrt(jnp.sum(own * own, axis=-1)), idx != nearest

    cells = cell_mask(batch)
    true_yx = jnp.where(cells[..., None], batch.points_yx, 0.0)
    distance, other = jax.vmap(one_image)(
        proposals.points_yx, proposals.mask, true_yx, found.proposal_idx
    )
    held = found.proposal_idx >= 0
    objectness, _ = probabilities(proposals.objectness, proposals.classes)
    predicted = proposals.mask & (objectness > _OBJECT)
    images = jnp.sum(batch.image_mask).astype(jnp.float32)
    return {
        "matched_px": masking.masked_sum_count(distance, held),
        "reassigned": masking.masked_sum_count(other * 1.0, held),
        "left_over": masking.masked_sum_count(~held * 1.0, cells),
        "predicted": (jnp.sum(predicted).astype(jnp.float32), images),
    }


def weight_logs(
    drawn: Proposals, batch: Batch, found: matching.Match, scale: jax.Array
) -> Metrics:
    """Logs `negatives`, those drawn an image, and `negative_weight`, their mean scale.

    A weight (of `scale`, [B, M]) of 1 does nothing.
    """
    negative = drawn.mask & ~found.matched
    images = jnp.sum(batch.image_mask).astype(jnp.float32)
    return {
        "negatives": (jnp.sum(negative).astype(jnp.float32), images),
        "negative_weight": masking.masked_sum_count(scale, negative),
    }


def trust_logs(batch: Batch, found: matching.Match, known: jax.Array | None) -> Metrics:
    """Logs `trust`, the mean of matched cells, and `known_background`, an image.

    The latter are unmatched proposals; nothing where all is given.
    """
    if batch.trust is None or known is None:
        return {}
    images = jnp.sum(batch.image_mask).astype(jnp.float32)
    background = jnp.sum(known & ~found.matched).astype(jnp.float32)
    return {
        "trust": masking.masked_sum_count(batch.trust, found.proposal_idx >= 0),
        "known_background": (background, images),
    }


def detect(
    points_yx: jax.Array,
    objectness: jax.Array,
    classes: jax.Array | None,
    mask: jax.Array,
    *,
    size_hw: tuple[int, int],
    decode: Decode,
    model: ModelOptions,
) -> Detections:
    """Detections of one image: the likeliest proposals inside it, by likeliest class.

    Points [M, 2] px, logits [M, 2] and [M, K] (without class head: [M, K + 1]), mask.
    """
    probs, joint = probabilities(objectness, classes)
    real = mask & geometry.inside(points_yx, size_hw)
    if classes is None and model.score_rule == "argmax":
        real = real & (jnp.max(joint, axis=-1) > 1.0 - probs)
    slots = min(model.max_detections, len(probs))
    probs, best = jax.lax.top_k(jnp.where(real, probs, 0.0), slots)
    points_yx, joint = points_yx[best], joint[best]
    labels = jnp.argmax(joint, axis=-1).astype(jnp.int32)
    # Thinned before the threshold, as when both were fitted.
    kept = nms.point_nms(points_yx, real[best], decode.min_distance)
    kept = kept & (probs >= decode.thresholds[labels])
    return Detections(points_yx, probs, labels, joint, kept)
