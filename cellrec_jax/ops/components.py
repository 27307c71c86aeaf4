"""Connected parts of a mask, in fixed slots: as `scipy.ndimage.label`, inside jit."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cellrec_jax import geometry


class Parts(NamedTuple):
    """M parts of a mask, the largest first; 0 in empty slots."""

    points_yx: jax.Array
    """f32 [M, 2] centroids of their pixels, px."""
    area: jax.Array
    """f32 [M] pixels."""
    values: jax.Array
    """f32 [M, K] means of values over their pixels."""
    mask: jax.Array
    """bool [M]."""


def label(mask: jax.Array) -> jax.Array:
    """The first pixel of the part that each pixel is in, i32 [H, W]; H * W outside.

    Pixels count by rows; parts are 8-connected. The least number spreads by a pixel and
    then to where it points, until nothing changes.
    """
    chex.assert_rank(mask, 2)
    outside = mask.size
    number = jnp.arange(outside, dtype=jnp.int32).reshape(mask.shape)
    start = jnp.where(mask, number, outside)

    def spread(labels: jax.Array) -> jax.Array:
        for window in ((3, 1), (1, 3)):
            labels = jax.lax.reduce_window(
                labels, jnp.int32(outside), jax.lax.min, window, (1, 1), "SAME"
            )
        labels = jnp.where(mask, labels, outside)
        ends = jnp.append(labels.ravel(), outside)
        return ends[labels]

    def step(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        labels, _ = state
        new = spread(labels)
        return new, jnp.any(new != labels)

    labels, _ = jax.lax.while_loop(lambda state: state[1], step, (start, jnp.any(mask)))
    return labels


def measure(labels: jax.Array, values: jax.Array, max_parts: int) -> Parts:
    """Centroid, area and means of the largest parts; of `label`, values [H, W, K]."""
    chex.assert_rank([labels, values], [2, 3])
    chex.assert_equal_shape_prefix([labels, values], 2)
    rows, columns = jnp.indices(labels.shape, dtype=jnp.float32)
    columns_of = [jnp.ones_like(rows), rows, columns]
    columns_of += [values[..., k] for k in range(values.shape[-1])]
    features = jnp.stack(columns_of, axis=-1).reshape(labels.size, -1)
    sums = jax.ops.segment_sum(
        features.astype(jnp.float32), labels.ravel(), labels.size + 1
    )[:-1]
    number = min(max_parts, labels.size)
    area, chosen = jax.lax.top_k(sums[:, 0], number)
    mask = area > 0
    means = sums[chosen, 1:] / jnp.where(mask, area, 1.0)[:, None]
    points_yx = geometry.pixel_to_point(means[:, :2])
    parts = Parts(jnp.where(mask[:, None], points_yx, 0.0), area, means[:, 2:], mask)
    missing = max_parts - number
    return jax.tree.map(
        lambda part: jnp.pad(part, ((0, missing),) + ((0, 0),) * (part.ndim - 1)), parts
    )
