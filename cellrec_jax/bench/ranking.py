"""P-classification of linear scores: one pass with its gradient, and whole solves.

"pass" is the logarithm of the loss at given weights, against a copy of its inputs, the
formula written down in JAX and, with PyTorch installed, the same there. "solve" is the
time to a total within 1 % of the least, by our L-BFGS and by Optax's. 100 steps of
gradient descent (2000 are published) end far from it: they are there for what a step
costs, and checked against the same steps in float64.

The right results are those of `bench.ranking_reference`.
"""

from collections.abc import Callable, Iterator
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cellrec_jax.bench import kernel
from cellrec_jax.bench import ranking_reference as reference
from cellrec_jax.bench.ranking_reference import POOL, RIDGE, STEPS, P
from cellrec_jax.bench.report import Report, Settings
from cellrec_jax.losses.ranking import (
    descent as ranking_descent,
)
from cellrec_jax.losses.ranking import (
    objective as ranking,
)
from cellrec_jax.losses.ranking import (
    solvers as ranking_solvers,
)

SIZES = (10**3, 10**4, 10**5, 10**6)
_DIM = 2305  # features of the paper's classifier, with the constant
_OPTAX_NORM = 0.02  # of the gradient, for the same accuracy
_OPTAX_STEPS = 500
_GAP = 0.01  # of a total, as a share of the right one


def run(settings: Settings, say: Callable[[str], None]) -> Report:
    """Times the pass, forward and with its gradient, and the solves.

    Args:
      settings: `sizes` are numbers of rows.
      say: told what is being measured.
    """
    sizes = settings.sizes or SIZES
    found = kernel.measure("ranking", _cases(sizes), settings, say, x="rows")
    data = _draw(sizes[0])
    least, sgd = (
        f"{total(*data):.4g}" for total in (reference.least_total, reference.sgd_total)
    )
    return found.with_notes(
        f"solve, {sizes[0]} rows: the least total is {least}; {STEPS} steps of SGD end "
        f"at {sgd}"
    )


def _cases(sizes: tuple[int, ...]) -> Iterator[kernel.Case]:
    for size in sizes:
        for direction in (kernel.FORWARD, kernel.BOTH):
            yield pass_case(size, direction)
        yield solve_case(size)


def pass_case(size: int, direction: str) -> kernel.Case:
    """Loss of `size` rows at random weights by all contestants."""
    backward = direction == kernel.BOTH
    input_bytes = size * (4.0 * _DIM + 2.0) + 4.0 * _DIM
    work = {
        "moved_bytes": input_bytes + 4.0 * _DIM * backward,
        "flops": (2.0 + 2.0 * backward) * size * _DIM,
    }
    forms = {"log_p_classification": _log_loss, "plain JAX": _plain_log_loss}
    contestants = {
        name: kernel.jitted(jax.value_and_grad(form) if backward else form, **work)
        for name, form in forms.items()
    }
    contestants["copy"] = kernel.plain_copy(2 * input_bytes)
    if kernel.has_torch():
        both = kernel.torch_value_and_grad(_torch_log_loss)
        contestants["torch"] = kernel.torch_peer(
            both if backward else _torch_log_loss, held_bytes=2 * input_bytes, **work
        )
    return kernel.Case(
        point={"task": "pass", "rows": size},
        inputs=lambda: (_draw_weights(), *_draw(size)),
        contestants=contestants,
        expected=functools.partial(reference.expected_pass, backward=backward),
        against="copy",
        direction=direction,
        tolerance=1e-4,
        held_bytes=input_bytes,
    )


def solve_case(size: int) -> kernel.Case:
    """Solves of `size` rows; a result is the total at the weights found."""
    input_bytes = size * (4.0 * _DIM + 2.0)
    # How many steps it takes depends on the data, and so do the operations.
    until = {"moved_bytes": input_bytes, "flops": 0.0}
    lbfgs = _solved(ranking_solvers.solve_lbfgs, tolerance=1e-3)
    return kernel.Case(
        point={"task": "solve", "rows": size},
        inputs=functools.partial(_draw, size),
        contestants={
            "L-BFGS": kernel.jitted(lbfgs, **until),
            "optax L-BFGS": kernel.jitted(_optax_lbfgs, **until),
            **_of_steps(size, input_bytes),
        },
        expected=reference.least_total,
        against="L-BFGS",
        tolerance=_GAP,
        held_bytes=input_bytes,
    )


def _of_steps(size: int, input_bytes: float) -> dict[str, kernel.Contestant]:
    """Descents of a fixed number of steps, which have results of their own."""
    work = {"moved_bytes": input_bytes, "flops": 4.0 * STEPS * size * _DIM}
    sgd = _solved(
        ranking_solvers.solve_sgd,
        epochs=STEPS,
        learning_rate=reference.rate(size),
        batch_size=size,
    )
    entries = {
        "SGD": (kernel.jitted(sgd, **work), reference.sgd_total),
    }
    if kernel.has_torch():
        peer = kernel.torch_peer(_torch_sgd, held_bytes=2 * input_bytes, **work)
        entries["torch SGD"] = (peer, reference.sgd_total)
    return {
        f"{name}, {STEPS} steps": dataclasses.replace(entry, expected=expected)
        for name, (entry, expected) in entries.items()
    }


def _draw(size: int) -> tuple[Any, ...]:
    """Features like those of a ReLU, and labels that they tell in part."""
    rng = np.random.default_rng(0)
    pool = np.maximum(rng.standard_normal((min(size, POOL), _DIM), np.float32), 0)
    pool /= pool.max()
    pool[:, -1] = 1.0
    told = pool @ rng.standard_normal(_DIM, np.float32)
    likely = 1 / (1 + np.exp(2 - 2 * (told - told.mean()) / max(told.std(), 1e-6)))
    rows = np.arange(size) % len(pool)
    positive = rng.random(size) < likely[rows]
    positive[0], positive[-1] = True, False  # however few there are
    return jnp.asarray(pool)[rows], positive, ~positive


def _draw_weights() -> np.ndarray:
    return 0.1 * np.random.default_rng(1).standard_normal(_DIM, np.float32)


def _log_loss(
    weights: jax.Array, features: jax.Array, positive: jax.Array, negative: jax.Array
) -> jax.Array:
    scores = ranking_descent.matmul(features, weights)
    return ranking.log_p_classification(scores, positive, negative, p=P)


def _plain_log_loss(
    weights: jax.Array, features: jax.Array, positive: jax.Array, negative: jax.Array
) -> jax.Array:
    scores = jnp.matmul(features, weights, precision=jax.lax.Precision.HIGHEST)
    loss = jnp.sum(jnp.exp(-scores), where=positive)
    return jnp.log(loss + jnp.sum(jnp.exp(P * scores), where=negative) / P)


def _torch_loss(weights: Any, features: Any, positive: Any, negative: Any) -> Any:
    scores = features @ weights
    return (-scores[positive]).exp().sum() + (P * scores[negative]).exp().sum() / P


def _torch_log_loss(*args: Any) -> Any:
    return _torch_loss(*args).log()


def _solved(
    solve: Callable[..., ranking_solvers.Solution], **options: Any
) -> Callable[..., jax.Array]:
    """Makes (features, masks) -> total at the weights that a solver finds."""

    def total(*data: jax.Array) -> jax.Array:
        solution = solve(*data, p=P, ridge=RIDGE, **options)
        return _total(solution.weights, *data)

    return total


def _total(weights: jax.Array, features: jax.Array, *masks: jax.Array) -> jax.Array:
    ridge_term = RIDGE * jnp.sum(weights[:-1] ** 2)
    return jnp.exp(_log_loss(weights, features, *masks)) + ridge_term


def _optax_lbfgs(*data: jax.Array) -> jax.Array:
    """Optax's, line search included, on the logarithm of the same objective."""
    solver = optax.lbfgs()

    def objective(weights: jax.Array) -> jax.Array:
        return jnp.log(_total(weights, *data))

    def move(state: tuple[Any, ...]) -> tuple[Any, ...]:
        weights, memory, _, step = state
        value, gradient = optax.value_and_grad_from_state(objective)(
            weights, state=memory
        )
        update, memory = solver.update(
            gradient, memory, weights, value=value, grad=gradient, value_fn=objective
        )
        return weights + update, memory, jnp.linalg.norm(gradient), step + 1

    start = jnp.zeros(_DIM)
    state = (start, solver.init(start), jnp.float32(jnp.inf), 0)
    state = jax.lax.while_loop(
        lambda state: (state[2] > _OPTAX_NORM) & (state[3] < _OPTAX_STEPS), move, state
    )
    return _total(state[0], *data)


def _torch_sgd(features: Any, positive: Any, negative: Any) -> Any:
    import torch

    weights = torch.zeros(features.shape[1], device=features.device)
    rate = reference.rate(len(features))

    def total(weights: Any) -> Any:
        loss = _torch_loss(weights, features, positive, negative)
        return loss + RIDGE * (weights[:-1] ** 2).sum()

    for _ in range(STEPS):
        weights = weights - rate * kernel.torch_value_and_grad(total)(weights)[1]
    return total(weights)
