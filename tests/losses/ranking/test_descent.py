"""Descent on the logarithm of the ranking objective: its gradient and line search."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from cellrec_jax.losses.ranking import descent as ranking_descent

P, RIDGE = 4.0, 0.1


def draw(rng, num_rows=30, num_features=4):
    """Features with a constant column, and masks; a third of the rows is padding."""
    features = rng.normal(size=(num_rows, num_features))
    features[:, -1] = 1
    kind = np.arange(num_rows) % 3
    return features, kind == 0, kind == 1


def problem_of(features, positive, negative):
    return ranking_descent.linear_problem(
        jnp.asarray(features, jnp.float32),
        jnp.asarray(positive),
        jnp.asarray(negative),
        P,
        RIDGE,
    )


def log_total(features, positive, negative, weights):
    """Fujii et al. 2021, Eq. 2, with p in the exponent, row by row in float64."""
    total = RIDGE * sum(weight**2 for weight in weights[:-1])
    for row, is_positive, is_negative in zip(features, positive, negative, strict=True):
        score = float(row @ weights)
        total += np.exp(-score) if is_positive else 0.0
        total += np.exp(P * score) / P if is_negative else 0.0
    return np.log(total)


def at(problem, weights):
    weights = jnp.asarray(weights, jnp.float32)
    return ranking_descent.evaluate(problem, weights, problem.features @ weights)


def test_losses_and_gradient(rng):
    data = draw(rng)
    weights = rng.normal(size=4)
    point = at(problem_of(*data), weights)
    expected = log_total(*data, weights)
    np.testing.assert_allclose(point.log_total, expected, rtol=1e-5)
    total, loss, ridge = point.losses
    np.testing.assert_allclose(total, np.exp(expected), rtol=1e-5)
    np.testing.assert_allclose(loss + ridge, total, rtol=1e-6)
    np.testing.assert_allclose(ridge, RIDGE * np.sum(weights[:-1] ** 2), rtol=1e-6)
    slopes = optimize.approx_fprime(weights, lambda w: log_total(*data, w), 1e-6)
    np.testing.assert_allclose(point.gradient, slopes, rtol=1e-4, atol=1e-4)


def test_relative_norm_is_0_at_the_minimum(rng):
    data = draw(rng)
    best = optimize.minimize(lambda w: log_total(*data, w), np.zeros(4), tol=1e-12).x
    assert at(problem_of(*data), best).relative_norm < 1e-4
    assert 1e-2 < at(problem_of(*data), best + 1).relative_norm <= 1


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_line_minimum_is_that_of_scipy(rng, scale):
    """However long the direction."""
    data = draw(rng)
    problem = problem_of(*data)
    weights = rng.normal(size=4)
    point = at(problem, weights)
    direction = -scale * point.gradient
    length = ranking_descent.line_minimum(
        problem, point, direction, problem.features @ direction
    )
    step = np.asarray(direction, np.float64)
    expected = optimize.minimize_scalar(
        lambda t: log_total(*data, weights + t / scale * step), bracket=(0, 1)
    ).x
    np.testing.assert_allclose(length * scale, expected, rtol=2e-3)


def test_line_without_an_end_stops_at_the_largest_change():
    """Separable rows and no ridge: the objective falls for ever."""
    features = np.array([[1.0, 1.0], [-1.0, 1.0]])
    problem = problem_of(features, np.array([True, False]), np.array([False, True]))
    problem = problem._replace(penalty=jnp.zeros(2))
    point = at(problem, np.zeros(2))
    direction = jnp.asarray([1.0, 0.0])
    along = problem.features @ direction
    length = ranking_descent.line_minimum(problem, point, direction, along)
    assert 10 < length <= 1000


def test_two_sided(rng):
    features, positive, negative = draw(rng)
    nothing = np.zeros_like(positive)
    for masks, expected in (
        ((positive, negative), True),
        ((positive, nothing), False),
        ((nothing, negative), False),
        ((nothing, nothing), False),
    ):
        assert bool(ranking_descent.two_sided(problem_of(features, *masks))) == expected
