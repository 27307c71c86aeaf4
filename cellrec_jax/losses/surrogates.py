"""Surrogates of the zero-one loss of a margin, for `losses.pu`.

A margin is a score times the sign of its class: above 0 is right.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

_ATANH = tuple(1.0 / power for power in range(15, 0, -2))  # highest first


def sigmoid(margin: jax.Array) -> jax.Array:
    """Sigmoid surrogate 1 / (1 + exp(margin)), the default of Kiryo et al.

    Args:
      margin: [...] score times class sign; above 0 is right.

    Returns:
      [...] in (0, 1).
    """
    return jax.nn.sigmoid(-margin)


@jax.custom_jvp
def logistic(margin: jax.Array) -> jax.Array:
    """Logistic surrogate log(1 + exp(-margin)), the cross entropy of a sigmoid.

    Args:
      margin: [...] score times class sign; above 0 is right.

    Returns:
      [...] above 0.
    """
    # log1p(e) = 2 atanh(e / (2 + e)), as a series that is exact in float32 for e <= 1:
    # XLA's own log1p is up to ten times slower on a CPU.
    e = jnp.exp(-jnp.abs(margin))
    z = e / (2.0 + e)
    series = jnp.zeros_like(z)
    for coefficient in _ATANH:
        series = series * z * z + coefficient
    return jnp.maximum(-margin, 0.0) + 2.0 * z * series


@logistic.defjvp
def _logistic_jvp(
    primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    # Cheaper than through `softplus`, which takes a logarithm again.
    (margin,), (tangent,) = primals, tangents
    return logistic(margin), -jax.nn.sigmoid(-margin) * tangent


def zero_one(margin: jax.Array) -> jax.Array:
    """Zero-one loss (1 - sign(margin)) / 2: a value only, its gradient is 0.

    Args:
      margin: [...] score times class sign; above 0 is right.

    Returns:
      [...] 0 where right, 1 where wrong, 1/2 where undecided.
    """
    return (1.0 - jnp.sign(margin)) / 2.0


SURROGATES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "sigmoid": sigmoid,
    "logistic": logistic,
    "zero_one": zero_one,
}
