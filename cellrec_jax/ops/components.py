"""Connected components of a mask, and their centres, areas and mean values.

Of one image, 8 neighbours, in fixed shapes: for decoding inside jit and vmap.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cellrec_jax import geometry


class Components(NamedTuple):
    """The M largest components, by falling area; 0 in empty slots."""

    points_yx: jax.Array
    """f32 [M, 2] mean of the pixels' centres, px."""
    area: jax.Array
    """f32 [M] number of pixels."""
    values: jax.Array
    """f32 [M, K] means over the pixels."""
    mask: jax.Array
    """bool [M]; True for real components."""


def label(mask: jax.Array) -> jax.Array:
    """Least pixel number (y W + x) of each pixel's component, i32 [H, W].

    Of a bool [H, W]; H W in the background. Each pixel points to one of its component.
    In each round it, and what it points to, learn the least pointer around, and
    pointers are followed twice: few rounds, also in spirals. Pointers only fall, so it
    ends.
    """
    chex.assert_rank(mask, 2)
    number = jnp.arange(mask.size, dtype=jnp.int32).reshape(mask.shape)
    start = jnp.where(mask, number, mask.size)

    def advance(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        labels, _ = carry
        least = jnp.where(mask, _least_around(labels), mask.size)
        pointers = labels.ravel()
        told = least.ravel().at[pointers].min(least.ravel(), mode="drop")
        for _ in range(2):
            told = told.at[told].get(mode="fill", fill_value=mask.size)
        return told.reshape(mask.shape), jnp.any(least != labels)

    labels, _ = jax.lax.while_loop(
        lambda carry: carry[1], advance, (start, jnp.any(mask))
    )
    return labels


def _least_around(labels: jax.Array) -> jax.Array:
    """Least of the square of 3 x 3 around each pixel."""
    for axis in (0, 1):
        ends = [(1, 1) if axis == i else (0, 0) for i in range(2)]
        padded = jnp.pad(labels, ends, constant_values=labels.size)
        size = labels.shape[axis]
        before, after = (
            jax.lax.slice_in_dim(padded, i, i + size, axis=axis) for i in (0, 2)
        )
        labels = jnp.minimum(labels, jnp.minimum(before, after))
    return labels


def measure(labels: jax.Array, values: jax.Array, max_components: int) -> Components:
    """Measures the `max_components` largest components of a `label`.

    Of equal areas the one of the least label comes first. `values` [H, W, K] of any
    kind, which the background may leave at anything. Sums are in float32 from each
    component's first pixel: centres of cells are exact.
    """
    chex.assert_rank([labels, values], [2, 3])
    chex.assert_equal_shape_prefix([labels, values], 2)
    width = labels.shape[1]
    slots = max(labels.size, max_components)
    owner = jnp.where(labels < labels.size, labels, slots).ravel()
    place = jnp.stack(jnp.indices(labels.shape, jnp.int32), axis=-1)
    first = jnp.stack(jnp.divmod(labels, width), axis=-1)
    parts = [jnp.ones((*labels.shape, 1)), place - first, values]
    rows = jnp.concatenate([part.astype(jnp.float32) for part in parts], axis=-1)
    sums = jnp.zeros((slots, rows.shape[-1]), jnp.float32)
    sums = sums.at[owner].add(rows.reshape(-1, rows.shape[-1]), mode="drop")
    area, index = jax.lax.top_k(sums[:, 0], max_components)
    mask = area > 0
    means = sums[index, 1:] / jnp.maximum(area, 1.0)[:, None]
    first_yx = jnp.stack(jnp.divmod(index, width), axis=-1).astype(jnp.float32)
    points_yx = geometry.pixel_to_point(first_yx + means[:, :2])
    return Components(
        jnp.where(mask[:, None], points_yx, 0.0), area, means[:, 2:], mask
    )
