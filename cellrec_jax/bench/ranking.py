"""Linear P-classification: passes and solves of ours and others, and what is right.

A solve tells the total at its weights. 100 steps of gradient descent (2000 are
published) end far from the least; they show what a step costs. Data are features [N, D]
and masks [N] of positives and negatives. Rows repeat a pool, which only `Counted`
knows: what is right takes the pool's time, in 64 bits where enabled.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy import optimize

from cellrec_jax.bench import contestants, draws
from cellrec_jax.bench.report import Row
from cellrec_jax.losses.ranking import objective, solvers

P = 4.0
RIDGE = 0.1
STEPS = 100  # of the descents that do not reach the least total
_OPTAX_NORM = 0.02  # of the gradient, for the accuracy of ours
_OPTAX_STEPS = 500
_RATE = 1e-5  # of sums over ...
_RATE_ROWS = 1000  # ... so many rows, as published


class Counted(NamedTuple):
    """Rows that count several times."""

    features: jax.Array  # [pool, D]
    num_positive: jax.Array  # [pool]
    num_negative: jax.Array

    def loss(self, weights: jax.Array) -> jax.Array:
        """P-classification, a sum over rows."""
        scores = self.features @ weights
        of_negative = jnp.dot(self.num_negative, jnp.exp(P * scores))
        return jnp.dot(self.num_positive, jnp.exp(-scores)) + of_negative / P

    def total(self, weights: jax.Array) -> jax.Array:
        """Loss and ridge term; the bias, which is last, has none."""
        return self.loss(weights) + RIDGE * jnp.sum(weights[:-1] ** 2)


def rate(num_rows: int) -> float:
    """Learning rate of gradient descent with full batches."""
    return _RATE * min(1.0, _RATE_ROWS / num_rows)


def counted(features: jax.Array, *masks: jax.Array) -> Counted:
    """The pool, with the numbers of its copies."""
    pool = jnp.asarray(features[: draws.POOL], float)
    rows = np.arange(len(features)) % len(pool)
    return Counted(
        pool,
        *(jnp.bincount(rows, jnp.asarray(m, float), length=len(pool)) for m in masks),
    )


def right_log_loss(weights: jax.Array, *data: Any) -> jax.Array:
    """Logarithm of the loss, without ridge."""
    return jnp.log(counted(*data).loss(weights.astype(float)))


def least_total(*data: Any) -> float:
    """Total at the minimum."""
    with jax.enable_x64(True):
        pool = counted(*data)
        objective = jax.jit(jax.value_and_grad(lambda w: jnp.log(pool.total(w))))
        found = optimize.minimize(
            lambda weights: [np.asarray(part) for part in objective(weights)],
            np.zeros(pool.features.shape[1]),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 2000, "maxfun": 4000, "ftol": 1e-7, "gtol": 0.0},
        )
    return float(np.exp(found.fun))


def sgd_total(*data: Any) -> float:
    """Total after `STEPS` steps of gradient descent from 0."""
    with jax.enable_x64(True):
        pool = counted(*data)
        slope = jax.jit(jax.grad(pool.total))
        weights = jnp.zeros(pool.features.shape[1])
        for _ in range(STEPS):
            weights -= rate(len(data[0])) * slope(weights)
        return float(pool.total(weights))


def log_loss(weights: jax.Array, features: jax.Array, *masks: jax.Array) -> jax.Array:
    """Logarithm of the loss, by the package."""
    scores = jnp.matmul(features, weights, precision=jax.lax.Precision.HIGHEST)
    return objective.log_p_classification(scores, *masks, p=P)


def plain_log_loss(
    weights: jax.Array, features: jax.Array, positive: jax.Array, negative: jax.Array
) -> jax.Array:
    """The same, as the formula is written."""
    scores = jnp.matmul(features, weights, precision=jax.lax.Precision.HIGHEST)
    loss = jnp.sum(jnp.exp(-scores), where=positive)
    return jnp.log(loss + jnp.sum(jnp.exp(P * scores), where=negative) / P)


def torch_log_loss(*args: Any) -> Any:
    """The same in PyTorch."""
    return _torch_loss(*args).log()


def _torch_loss(weights: Any, features: Any, positive: Any, negative: Any) -> Any:
    scores = features @ weights
    return (-scores[positive]).exp().sum() + (P * scores[negative]).exp().sum() / P


def lbfgs(*data: jax.Array) -> jax.Array:
    """The package's, to a gradient of 1e-3 of its terms."""
    found = solvers.solve_lbfgs(*data, p=P, ridge=RIDGE, tolerance=1e-3)
    return _total(found.weights, *data)


def sgd(*data: jax.Array) -> jax.Array:
    """`STEPS` of the package's with full batches."""
    size = len(data[0])
    options: dict[str, Any] = {"learning_rate": rate(size), "batch_size": size}
    found = solvers.solve_sgd(*data, p=P, ridge=RIDGE, epochs=STEPS, **options)
    return _total(found.weights, *data)


def _total(weights: jax.Array, *data: jax.Array) -> jax.Array:
    return jnp.exp(log_loss(weights, *data)) + RIDGE * jnp.sum(weights[:-1] ** 2)


def optax_lbfgs(*data: jax.Array) -> jax.Array:
    """Optax's, line search included, on the logarithm of the same objective."""
    solver = optax.lbfgs()

    def log_total(weights: jax.Array) -> jax.Array:
        return jnp.log(_total(weights, *data))

    def move(state: tuple[Any, ...]) -> tuple[Any, ...]:
        weights, memory, _, step = state
        value, gradient = optax.value_and_grad_from_state(log_total)(
            weights, state=memory
        )
        update, memory = solver.update(
            gradient, memory, weights, value=value, grad=gradient, value_fn=log_total
        )
        return weights + update, memory, jnp.linalg.norm(gradient), step + 1

    start = jnp.zeros(data[0].shape[1])
    state = (start, solver.init(start), jnp.float32(jnp.inf), 0)
    state = jax.lax.while_loop(
        lambda state: (state[2] > _OPTAX_NORM) & (state[3] < _OPTAX_STEPS), move, state
    )
    return _total(state[0], *data)


def torch_sgd(features: Any, positive: Any, negative: Any) -> Any:
    """`sgd` in PyTorch."""
    import torch

    weights = torch.zeros(features.shape[1], device=features.device)
    step = rate(len(features))

    def total(weights: Any) -> Any:
        loss = _torch_loss(weights, features, positive, negative)
        return loss + RIDGE * (weights[:-1] ** 2).sum()

    for _ in range(STEPS):
        weights = weights - step * contestants.torch_with_gradient(total)(weights)[1]
    return total(weights)


def notes(rows: Sequence[Row]) -> Iterator[str]:
    """The totals that the smallest solves end at."""
    for size in {min((row["rows"] for row in rows), default=0)} - {0}:
        data = draws.features(size)
        least, sgd = least_total(*data), sgd_total(*data)
        yield (
            f"solve, {size} rows: the least total is {least:.4g}; "
            f"{STEPS} steps of SGD end at {sgd:.4g}"
        )
