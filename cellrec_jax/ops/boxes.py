"""Box arithmetic on half-open boxes (y0, x0, y1, x1): area (y1-y0)*(x1-x0), no +1."""

import chex
import jax
import jax.numpy as jnp

MAX_LOG_SCALE = 4.135166556742356  # log(1000/16): keeps exp() of a raw output finite


def area(boxes_yxyx: jax.Array) -> jax.Array:
    """Areas of boxes, 0 for inverted ones. [..., 4] -> [...] px^2."""
    size = jnp.maximum(boxes_yxyx[..., 2:] - boxes_yxyx[..., :2], 0.0)
    return size[..., 0] * size[..., 1]


def iou_matrix(a_yxyx: jax.Array, b_yxyx: jax.Array) -> jax.Array:
    """Intersection over union of boxes [M, 4] and [N, 4]: [M, N], 0 for empty ones.

    Example:
      >>> a = jnp.array([[0.0, 0.0, 2.0, 4.0]])
      >>> iou_matrix(a, jnp.array([[0.0, 2.0, 2.0, 4.0]])).tolist()
      [[0.5]]
    """
    chex.assert_rank([a_yxyx, b_yxyx], 2)
    a, b = a_yxyx[:, None, :], b_yxyx[None, :, :]
    height = jnp.minimum(a[..., 2], b[..., 2]) - jnp.maximum(a[..., 0], b[..., 0])
    width = jnp.minimum(a[..., 3], b[..., 3]) - jnp.maximum(a[..., 1], b[..., 1])
    overlap = jnp.maximum(height, 0.0) * jnp.maximum(width, 0.0)
    union = area(a_yxyx)[:, None] + area(b_yxyx)[None, :] - overlap
    return jnp.where(union > 0, overlap / jnp.where(union > 0, union, 1.0), 0.0)


def clip(boxes_yxyx: jax.Array, size_hw: tuple[int, int]) -> jax.Array:
    """Boxes cut to [0, H] x [0, W]. [..., 4] -> [..., 4]."""
    height, width = size_hw
    y = jnp.clip(boxes_yxyx[..., 0::2], 0.0, height)
    x = jnp.clip(boxes_yxyx[..., 1::2], 0.0, width)
    return jnp.stack([y[..., 0], x[..., 0], y[..., 1], x[..., 1]], axis=-1)


def _center_size(boxes_yxyx: jax.Array) -> tuple[jax.Array, jax.Array]:
    size = jnp.maximum(boxes_yxyx[..., 2:] - boxes_yxyx[..., :2], 1e-3)
    return boxes_yxyx[..., :2] + size / 2, size


def encode(
    boxes_yxyx: jax.Array,
    anchors_yxyx: jax.Array,
    scales: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0),
) -> jax.Array:
    """Regression targets, deltas_yxhw, of boxes relative to anchors; all [..., 4].

    (dy, dx) in anchor sizes (at least 1e-3 px), (dh, dw) logs of ratios, times `scales`
    (Ren et al., Faster R-CNN, 2015, Eq. 2).
    """
    centers, size = _center_size(boxes_yxyx)
    anchor_centers, anchor_size = _center_size(anchors_yxyx)
    shift = (centers - anchor_centers) / anchor_size
    deltas = jnp.concatenate([shift, jnp.log(size / anchor_size)], axis=-1)
    return deltas * _row(scales, deltas)


def decode(
    deltas_yxhw: jax.Array,
    anchors_yxyx: jax.Array,
    scales: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0),
) -> jax.Array:
    """Inverse of `encode`, not clipped; log size ratios are capped at log(1000/16)."""
    deltas = deltas_yxhw / _row(scales, deltas_yxhw)
    anchor_centers, anchor_size = _center_size(anchors_yxyx)
    centers = anchor_centers + deltas[..., :2] * anchor_size
    half = anchor_size * jnp.exp(jnp.minimum(deltas[..., 2:], MAX_LOG_SCALE)) / 2
    return jnp.concatenate([centers - half, centers + half], axis=-1)


def _row(scales: tuple[float, ...], like: jax.Array) -> jax.Array:
    return jnp.asarray(scales, like.dtype).reshape((1,) * (like.ndim - 1) + (4,))
