"""How densely predicted boxes lie, and the energy that the BDE loss takes from it.

Of one image. Source: Li et al., A Robust Training Method for Pathological Cellular
Detector via Spatial Loss Calibration, Front. Med. 2021.
"""

import chex
import jax
import jax.numpy as jnp

from cellrec_jax.ops import platform

DENSE_UP_TO = {"cpu": 512, "gpu": 1024, "tpu": 1024}
"""Largest N where the dense density is taken by `form="auto"`, per platform."""


def _centered(points_yx: jax.Array, mask: jax.Array) -> jax.Array:
    """Points f32 about the middle of the real ones, to keep digits; padding at 0."""
    points = points_yx.astype(jnp.float32)
    real = mask[:, None]
    low = jnp.min(jnp.where(real, points, jnp.inf), axis=0, initial=jnp.inf)
    high = jnp.max(jnp.where(real, points, -jnp.inf), axis=0, initial=-jnp.inf)
    middle = jnp.where(jnp.any(mask), (low + high) / 2, 0.0)
    return jnp.where(real, points - middle[None, :], 0.0)


def _dense_sums(points_yx: jax.Array, weights: jax.Array) -> jax.Array:
    y, x = points_yx[:, 0], points_yx[:, 1]
    pairs = jnp.abs(y[:, None] - y[None, :]) + jnp.abs(x[:, None] - x[None, :])
    # A product with 1 would be rounded in another way.
    weighted = pairs if weights.dtype == bool else weights[None, :] * pairs
    return jnp.sum(jnp.where(weights[None, :] > 0, weighted, 0.0), axis=1)


def _axis_sums(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Sum over j of w_j |v_i - v_j| for each i, by sorting and prefix sums."""
    order = jnp.argsort(values)
    ranked, weight = values[order], weights[order]
    lighter = jnp.cumsum(weight) - weight
    heavier = jnp.sum(weight) - lighter - weight
    below = jnp.cumsum(weight * ranked) - weight * ranked
    above = jnp.sum(weight * ranked) - below - weight * ranked
    sums = lighter * ranked - below + above - heavier * ranked
    return jnp.zeros_like(values).at[order].set(sums)


def _sorted_sums(points_yx: jax.Array, weights: jax.Array) -> jax.Array:
    weights = weights.astype(jnp.float32)
    return _axis_sums(points_yx[:, 0], weights) + _axis_sums(points_yx[:, 1], weights)


def _fastest_sums(points_yx: jax.Array, weights: jax.Array) -> jax.Array:
    """The sums by N and the platform that it is compiled for."""
    sums = {
        name: _dense_sums if len(points_yx) <= limit else _sorted_sums
        for name, limit in DENSE_UP_TO.items()
    }
    return platform.dependent(sums, points_yx, weights)


def box_density(
    points_yx: jax.Array,
    mask: jax.Array,
    *,
    weights: jax.Array | None = None,
    form: str = "auto",
) -> jax.Array:
    """Mean Manhattan distance of each box centre to all centres, f32 [N] px.

    1/N sum_j |x_i - x_j| + |y_i - y_j|, itself included (Li et al. 2021, Eq. 5 and 6);
    0 where padded. `weights` [N] >= 0 make it a weighted mean over j (an extension), 0
    where they are all 0. `form` is "dense" ([N, N]), "sorted" (O(N log N)), or "auto"
    by N and platform (`DENSE_UP_TO`, by `cellrec_jax.bench density`).

    Example:
      >>> points = jnp.array([[0.0, 0.0], [0.0, 3.0], [0.0, 3.0]])
      >>> box_density(points, jnp.ones(3, bool)).tolist()
      [2.0, 1.0, 1.0]
    """
    chex.assert_shape(points_yx, (None, 2))
    chex.assert_shape(mask, points_yx.shape[:1])
    points = _centered(points_yx, mask)
    weights = _weights(weights, mask)
    forms = {"dense": _dense_sums, "sorted": _sorted_sums, "auto": _fastest_sums}
    sums = forms[form](points, weights)
    total = jnp.sum(weights)
    mean = jnp.maximum(sums, 0.0) / jnp.where(total > 0, total, 1.0)
    return jnp.where(mask & (total > 0), mean, 0.0)


def _weights(weights: jax.Array | None, mask: jax.Array) -> jax.Array:
    """Weights f32 [N], 0 for padding; the mask where there are none."""
    if weights is None:
        return mask
    chex.assert_equal_shape([weights, mask])
    return jnp.where(mask, weights.astype(jnp.float32), 0.0)


def largest_distance(points_yx: jax.Array, mask: jax.Array) -> jax.Array:
    """Largest Manhattan distance, px: max(range(y + x), range(y - x)); 0 if alone."""
    points = _centered(points_yx, mask)

    def spread(values: jax.Array) -> jax.Array:
        high = jnp.max(jnp.where(mask, values, -jnp.inf), initial=-jnp.inf)
        low = jnp.min(jnp.where(mask, values, jnp.inf), initial=jnp.inf)
        return jnp.where(jnp.any(mask), high - low, 0.0)

    y, x = points[:, 0], points[:, 1]
    return jnp.maximum(spread(y + x), spread(y - x))


@jax.named_scope("box_energy")
def box_energy(
    points_yx: jax.Array,
    mask: jax.Array,
    *,
    weights: jax.Array | None = None,
    form: str = "auto",
) -> jax.Array:
    """Boxes Density Energy, f32 [N] in [0, 1]: density over the largest distance.

    Li et al. 2021, Eq. 8; 0/0 is taken as 1 (one place, padding, no weight at all). A
    mean over all boxes is nearer to centrality: a cluster scores low only if it holds a
    good share of them, or of their `weights` (see `box_density`).

    Example:
      >>> points = jnp.array([[0.0, 0.0], [0.0, 4.0], [0.0, 4.0], [0.0, 0.0]])
      >>> box_energy(points, jnp.ones(4, bool)).tolist()
      [0.5, 0.5, 0.5, 0.5]
    """
    density = box_density(points_yx, mask, weights=weights, form=form)
    largest = largest_distance(points_yx, mask)
    usable = (largest > 0) & (jnp.sum(_weights(weights, mask)) > 0)
    energy = density / jnp.where(largest > 0, largest, 1.0)
    return jnp.where(mask & usable, energy, 1.0)


@jax.named_scope("box_energy")
def neighbor_energy(
    points_yx: jax.Array, mask: jax.Array, *, num_neighbors: int = 8
) -> jax.Array:
    """Energy from the nearest boxes only: an extension, not the paper's formula.

    Mean Manhattan distance to the `num_neighbors` nearest other boxes, over the largest
    of the image: f32 [N] in [0, 1]; 1 where padded, alone, or all in one place.
    """
    points = _centered(points_yx, mask)
    y, x = points[:, 0], points[:, 1]
    pairs = jnp.abs(y[:, None] - y[None, :]) + jnp.abs(x[:, None] - x[None, :])
    other = mask[None, :] & ~jnp.eye(len(mask), dtype=bool)
    nearest = -jax.lax.top_k(
        jnp.where(other, -pairs, -jnp.inf), min(num_neighbors, len(mask))
    )[0]
    found = jnp.isfinite(nearest)
    total = jnp.sum(jnp.where(found, nearest, 0.0), axis=1)
    mean = total / jnp.maximum(jnp.sum(found, axis=1), 1)
    largest = jnp.max(jnp.where(mask, mean, 0.0), initial=0.0)
    usable = mask & (largest > 0)
    return jnp.where(usable, mean / jnp.where(largest > 0, largest, 1.0), 1.0)


@jax.named_scope("box_energy")
def kernel_energy(
    points_yx: jax.Array, mask: jax.Array, *, bandwidth_px: jax.Array | float
) -> jax.Array:
    """One over a Gaussian kernel density, f32 [N] in (0, 1]: an extension of ours.

    1 / sum_j exp(-|x_i - x_j|^2 / (2 bandwidth^2)), itself included: 1 alone, 1/n where
    n boxes lie in one place, so that a heap of them weighs about as much as one. In
    absolute px, not relative to the image as `box_energy`; 1 where padded. Dense, [N,
    N]; `bandwidth_px` > 0.

    Example:
      >>> points = jnp.array([[0.0, 0.0], [0.0, 0.0], [0.0, 99.0]])
      >>> kernel_energy(points, jnp.ones(3, bool), bandwidth_px=4.0).tolist()
      [0.5, 0.5, 1.0]
    """
    points = _centered(points_yx, mask) / jnp.maximum(bandwidth_px, 1e-3)
    y, x = points[:, 0], points[:, 1]
    squared = (y[:, None] - y[None, :]) ** 2 + (x[:, None] - x[None, :]) ** 2
    total = jnp.sum(jnp.where(mask[None, :], jnp.exp(-0.5 * squared), 0.0), axis=1)
    return jnp.where(mask, 1.0 / jnp.maximum(total, 1.0), 1.0)
