"""Losses of a main, a dynamic and a prior decoder.

Of one image: maps [H, W, K] as in `losses.heatmap`, `weights` [H, W] >= 0 of its
pixels. Source: Zhang et al., Weakly Supervised Learning for Cell Recognition in
Immunohistochemical Cytoplasm Staining Images, ISBI 2022. Its Eq. 1, 2 and 6 do not work
as printed (`literal`): all ones are the least of Eq. 1, no overlap that of Eq. 2, and
Eq. 6 is a sum where all others are means.
"""

import chex
import jax
import jax.numpy as jnp

from cellrec_jax.losses import heatmap

NORMS = ("squared", "absolute")


def main_loss(
    logits: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    *,
    bce_weight: float = 0.8,
    iou_weight: float = 0.2,
    form: str = "dice",
    literal: bool = False,
) -> jax.Array:
    """L_m of Eq. 3, of maps in [0, 1]: cross entropy and overlap, mixed; a scalar.

    Differs from the paper: whole cross entropy in place of -G log P, mean over pixels
    and classes; 1 - 2 GP / (G + P), soft Dice, in place of GP / (G + P) (`form`, see
    `heatmap.soft_iou_loss`). `literal` is as printed.
    """
    if not literal:
        return heatmap.bce_iou_loss(
            logits,
            targets,
            weights,
            bce_weight=bce_weight,
            iou_weight=iou_weight,
            form=form,
        )
    cost = bce_weight * heatmap.image_mean(printed_entropy(logits, targets), weights)
    return cost + iou_weight * jnp.mean(printed_overlap(logits, targets, weights))


def printed_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Eq. 1 as printed, f32 [H, W, K]: -G log P, which all ones make least."""
    chex.assert_equal_shape([logits, targets])
    return targets.astype(jnp.float32) * jax.nn.softplus(-logits.astype(jnp.float32))


def printed_overlap(
    logits: jax.Array, targets: jax.Array, weights: jax.Array
) -> jax.Array:
    """Eq. 2 as printed, f32 [K]: sums GP / (G + P), which rises with overlap.

    0 where no pixel counts; in [0, 1/2].
    """
    dice = 1.0 - heatmap.soft_iou_loss(logits, targets, weights, form="dice", eps=0.0)
    return jnp.where(jnp.any(weights > 0), dice / 2, 0.0)


def map_error(
    probs: jax.Array, targets: jax.Array, weights: jax.Array, *, norm: str = "squared"
) -> jax.Array:
    """The mean error of maps in [0, 1]: Eq. 4, and Eq. 5 with a map for `targets`.

    Over pixels and classes, a scalar, with a gradient to both. The paper's norm bars
    say no exponent: "squared" or "absolute", else a ValueError.
    """
    if norm not in NORMS:
        raise ValueError(f"norm {norm!r}: use {' or '.join(NORMS)}")
    chex.assert_equal_shape([probs, targets])
    difference = probs.astype(jnp.float32) - targets.astype(jnp.float32)
    error = difference**2 if norm == "squared" else jnp.abs(difference)
    return heatmap.image_mean(error, weights)


def prior_error(
    probs: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    *,
    norm: str = "squared",
    literal: bool = False,
) -> jax.Array:
    """Eq. 6, of one map [H, W, 1] against the frozen network's; a scalar.

    Differs from the paper: a mean over pixels; `literal` is the sum as printed.
    """
    error = map_error(probs, targets, weights, norm=norm)
    if not literal:
        return error
    return error * jnp.sum(weights.astype(jnp.float32))
