"""Box regression loss of two-stage detectors."""

import chex
import jax
import jax.numpy as jnp


def smooth_l1(
    predicted: jax.Array, target: jax.Array, *, sigma: float = 1.0
) -> jax.Array:
    """Smooth L1 distance of deltas, summed over the last axis, not reduced.

    0.5 (sigma d)^2 where |d| < 1 / sigma^2, |d| - 0.5 / sigma^2 elsewhere (Girshick,
    Fast R-CNN, 2015, Eq. 3); sigma 1 is Li et al. 2021, Eq. 4, 3 usual for the first
    stage.

    Example:
      >>> smooth_l1(jnp.array([0.5, 3.0]), jnp.zeros(2)).item()
      2.625
    """
    chex.assert_equal_shape([predicted, target])
    # Not optax's huber_loss: its rounding sends a training another way.
    distance = jnp.abs(predicted.astype(jnp.float32) - target.astype(jnp.float32))
    corner = 1.0 / sigma**2
    near = 0.5 * (sigma * distance) ** 2
    return jnp.sum(jnp.where(distance < corner, near, distance - 0.5 * corner), axis=-1)
