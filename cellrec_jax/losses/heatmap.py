"""Losses of heat maps: cross entropy mixed with soft IoU, and squared error.

Of one image: maps [H, W, K], one a class; `weights` [H, W], bool or float >= 0; where
0, a map changes neither value nor gradient. Sources: Shui et al., End-to-end cell
recognition by point annotation, MICCAI 2022; Xie, Noble and Zisserman, Microscopy cell
counting with fully convolutional regression networks, 2015 and 2018 (squared error).
"""

import chex
import jax
import jax.numpy as jnp

IOU_FORMS = ("product", "dice", "log", "min_max")


def binary_cross_entropy(
    logits: jax.Array, targets: jax.Array, weights: jax.Array
) -> jax.Array:
    """Cross entropy f32 [H, W, K], targets in [0, 1]; 0 where `weights` is 0."""
    logits, targets, counted = _counted(logits, targets, weights)
    cost = jax.nn.softplus(logits) - targets * logits
    return jnp.where(counted, cost, 0.0)


def soft_iou_loss(
    logits: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    *,
    form: str = "product",
    eps: float = 1.0,
) -> jax.Array:
    """One minus the overlap of probabilities P and targets G over union, f32 [K].

    With sums over pixels, times their weights, and `eps` added above and below:
    "product" 1 - GP / (G + P - GP); "dice" 1 - 2 GP / (G + P); "log" -ln of the first
    quotient; "min_max" 1 - min(G, P) / max(G, P), the only one least at P = G for soft
    targets. A class without cells costs 1 - eps / (P + eps). A ValueError for another
    form, or a negative `eps`. Shui et al. 2022 name an IoU loss without a formula.
    """
    if form not in IOU_FORMS:
        raise ValueError(f"IoU form {form!r}: use {' or '.join(IOU_FORMS)}")
    if not eps >= 0:
        raise ValueError(f"eps is {eps}: give at least 0")
    logits, targets, _ = _counted(logits, targets, weights)
    probs = jax.nn.sigmoid(logits)
    weight = weights.astype(jnp.float32)[..., None]

    def total(values: jax.Array) -> jax.Array:
        return jnp.sum(weight * values, axis=(0, 1))

    both = total(targets * probs)
    either = total(targets) + total(probs) - both
    if form == "dice":
        both, either = 2 * both, either + both
    elif form == "min_max":
        both = total(jnp.minimum(targets, probs))
        either = total(jnp.maximum(targets, probs))
    empty = either + eps <= 0  # no pixel counts and eps is 0
    share = jnp.where(empty, 1.0, both + eps) / jnp.where(empty, 1.0, either + eps)
    if form == "log":
        return -jnp.log(jnp.maximum(share, 1e-12))
    return 1.0 - share


def bce_iou_loss(
    logits: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    *,
    bce_weight: float = 0.8,
    iou_weight: float = 0.2,
    form: str = "product",
    eps: float = 1.0,
) -> jax.Array:
    """Cross entropy (mean over classes and pixels that count) and mean soft IoU, mixed.

    A float32 scalar. Weights 0.8 and 0.2 are those of Shui et al. 2022.
    """
    cross_entropy = image_mean(binary_cross_entropy(logits, targets, weights), weights)
    overlap = soft_iou_loss(logits, targets, weights, form=form, eps=eps)
    return bce_weight * cross_entropy + iou_weight * jnp.mean(overlap)


def squared_error(
    outputs: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    *,
    height: float = 100.0,
) -> jax.Array:
    """(output - height * target)^2, sum over classes, mean over pixels that count.

    A float32 scalar, of linear outputs and targets in [0, 1]. Xie et al. learn 100
    times a Gaussian, says the first author's code, of one class.
    """
    outputs, targets, _ = _counted(outputs, targets, weights)
    error = (outputs - height * targets) ** 2
    return outputs.shape[-1] * image_mean(error, weights)


def image_mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Mean over classes and pixels of one image, f32 []; 0 where no pixel counts.

    Values [H, W, K], where `weights` [H, W] is 0 of any kind. `masking.masked_mean`
    would count over the devices.
    """
    weight = weights.astype(jnp.float32)
    kept = jnp.where(weight[..., None] > 0, values.astype(jnp.float32), 0.0)
    count = jax.lax.stop_gradient(jnp.sum(weight))
    per_pixel = jnp.mean(kept, axis=-1)
    return jnp.sum(per_pixel * weight) / jnp.where(count > 0, count, 1.0)


def _counted(
    maps: jax.Array, targets: jax.Array, weights: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Both maps in float32, 0 where no weight is, and bool [H, W, 1] where one is."""
    chex.assert_rank([maps, targets, weights], [3, 3, 2])
    chex.assert_equal_shape([maps, targets])
    chex.assert_equal_shape_prefix([maps, weights], 2)
    counted = weights[..., None] > 0
    maps = jnp.where(counted, maps.astype(jnp.float32), 0.0)
    targets = jnp.where(counted, targets.astype(jnp.float32), 0.0)
    return maps, targets, counted
