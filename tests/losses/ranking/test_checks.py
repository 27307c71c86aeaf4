"""The checks, as the solvers call them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.losses.ranking import (
    checks as ranking_checks,
)
from cellrec_jax.losses.ranking import (
    solvers as ranking_solvers,
)

CONVEX = (ranking_solvers.solve_lbfgs, ranking_solvers.solve_boosting)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p": 0.5}, "p must be >= 1 and finite, not 0.5"),
        ({"ridge": -1.0}, "ridge must be >= 0 and finite, not -1.0"),
        ({"ridge": np.inf}, "ridge must be >= 0 and finite, not inf"),
        ({"negative": np.zeros(4, bool)}, "no negative elements"),
        ({"negative": np.ones(3, bool)}, "one shape"),
        ({"features": np.zeros((4, 0))}, "features have no columns"),
        ({"features": np.zeros((3, 2))}, "do not fit"),
        ({"features": np.zeros(4)}, "do not fit"),
        ({"initial": np.zeros(3)}, "initial weights must be"),
        ({"initial": np.array([0.0, np.nan])}, "initial weights must be finite"),
        ({"features": np.full((4, 2), np.nan)}, "of 4 rows are NaN .* first at row 0"),
    ],
)
def test_bad_input_is_named(change, message):
    positive = np.array([True, True, False, False])
    good = {"features": np.zeros((4, 2)), "positive": positive, "negative": ~positive}
    for solve in (*CONVEX, ranking_solvers.solve_sgd):
        with pytest.raises(ValueError, match=message):
            solve(**(good | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_steps": 0}, "max_steps must be at least 1, not 0"),
        ({"max_steps": -1}, "max_steps must be at least 1, not -1"),
        ({"tolerance": np.nan}, "tolerance must be >= 0, not nan"),
    ],
)
def test_bad_options_of_a_descent_are_named(change, message):
    positive = np.array([True, False])
    for solve in CONVEX:
        with pytest.raises(ValueError, match=message):
            solve(np.zeros((2, 2)), positive, ~positive, **change)


def test_known_numbers_are_checked_inside_jit_too():
    ridge, known = jnp.float32(-1.0), jnp.array([True, False])

    def check(features):
        ranking_checks.check_problem(
            features, known, ~np.asarray(known), 1.0, ridge, None
        )

    with pytest.raises(ValueError, match="ridge must be >= 0"):
        jax.jit(check)(np.zeros((2, 2)))
