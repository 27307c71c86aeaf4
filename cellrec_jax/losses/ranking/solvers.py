"""Three solvers of linear P-classification: f = F w, with a ridge.

All minimise loss(F w) + ridge sum_j<D w_j^2, where the last column of F is constant and
its weight, the bias, is free. `solve_sgd` repeats published work, `solve_lbfgs` is the
one to use, `solve_boosting` gives sparse weights.

Sources: Ertekin and Rudin, On Equivalence Relationships Between Classification and
Ranking Algorithms, JMLR 2011; Fujii et al., Cell Detection from Imperfect Annotation by
Pseudo Label Selection Using P-classification, MICCAI 2021, Eq. 2, and its public code.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from cellrec_jax.losses.ranking import (
    checks as ranking_checks,
)
from cellrec_jax.losses.ranking import (
    descent as ranking_descent,
)
from cellrec_jax.losses.ranking import (
    sgd as ranking_sgd,
)


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
    literal: bool = False,
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
      negative: bool [N], apart from `positive`.
      p: >= 1 and finite, see `ranking.p_classification`.
      ridge: >= 0 and finite; where traced, 0 where it is not.
      literal: see `ranking.p_classification`.
      initial: [D] finite weights to start from (where traced, 0 for one that is not);
        zeros if None.
      epochs: T >= 1, passes over all rows; the steps of the result.
      learning_rate: above 0 and finite; where traced, one that is neither has the
        initial weights as result.
      batch_size: rows in a batch; where there are more, they are shuffled each epoch.
      rng: the key to shuffle by; a fixed one if None.

    Returns:
      The weights after the epoch of least total (measured before its updates, over all
      its batches). Never marked converged. Without positives or negatives, where this
      is traced, the initial weights.

    Raises:
      ValueError: for unequal shapes, masks that are not bool and, outside jit, numbers
        out of range, overlapping masks, no positives or no negatives, or features of
        real rows that are not finite (where traced, those end at the initial weights).

    References:
      Fujii et al. 2021, Eq. 2; learning rate, epochs, batches and ridge are those of
      their code, but not the random start.
    """
    ranking_checks.check_problem(features, positive, negative, p, ridge, initial)
    ranking_checks.check_epochs(epochs, batch_size, learning_rate)
    start = _start(features, initial)
    key = jax.random.key(0) if rng is None else rng
    return _sgd(
        *(features, positive, negative, p, ridge, start, learning_rate, key),
        literal=literal,
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
    literal: bool = False,
    initial: jax.Array | None = None,
    max_steps: int = 500,
    tolerance: jax.Array | float = 1e-5,
) -> Solution:
    """Minimises the logarithm of the objective by L-BFGS: fast, and never overflows.

    The logarithm has the same minimiser. Two products with F a step; since scores are
    linear along a line, the step length is found exactly in O(N).

    Args:
      features: [N, D], as for `solve_sgd`; one float32 copy is made.
      positive: bool [N].
      negative: bool [N].
      p: >= 1.
      ridge: >= 0. With 0, separable data have no minimiser: the descent then ends
        unconverged, with finite weights that separate them.
      literal: see `ranking.p_classification`.
      initial: [D] finite weights to start from (where traced, 0 for one that is not);
        zeros if None.
      max_steps: T >= 1.
      tolerance: >= 0, of the gradient's norm, relative to the sum of its terms' norms;
        where traced, NaN takes no step.

    Returns:
      The minimiser, if converged. Without positives or negatives, where this is traced,
      the initial weights.

    Raises:
      ValueError: as `solve_sgd`.

    References:
      Liu and Nocedal, On the Limited Memory BFGS Method, 1989, with `optax`'s memory.
    """
    return _solve_by(
        ranking_descent.lbfgs,
        *(features, positive, negative, p, ridge, initial),
        literal=literal,
        max_steps=max_steps,
        tolerance=tolerance,
    )


def solve_boosting(
    features: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    *,
    p: jax.Array | float = 4.0,
    ridge: jax.Array | float = 0.0,
    literal: bool = False,
    initial: jax.Array | None = None,
    max_steps: int = 1000,
    tolerance: jax.Array | float = 1e-5,
) -> Solution:
    """Boosting by coordinate descent: one weight a step, to its best value.

    The weight is that of the steepest derivative, so the columns of F (the weak
    rankers) should be of one scale. Stopped early, the weights are sparse.

    Args:
      features: [N, D], as for `solve_sgd`; one float32 copy is made.
      positive: bool [N].
      negative: bool [N].
      p: >= 1.
      ridge: >= 0.
      literal: see `ranking.p_classification`.
      initial: [D] finite weights to start from (where traced, 0 for one that is not);
        zeros if None.
      max_steps: T >= 1.
      tolerance: as for `solve_lbfgs`.

    Returns:
      As `solve_lbfgs`.

    Raises:
      ValueError: as `solve_sgd`.

    References:
      Ertekin and Rudin 2011, P-classification. Differs from the paper: a ridge can be
      added.
    """
    return _solve_by(
        ranking_descent.coordinate,
        *(features, positive, negative, p, ridge, initial),
        literal=literal,
        max_steps=max_steps,
        tolerance=tolerance,
    )


def _solve_by(
    rule: ranking_descent.Rule,
    features: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    p: jax.Array | float,
    ridge: jax.Array | float,
    initial: jax.Array | None,
    *,
    literal: bool,
    max_steps: int,
    tolerance: jax.Array | float,
) -> Solution:
    """Checks the arguments and descends the convex problem."""
    ranking_checks.check_problem(features, positive, negative, p, ridge, initial)
    ranking_checks.check_descent(max_steps, tolerance)
    start = _start(features, initial)
    return _descend(
        *(features, positive, negative, p, ridge, start, tolerance),
        literal=literal,
        rule=rule,
        max_steps=max_steps,
    )


@functools.partial(jax.jit, static_argnames=("literal", "rule", "max_steps"))
def _descend(
    features: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    p: jax.Array | float,
    ridge: jax.Array | float,
    start: jax.Array,
    tolerance: jax.Array | float,
    *,
    literal: bool,
    rule: ranking_descent.Rule,
    max_steps: int,
) -> Solution:
    problem = ranking_descent.linear_problem(
        features, positive, negative, p, ridge, literal=literal
    )
    point, history, steps = ranking_descent.descend(
        problem, start, rule=rule, max_steps=max_steps, tolerance=tolerance
    )
    converged = ranking_descent.two_sided(problem) & (point.relative_norm <= tolerance)
    return Solution(point.weights, history, steps, converged)


@functools.partial(jax.jit, static_argnames=("literal", "epochs", "batch_size"))
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
    literal: bool,
    epochs: int,
    batch_size: int,
) -> Solution:
    best, history = ranking_sgd.train(
        ranking_descent.linear_problem(
            features, positive, negative, p, ridge, literal=literal
        ),
        start,
        learning_rate,
        rng,
        epochs=epochs,
        batch_size=batch_size,
    )
    return Solution(best.weights, history, best.steps, jnp.bool_(False))


def _start(features: jax.Array, initial: jax.Array | None) -> jax.Array:
    if initial is None:
        return jnp.zeros(features.shape[1], jnp.float32)
    initial = jnp.asarray(initial, jnp.float32)
    return jnp.where(jnp.isfinite(initial), initial, 0.0)
