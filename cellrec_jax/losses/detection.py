"""Box regression loss of two-stage detectors."""

import chex
import jax
import jax.numpy as jnp
import optax


def smooth_l1(
    predicted: jax.Array, target: jax.Array, *, sigma: float = 1.0
) -> jax.Array:
    """Smooth L1 distance, summed over the last axis.

    0.5 (sigma d)^2 where |d| < 1 / sigma^2, |d| - 0.5 / sigma^2 elsewhere.

    Args:
      predicted: [..., 4] deltas.
      target: [..., 4] deltas.
      sigma: sharpness of the corner; 1 is Eq. 4 of the BDE paper, 3 is usual for the
        first stage.

    Returns:
      f32 [...], not reduced.

    References:
      Girshick, Fast R-CNN, 2015, Eq. 3; Li et al. 2021, Eq. 3 and 4.

    Example:
      >>> smooth_l1(jnp.array([0.5, 3.0]), jnp.zeros(2)).item()
      2.625
    """
    chex.assert_equal_shape([predicted, target])
    predicted, target = predicted.astype(jnp.float32), target.astype(jnp.float32)
    huber = optax.losses.huber_loss(predicted, target, delta=1.0 / sigma**2)
    return sigma**2 * jnp.sum(huber, axis=-1)
