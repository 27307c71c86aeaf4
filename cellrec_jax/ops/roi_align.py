"""RoIAlign over a feature pyramid: bilinear samples of boxes, pooled to a fixed grid.

Equal forms: `einsum` (matrix products, for TPUs) and `gather` (for CPUs).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np


class _Places(NamedTuple):
    """Where samples of boxes lie."""

    y: jax.Array
    """Rows f32 [R, S], px."""
    x: jax.Array
    """Columns f32 [R, S], px."""
    level_idx: jax.Array
    """i32 [R]."""


_Read = Callable[[Sequence[jax.Array], Sequence[int], _Places], jax.Array]
"""(features, strides, places) -> samples [R, S, S, C]."""


def roi_levels(
    boxes_yxyx: jax.Array, min_level: int, max_level: int, canonical_size: float = 224.0
) -> jax.Array:
    """Level i32 [R]: clipped floor(4 + log2(sqrt(area) / 224)) (FPN, 2017, Eq. 1)."""
    size = jnp.maximum(boxes_yxyx[:, 2:] - boxes_yxyx[:, :2], 1e-3)
    side = jnp.sqrt(size[:, 0] * size[:, 1])
    level = jnp.floor(4.0 + jnp.log2(side / canonical_size + 1e-6))
    return jnp.clip(level, min_level, max_level).astype(jnp.int32)


def _sample_positions(
    boxes_yxyx: jax.Array, samples: int
) -> tuple[jax.Array, jax.Array]:
    """Centres of `samples` equal parts of each side, in px: two [R, S]."""
    fraction = ((np.arange(samples) + 0.5) / samples).astype(np.float32)[None, :]
    low, size = boxes_yxyx[:, :2], boxes_yxyx[:, 2:] - boxes_yxyx[:, :2]
    y = low[:, 0:1] + fraction * size[:, 0:1]
    x = low[:, 1:2] + fraction * size[:, 1:2]
    return y, x


def _neighbors(
    position: jax.Array, stride: jax.Array, length: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Lower and upper cell of a sample and the weight of the upper; edges repeat."""
    cell = jnp.clip(position / stride - 0.5, 0.0, length - 1.0)
    low = jnp.floor(cell)
    high = jnp.minimum(low + 1.0, length - 1.0)
    return low.astype(jnp.int32), high.astype(jnp.int32), cell - low


def _gather(
    features: Sequence[jax.Array], strides: Sequence[int], places: _Places
) -> jax.Array:
    y, x, level_idx = places
    heights = jnp.asarray([f.shape[0] for f in features], jnp.float32)
    widths = jnp.asarray([f.shape[1] for f in features], jnp.float32)
    starts = np.cumsum([0, *(f.shape[0] * f.shape[1] for f in features)])[:-1]
    flat = jnp.concatenate([f.reshape(-1, f.shape[-1]) for f in features])
    stride = jnp.asarray(strides, jnp.float32)[level_idx][:, None]
    width = widths[level_idx][:, None]
    y0, y1, wy = _neighbors(y, stride, heights[level_idx][:, None])
    x0, x1, wx = _neighbors(x, stride, width)
    start = jnp.asarray(starts, jnp.int32)[level_idx][:, None]
    row = width.astype(jnp.int32)

    def read(rows: jax.Array, columns: jax.Array) -> jax.Array:
        index = (start + rows * row)[:, :, None] + columns[:, None, :]
        return flat[index]

    wy, wx = wy[:, :, None, None], wx[:, None, :, None]
    wy, wx = wy.astype(flat.dtype), wx.astype(flat.dtype)
    top = read(y0, x0) * (1 - wx) + read(y0, x1) * wx
    bottom = read(y1, x0) * (1 - wx) + read(y1, x1) * wx
    return top * (1 - wy) + bottom * wy


def _weights(position: jax.Array, stride: int, length: int) -> jax.Array:
    """1-D interpolation matrix [R, S, length]."""
    low, high, upper = _neighbors(position, jnp.float32(stride), jnp.float32(length))
    one_low = jax.nn.one_hot(low, length, dtype=jnp.float32)
    one_high = jax.nn.one_hot(high, length, dtype=jnp.float32)
    return one_low * (1 - upper)[..., None] + one_high * upper[..., None]


def _einsum(
    features: Sequence[jax.Array], strides: Sequence[int], places: _Places
) -> jax.Array:
    y, x, level_idx = places
    shape = (*y.shape, x.shape[1], features[0].shape[-1])
    out = jnp.zeros(shape, features[0].dtype)
    for index, (feature, stride) in enumerate(zip(features, strides, strict=True)):
        here = (level_idx == index)[:, None, None]
        weight_y = jnp.where(here, _weights(y, stride, feature.shape[0]), 0.0)
        weight_x = _weights(x, stride, feature.shape[1])
        # Contract the rows first: [R, S, h] x [h, w, C], then the columns.
        rows = jnp.einsum("rsh,hwc->rswc", weight_y.astype(feature.dtype), feature)
        out += jnp.einsum("rtw,rswc->rstc", weight_x.astype(feature.dtype), rows)
    return out


def _fastest(
    features: Sequence[jax.Array], strides: Sequence[int], places: _Places
) -> jax.Array:
    """By the platform that it is compiled for."""

    def by(read: _Read) -> Callable[[Sequence[jax.Array], _Places], jax.Array]:
        return lambda features, places: read(features, strides, places)

    return jax.lax.platform_dependent(
        tuple(features), places, tpu=by(_einsum), default=by(_gather)
    )


@jax.named_scope("roi_align")
def roi_align(
    features: Sequence[jax.Array],
    boxes_yxyx: jax.Array,
    strides: Sequence[int],
    level_idx: jax.Array,
    *,
    size: int = 7,
    samples: int = 2,
    pool: str = "average",
    form: str = "auto",
) -> jax.Array:
    """Pools each box of one image to [R, size, size, C], in the features' dtype.

    Args:
      features: per level [h, w, C], from fine to coarse.
      boxes_yxyx: [R, 4] px of the image.
      strides: px per feature cell of each level.
      level_idx: i32 [R] index into `features`.
      size: cells a side of the result.
      samples: bilinear samples a cell and axis.
      pool: "average" is RoIAlign (Mask R-CNN, 2017); "max" is crop-and-resize then
        max-pool, as at the BDE paper's time (which also sampled the edges).
      form: "einsum", "gather", or "auto" (gather on CPU and GPU, einsum on TPU).
    """
    chex.assert_shape(boxes_yxyx, (None, 4))
    places = _Places(*_sample_positions(boxes_yxyx, size * samples), level_idx)
    read: _Read = {"einsum": _einsum, "gather": _gather, "auto": _fastest}[form]
    values = read(features, strides, places)
    return _pool(values, samples, pool)


def _pool(values: jax.Array, samples: int, pool: str) -> jax.Array:
    """Reduces each `samples` x `samples` window: [R, S, S, C] -> [R, s, s, C]."""
    if pool == "max":
        # Not jnp.max: its gradient misses the maximum if samples are rounded anew.
        window = (1, samples, samples, 1)
        return jax.lax.reduce_window(
            values, -jnp.inf, jax.lax.max, window, window, "VALID"
        )
    if pool != "average":
        raise ValueError(f"unknown pool '{pool}': choose average or max")
    size = values.shape[1] // samples
    blocks = values.reshape(-1, size, samples, size, samples, values.shape[-1])
    return jnp.mean(blocks, axis=(2, 4))
