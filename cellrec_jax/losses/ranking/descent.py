"""Descent on the log of linear P-classification, for `losses.ranking.solvers`.

total(w) = sum_i exp(slope_i (F w)_i + offset_i) + sum_j penalty_j w_j^2; its logarithm
has the same minimiser, and no gradient that overflows.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from cellrec_jax.losses.ranking import objective as ranking

_LOG_FLOOR = -60.0  # an objective below its exponential is as good as 0
_MAX_CHANGE = 1e3  # of any score in one step
_MAX_DRIFT = 4.0  # of any score, by adding up its change
_MAX_TRIALS = 40
_MEMORY = 10  # pairs that L-BFGS remembers


class Problem(NamedTuple):
    """A linear ranking problem."""

    features: jax.Array  # f32 [N, D], 0 where padded
    lengths: jax.Array  # f32 [N], norms of the rows
    terms: ranking.Terms  # [N]
    penalty: jax.Array  # f32 [D], ridge of each weight


class Point(NamedTuple):
    """Where a descent is."""

    weights: jax.Array  # [D]
    scores: jax.Array  # [N], F w
    log_total: jax.Array
    losses: jax.Array  # [3], total, loss and ridge term
    gradient: jax.Array  # [D], of log_total
    relative_norm: jax.Array
    """Norm of the gradient over the sum of the norms of what it sums; in [0, 1]."""


def linear_problem(
    features: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    p: jax.Array | float,
    ridge: jax.Array | float,
) -> Problem:
    """The problem of `losses.ranking.solvers`, float32, cleared of padding."""
    real = positive | negative
    features = jnp.where(real[:, None], features.astype(jnp.float32), 0.0)
    lengths = jnp.sqrt(jnp.sum(features * features, axis=1))
    terms = ranking.loss_terms(positive, negative, p)
    ridge = jnp.asarray(ridge, jnp.float32)
    ridge = jnp.where((ridge >= 0) & (ridge < jnp.inf), ridge, 0.0)  # NaN, too
    penalty = jnp.full(features.shape[1], ridge, jnp.float32).at[-1].set(0.0)
    return Problem(features, lengths, terms, penalty)


def two_sided(problem: Problem) -> jax.Array:
    """Whether there are positives and negatives: else nothing can be ranked."""
    slope = problem.terms.slope
    return jnp.any(slope < 0) & jnp.any(slope > 0)


def matmul(left: jax.Array, right: jax.Array) -> jax.Array:
    """Product in full float32, which accelerators do not take by default."""
    return jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)


def evaluate(problem: Problem, weights: jax.Array, scores: jax.Array) -> Point:
    """The point at weights [D] whose scores [N], F w, are known: one product with F."""
    features, lengths, (slope, offset), penalty = problem
    exponents = slope * scores + offset
    log_loss = jax.nn.logsumexp(exponents)
    ridge_term = jnp.sum(penalty * weights * weights)
    log_total = jnp.logaddexp(log_loss, jnp.log(ridge_term))
    log_scale = jnp.maximum(log_total, _LOG_FLOOR)
    shares = slope * jnp.exp(exponents - log_scale)
    shrink = 2.0 * penalty * weights * jnp.exp(-log_scale)
    gradient = matmul(shares, features) + shrink
    summed = jnp.sum(jnp.abs(shares) * lengths) + jnp.linalg.norm(shrink)
    return Point(
        weights=weights,
        scores=scores,
        log_total=log_total,
        losses=jnp.stack([jnp.exp(log_total), jnp.exp(log_loss), ridge_term]),
        gradient=gradient,
        relative_norm=jnp.linalg.norm(gradient) / jnp.where(summed > 0, summed, 1.0),
    )


class _Trial(NamedTuple):
    """State of the line search; all scalars."""

    number: jax.Array
    length: jax.Array
    low: jax.Array  # bracket of the minimum
    high: jax.Array
    change: jax.Array  # of the length, by the last trial
    done: jax.Array


def line_minimum(
    problem: Problem, point: Point, direction: jax.Array, along: jax.Array
) -> jax.Array:
    """Step length >= 0 to the minimum along `direction` [D]; `along` [N] is F times it.

    Newton's method in a bracket, O(N) a trial. No score changes by more than 1,000.
    """
    newton_step = _newton_step(problem, point, direction, along)
    limit = _MAX_CHANGE / jnp.maximum(jnp.max(jnp.abs(along), initial=0.0), 1e-12)
    first = _Trial(
        number=jnp.int32(0),
        length=jnp.minimum(1.0, limit),
        low=jnp.float32(0.0),
        high=jnp.float32(jnp.inf),
        change=jnp.float32(jnp.inf),
        done=jnp.bool_(False),
    )
    return jax.lax.while_loop(
        lambda state: (state.number < _MAX_TRIALS) & ~state.done,
        lambda state: _following(state, *newton_step(state.length), limit),
        first,
    ).length


def _newton_step(
    problem: Problem, point: Point, direction: jax.Array, along: jax.Array
) -> Callable[[jax.Array], tuple[jax.Array, jax.Array]]:
    """Makes length -> derivative along the line, up to a factor, and Newton's step."""
    slope, offset = problem.terms
    rates = slope * along
    exponents = slope * point.scores + offset
    linear = 2.0 * jnp.sum(problem.penalty * point.weights * direction)
    quadratic = 2.0 * jnp.sum(problem.penalty * direction * direction)

    def newton_step(length: jax.Array) -> tuple[jax.Array, jax.Array]:
        moved = exponents + length * rates
        log_scale = jnp.max(moved, initial=_LOG_FLOOR)
        shares, ridge = jnp.exp(moved - log_scale), jnp.exp(-log_scale)
        first = jnp.sum(rates * shares) + (linear + quadratic * length) * ridge
        second = jnp.sum(rates * rates * shares) + quadratic * ridge
        return first, first / jnp.where(second > 0, second, 1.0)

    return newton_step


def _following(
    state: _Trial, derivative: jax.Array, step: jax.Array, limit: jax.Array
) -> _Trial:
    """The trial after one whose derivative and Newton step are known."""
    length = state.length
    low = jnp.where(derivative < 0, length, state.low)
    high = jnp.where(derivative < 0, state.high, length)
    unbounded = jnp.isinf(high)
    newton = length - step
    good = (newton > low) & (newton < jnp.where(unbounded, 4.0 * length, high))
    # Far from the minimum an exponential makes Newton's steps too short.
    good &= jnp.abs(step) <= 0.5 * state.change
    near = jnp.abs(step) <= 1e-4 * length  # good, whatever rounding says
    middle = jnp.where(unbounded, 4.0 * length, 0.5 * (low + high))
    following = jnp.minimum(jnp.where(good | near, newton, middle), limit)
    done = near | ((length >= limit) & (derivative < 0))
    change = jnp.abs(following - length)
    return _Trial(state.number + 1, following, low, high, change, done)


_State = tuple[Point, Any, jax.Array, jax.Array]
"""(point, memory of L-BFGS, history, number of steps)."""


def descend(
    problem: Problem,
    weights: jax.Array,
    *,
    max_steps: int,
    tolerance: jax.Array | float,
) -> tuple[Point, jax.Array, jax.Array]:
    """L-BFGS with exact line search (a fourth faster than `optax.lbfgs`).

    Ends early where the objective is 0 within rounding. Returns the last point, losses
    f32 [T, 3] before each step, filled up with the last, and the number of steps, i32.
    """
    transform = optax.scale_by_lbfgs(memory_size=_MEMORY)
    usable = two_sided(problem)

    def unfinished(state: _State) -> jax.Array:
        point, _, _, step = state
        open_ = (point.relative_norm > tolerance) & (point.log_total > _LOG_FLOOR)
        return (step < max_steps) & open_ & usable

    def move(state: _State) -> _State:
        point, memory, history, step = state
        scaled, memory = transform.update(point.gradient, memory, point.weights)
        # Rounding can spoil the memory; steepest descent goes on without it.
        downhill = jnp.vdot(scaled, point.gradient) > 0  # False for NaN
        direction = -jnp.where(downhill, scaled, point.gradient)
        along = matmul(problem.features, direction)
        length = line_minimum(problem, point, direction, along)
        history = history.at[step].set(point.losses)
        weights = point.weights + length * direction
        change = length * along
        # A large change leaves rounding errors behind, which a product clears.
        scores = jax.lax.cond(
            jnp.max(jnp.abs(change), initial=0.0) > _MAX_DRIFT,
            lambda: matmul(problem.features, weights),
            lambda: point.scores + change,
        )
        return evaluate(problem, weights, scores), memory, history, step + 1

    first = evaluate(problem, weights, matmul(problem.features, weights))
    memory = transform.init(jnp.zeros_like(weights))
    state = (first, memory, jnp.zeros((max_steps, 3)), jnp.int32(0))
    point, _, history, steps = jax.lax.while_loop(unfinished, move, state)
    past = jnp.arange(max_steps) >= steps
    history = jnp.where(past[:, None], point.losses[None, :], history)
    return point, history, steps
