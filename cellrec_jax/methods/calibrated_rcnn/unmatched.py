"""What the sampled boxes of a stage weigh and cost, for one image."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from cellrec_jax import geometry
from cellrec_jax.losses import calibration, density, unmatched
from cellrec_jax.methods.calibrated_rcnn.options import LossOptions
from cellrec_jax.ops import boxes
from cellrec_jax.types import Progress


class Sampled(NamedTuple):
    """S boxes that a stage sampled, and the image's N annotated ones."""

    logits: jax.Array
    """f32 [S, C], background last."""
    labels: jax.Array
    """i32 [S], C - 1 where unmatched."""
    placed_yxyx: jax.Array
    """f32 [S, 4] px, as they were matched: anchors or proposals."""
    dense_yxyx: jax.Array
    """f32 [S, 4] px, those whose density counts."""
    positive: jax.Array
    mask: jax.Array
    true_yxyx: jax.Array
    true_mask: jax.Array
    known: jax.Array | None = None
    """bool [S], at known background; None without rounds."""


class Costs(NamedTuple):
    """Classification losses f32 [S] of sampled boxes, not reduced, and what was done.

    With calibration "pu" `cls` is of the positives' classes alone, and `margin` what
    the risk is of.
    """

    cls: jax.Array
    weight: jax.Array
    """f32 [S]: what `cls` was multiplied by, 1 for positives."""
    mirrored: jax.Array | None = None
    """bool [S], of "recalibrated"; None elsewhere."""
    margin: jax.Array | None = None
    """f32 [S] log odds of any cell, of "pu"; None elsewhere."""


def classify(
    rng: jax.Array, sampled: Sampled, progress: Progress, loss: LossOptions
) -> Costs:
    """Classification losses under the chosen calibration; keyed for "permuted"."""
    logits, labels = sampled.logits, sampled.labels
    if loss.calibration in unmatched.BOX_WEIGHTED:
        weight = box_weights(rng, sampled, progress, loss)
        cls = calibration.weighted_cross_entropy(logits, labels, weight)
        return Costs(cls, weight)
    ones = jnp.ones(len(labels))
    if loss.calibration == "pu":
        cls = unmatched.class_cross_entropy(logits, labels, sampled.positive)
        return Costs(cls, ones, margin=unmatched.foreground_margin(logits))
    if loss.calibration == "recalibrated":
        far = ~sampled.positive & (_overlap(sampled) < loss.recalibrated_iou)
        far = far if sampled.known is None else far & ~sampled.known
        found = unmatched.recalibrated(
            logits,
            labels,
            far,
            threshold=loss.recalibrated_threshold,
            weight=loss.recalibrated_weight,
            progress=loss.warmth(progress) if loss.warmup else 1.0,
        )
        return Costs(found.costs, found.weights, mirrored=found.mirrored)
    cls = calibration.calibrated_cross_entropy(
        logits, labels, progress.step, loss.calibrated(progress.total)
    )
    return Costs(cls, ones)


def box_weights(
    rng: jax.Array, sampled: Sampled, progress: Progress, loss: LossOptions
) -> jax.Array:
    """What the loss of boxes is multiplied by, f32 [S]; 1 for what is known."""
    size = len(sampled.mask)
    if loss.calibration == "constant":
        weight = jnp.full(size, loss.constant_weight)
    elif loss.calibration == "soft_sampling":
        weight = unmatched.soft_sampling(_nearness(sampled, loss), loss.gompertz())
    elif loss.literal:
        weight = jnp.zeros(size)
    else:
        among = sampled.mask & ~sampled.positive
        rng = jax.random.fold_in(rng, 1) if loss.energy_order == "permuted" else rng
        energy = _energy(sampled, loss)
        weight = unmatched.reordered(energy, among, loss.energy_order, rng)
    if loss.warmup:
        weight = unmatched.warmed(weight, loss.warmth(progress))
    if sampled.known is not None:
        weight = jnp.where(sampled.known, 1.0, weight)
    return calibration.bde_weights(weight, sampled.positive)


def _energy(sampled: Sampled, loss: LossOptions) -> jax.Array:
    if loss.energy == "score":
        return 1.0 - unmatched.foreground(sampled.logits)
    placed = jax.lax.stop_gradient(sampled.dense_yxyx)
    centers, mask = geometry.box_centers(placed), sampled.mask
    if loss.energy == "neighbors":
        return density.neighbor_energy(centers, mask)
    if loss.energy == "kernel":
        bandwidth_px = loss.kernel_px or _median_side(placed, mask) / 2
        return density.kernel_energy(centers, mask, bandwidth_px=bandwidth_px)
    return density.box_energy(centers, mask, form=loss.density_form)


def _median_side(boxes_yxyx: jax.Array, mask: jax.Array) -> jax.Array:
    """Median side of boxes, px: the root of their areas; of two the lesser."""
    sides = jnp.where(mask, jnp.sqrt(boxes.area(boxes_yxyx)), jnp.inf)
    return jnp.sort(sides)[jnp.maximum(jnp.sum(mask) - 1, 0) // 2]


def _overlap(sampled: Sampled) -> jax.Array:
    """Largest overlap of each box with an annotated one, f32 [S]; 0 for none."""
    overlaps = boxes.iou_matrix(sampled.placed_yxyx, sampled.true_yxyx)
    overlaps = jnp.where(sampled.true_mask[None, :], overlaps, 0.0)
    return jnp.max(overlaps, axis=1, initial=0.0)


def _nearness(sampled: Sampled, loss: LossOptions) -> jax.Array:
    if loss.soft_by == "overlap":
        return _overlap(sampled)
    return unmatched.nearness_by_distance(
        geometry.box_centers(sampled.placed_yxyx),
        geometry.box_centers(sampled.true_yxyx),
        jnp.sqrt(boxes.area(sampled.true_yxyx)),
        sampled.true_mask,
        reach=loss.soft_reach,
    )
