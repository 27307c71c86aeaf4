"""Two solvers of linear P-classification: f = F w, with a ridge.

All minimise loss(F w) + ridge sum_j<D w_j^2, where the last column of F is constant and
its weight, the bias, is free. `solve_lbfgs` is the one to use, `solve_sgd` repeats
published work.

Sources: Ertekin and Rudin, On Equivalence Relationships Between Classification and
Ranking Algorithms, JMLR 2011; Fujii et al., Cell Detection from Imperfect Annotation by
Pseudo Label Selection Using P-classification, MICCAI 2021, Eq. 2, and its public code.
"""

import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cellrec_jax.losses.ranking import descent, sgd


class Solution(NamedTuple):
    """Weights, and how they were found."""

    weights: jax.Array  # f32 [D]
    history: jax.Array
    """f32 [T, 3], total, loss and ridge term before each step; past `steps`, at the end
    (infinite where they exceed float32)."""
    steps: jax.Array
    """i32 scalar, number of steps that led to `weights`."""
    converged: jax.Array
    """bool scalar, whether the gradient fell below the tolerance."""


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

    A batch's objective is the sum over its rows plus the whole ridge term. Sums grow
    with N: a learning rate for hundreds of rows may diverge for tens of thousands.

    Args:
      features: [N, D] float, D >= 1; the last column constant, for the bias. Rows in
        neither mask are padding and may hold anything.
      positive: bool [N].
      negative: bool [N]; a row of both masks counts as positive.
      p: >= 1 and finite, see `objective.log_p_classification`.
      ridge: >= 0 and finite; 0 where it is not.
      initial: [D] weights to start from, 0 for one that is not finite; None is 0.
      epochs: T >= 1, passes over all rows; the steps of the result.
      learning_rate: above 0 and finite; else the result is the initial weights.
      batch_size: rows in a batch; where there are more, they are shuffled each epoch.
      rng: the key to shuffle by; a fixed one if None.

    Returns:
      The weights after the epoch of least total (measured before its updates, over all
      its batches). Never marked converged. Without positives or negatives, or with
      features that are not finite, the initial weights.

    References:
      Fujii et al. 2021, Eq. 2; learning rate, epochs, batches and ridge are those of
      their code, but not the random start.
    """
    start = _start(features, positive, initial)
    key = jax.random.key(0) if rng is None else rng
    return _sgd(
        *(features, positive, negative, p, ridge, start, learning_rate, key),
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

    The logarithm has the same minimiser. Two products with F a step; since scores are
    linear along a line, the step length is found exactly in O(N). Arguments as for
    `solve_sgd`, and `tolerance` of the gradient's norm, relative to the sum of its
    terms' norms; NaN takes no step. With a ridge of 0, separable data have no
    minimiser: the descent then ends unconverged, with finite weights that separate
    them.

    References:
      Liu and Nocedal, On the Limited Memory BFGS Method, 1989, with `optax`'s memory.
    """
    start = _start(features, positive, initial)
    return _descend(
        *(features, positive, negative, p, ridge, start, tolerance),
        max_steps=max_steps,
    )


@functools.partial(jax.jit, static_argnames="max_steps")
def _descend(
    features: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    p: jax.Array | float,
    ridge: jax.Array | float,
    start: jax.Array,
    tolerance: jax.Array | float,
    *,
    max_steps: int,
) -> Solution:
    problem = descent.linear_problem(features, positive, negative, p, ridge)
    point, history, steps = descent.descend(
        problem, start, max_steps=max_steps, tolerance=tolerance
    )
    converged = descent.two_sided(problem) & (point.relative_norm <= tolerance)
    return Solution(point.weights, history, steps, converged)


@functools.partial(jax.jit, static_argnames=("epochs", "batch_size"))
def _sgd(
    features: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    p: jax.Array | float,
    ridge: jax.Array | float,
    start: jax.Array,
    learning_rate: jax.Array | float,
    rng: jax.Array,
    *,
    epochs: int,
    batch_size: int,
) -> Solution:
    best, history = sgd.train(
        descent.linear_problem(features, positive, negative, p, ridge),
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
