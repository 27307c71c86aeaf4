"""Two solvers of linear P-classification: f = F w, with a ridge.

They minimise loss(F w) + ridge sum_j<D w_j^2; the last column of F is constant, its
weight, the bias, free. Use `solve_lbfgs`; `solve_sgd` repeats published work. Sources
as in `objective`, and the public code of Fujii et al. 2021.
"""

import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from cellrec_jax.losses.ranking import descent, sgd


class Solution(NamedTuple):
    """Weights, the steps that led there, and whether the tolerance was reached."""

    weights: jax.Array  # f32 [D]
    history: jax.Array
    """f32 [T, 3], total, loss and ridge term before each step, then at the end."""
    steps: jax.Array
    converged: jax.Array


def solve_sgd(
    features: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    *,
    p: jax.Array | float = 4.0,
    ridge: jax.Array | float = 0.1,
    initial: jax.Array | None = None,
    epochs: int = 2000,
    learning_rate: jax.Array | float = 1e-5,
    batch_size: int = 1000,
    rng: jax.Array | None = None,
) -> Solution:
    """Gradient descent as in the public code of Fujii et al., far from converged.

    A batch's objective is the sum over its rows plus the whole ridge term, so that a
    learning rate for hundreds of rows may diverge for more. Returns the weights after
    the epoch of least total, never marked converged; without positives or negatives, or
    with features not finite, the initial ones. Their code starts at random.

    Args:
      features: [N, D], the last column constant. In neither mask is padding.
      positive: bool [N].
      negative: bool [N]; a row of both masks counts as positive.
      p: >= 1 and finite, see `objective.log_p_classification`.
      ridge: >= 0 and finite; 0 where it is not.
      initial: [D] weights to start from, 0 for one that is not finite; None is 0.
      epochs: T >= 1, passes over all rows; the steps of the result.
      learning_rate: above 0 and finite; else the result is the initial weights.
      batch_size: rows in a batch; where there are more, they are shuffled each epoch.
      rng: the key to shuffle by; a fixed one if None.
    """
    start = _start(features, positive, initial)
    key = jax.random.key(0) if rng is None else rng
    data = (features, positive, negative, p, ridge)
    return _sgd(
        data,
        start,
        learning_rate,
        key,
        epochs=epochs,
        batch_size=max(1, min(batch_size, len(features))),
    )


def solve_lbfgs(
    features: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    *,
    p: jax.Array | float = 4.0,
    ridge: jax.Array | float = 0.1,
    initial: jax.Array | None = None,
    max_steps: int = 500,
    tolerance: jax.Array | float = 1e-5,
) -> Solution:
    """Minimises the logarithm of the objective by L-BFGS: fast, and never overflows.

    Liu and Nocedal 1989, with exact line search. Arguments as for `solve_sgd`;
    `tolerance` of the gradient's norm is relative to the sum of its terms' norms; NaN
    takes no step. Separable data with a ridge of 0 end unconverged, with finite
    weights.
    """
    start = _start(features, positive, initial)
    data = (features, positive, negative, p, ridge)
    return _descend(data, start, tolerance, max_steps=max_steps)


@functools.partial(jax.jit, static_argnames="max_steps")
def _descend(
    data: tuple[Any, ...],
    start: jax.Array,
    tolerance: jax.Array | float,
    *,
    max_steps: int,
) -> Solution:
    problem = descent.linear_problem(*data)
    point, history, steps = descent.descend(
        problem, start, max_steps=max_steps, tolerance=tolerance
    )
    converged = descent.two_sided(problem) & (point.relative_norm <= tolerance)
    return Solution(point.weights, history, steps, converged)


@functools.partial(jax.jit, static_argnames=("epochs", "batch_size"))
def _sgd(
    data: tuple[Any, ...],
    start: jax.Array,
    learning_rate: jax.Array | float,
    rng: jax.Array,
    *,
    epochs: int,
    batch_size: int,
) -> Solution:
    best, history = sgd.train(
        descent.linear_problem(*data),
        start,
        learning_rate,
        rng,
        epochs=epochs,
        batch_size=batch_size,
    )
    return Solution(best.weights, history, best.steps, jnp.bool_(False))


def _start(
    features: jax.Array, positive: jax.Array, initial: jax.Array | None
) -> jax.Array:
    chex.assert_shape(features, (len(positive), None))
    if initial is None:
        return jnp.zeros(features.shape[1], jnp.float32)
    chex.assert_shape(initial, features.shape[1:])
    initial = jnp.asarray(initial, jnp.float32)
    return jnp.where(jnp.isfinite(initial), initial, 0.0)
