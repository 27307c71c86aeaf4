"""Gradient descent on linear P-classification, for `losses.ranking.solvers`.

Source: the public code of Fujii et al., MICCAI 2021 (see `objective`).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from cellrec_jax.losses.ranking import objective as ranking
from cellrec_jax.losses.ranking.descent import Problem, matmul, two_sided


class Best(NamedTuple):
    """The epoch to keep."""

    weights: jax.Array  # f32 [D], after its updates
    total: jax.Array  # f32, before them
    steps: jax.Array  # i32, epochs up to and with it


def train(
    problem: Problem,
    weights: jax.Array,
    learning_rate: jax.Array | float,
    rng: jax.Array,
    *,
    epochs: int,
    batch_size: int,
) -> tuple[Best, jax.Array]:
    """Runs all T epochs; the best epoch, its finite weights [D], losses f32 [T, 3].

    Does nothing where a side is empty. Several batches are shuffled by `rng`. Losses
    are (total, loss, ridge term).
    """
    usable = two_sided(problem) & (learning_rate > 0) & (learning_rate < jnp.inf)
    rate = jnp.where(usable, learning_rate, 0.0)

    def epoch(
        state: tuple[jax.Array, Best], inputs: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[jax.Array, Best], jax.Array]:
        (weights, best), (step, key) = state, inputs
        weights, losses = _epoch(problem, weights, rate, key, batch_size)
        better = (losses[0] < best.total) & jnp.all(jnp.isfinite(weights))
        this = Best(weights, losses[0], step)
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), this, best)
        return (weights, best), losses

    steps = jnp.arange(1, epochs + 1, dtype=jnp.int32)
    best = Best(weights, jnp.float32(jnp.inf), jnp.int32(0))
    (_, best), history = jax.lax.scan(
        epoch, (weights, best), (steps, jax.random.split(rng, epochs))
    )
    return best, history


def _epoch(
    problem: Problem,
    weights: jax.Array,
    rate: jax.Array,
    rng: jax.Array,
    batch_size: int,
) -> tuple[jax.Array, jax.Array]:
    """One pass over all rows; returns weights and [3] total, loss and ridge term."""
    num_rows = len(problem.features)
    num_batches = -(-num_rows // batch_size)
    if num_batches <= 1:
        return _update(weights, problem.features, problem.terms, problem.penalty, rate)
    order = jax.random.permutation(rng, num_batches * batch_size)

    def update(weights: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        def taken(array: jax.Array, fill: float) -> jax.Array:
            return jnp.take(array, rows, axis=0, mode="fill", fill_value=fill)

        features = taken(problem.features, 0.0)
        slope, offset = problem.terms
        terms = ranking.Terms(taken(slope, 0.0), taken(offset, -jnp.inf))
        return _update(weights, features, terms, problem.penalty, rate)

    rows = order.reshape(num_batches, batch_size)
    weights, losses = jax.lax.scan(update, weights, rows)
    loss, ridge_term = jnp.sum(losses[:, 1]), jnp.mean(losses[:, 2])
    return weights, jnp.stack([loss + ridge_term, loss, ridge_term])


def _update(
    weights: jax.Array,
    features: jax.Array,
    terms: ranking.Terms,
    penalty: jax.Array,
    rate: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Returns the next weights, and the losses [3] before."""
    scores = matmul(features, weights)
    each = jnp.exp(terms.slope * scores + terms.offset)
    loss, ridge_term = jnp.sum(each), jnp.sum(penalty * weights * weights)
    gradient = matmul(terms.slope * each, features)
    weights = weights - rate * (gradient + 2.0 * penalty * weights)
    return weights, jnp.stack([loss + ridge_term, loss, ridge_term])
