"""Golden: `tests/golden/pclass_case.npz`, outputs of the original implementation.

Of Fujii et al. 2021 (github.com/FujiiKazuma/CDFIAPLSUP), run on the CPU: weights after
2000 steps of full batches from `initial` (learning rate 1e-5, p = 4, ridge 0.1), the
history of (total, loss, ridge term) before each step, and the scores. To shrink the
file, the 2304 features beside the constant are turned by an orthogonal matrix onto the
301 directions that 300 rows and the start span: descent, scores and ridge do not see
it. `weights` are the original's, turned alike.
"""

import functools
from pathlib import Path

import jax
import numpy as np
import pytest

from cellrec_jax.losses.ranking import solvers as ranking_solvers

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "pclass_case.npz")
COUNT, DIM = 10, 3
solve = functools.partial(
    ranking_solvers.solve_sgd, epochs=6, learning_rate=0.01, ridge=0.3
)


def case(rng):
    features = rng.normal(size=(COUNT, DIM)).astype(np.float32)
    features[:, -1] = 1.0
    return features, np.arange(COUNT) % 3 == 0


def loop_sgd(features, positive, batches, weights, p=4.0, ridge=0.3, rate=0.01):
    """One epoch in float64; batches are lists of rows. Weights and [3] losses."""
    penalty = np.full(DIM, ridge)
    penalty[-1] = 0.0
    losses, ridges = [], []
    for rows in batches:
        slope = np.zeros(DIM)
        losses.append(0.0)
        for row in rows:
            score = features[row] @ weights
            if positive[row]:
                losses[-1] += np.exp(-score)
                slope -= np.exp(-score) * features[row]
            else:
                losses[-1] += np.exp(p * score) / p
                slope += np.exp(p * score) * features[row]
        ridges.append(np.sum(penalty * weights**2))
        weights = weights - rate * (slope + 2 * penalty * weights)
    loss, ridge_term = np.sum(losses), np.mean(ridges)
    return weights, np.array([loss + ridge_term, loss, ridge_term])


def test_golden():
    positive = GOLDEN["positive"]
    found = ranking_solvers.solve_sgd(
        GOLDEN["features"], positive, ~positive, initial=GOLDEN["initial"]
    )
    assert found.steps == 2000
    assert not found.converged
    np.testing.assert_allclose(found.history, GOLDEN["history"], rtol=1e-4)
    np.testing.assert_allclose(found.weights, GOLDEN["weights"], atol=1e-4)
    scores = GOLDEN["features"] @ found.weights
    np.testing.assert_allclose(scores, GOLDEN["scores"], atol=1e-5)


def test_full_batch_against_loops(rng):
    features, positive = case(rng)
    found = solve(features, positive, ~positive)
    weights, history = np.zeros(DIM), []
    for _ in range(6):
        weights, losses = loop_sgd(features, positive, [range(COUNT)], weights)
        history.append(losses)
    np.testing.assert_allclose(found.weights, weights, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.history, history, rtol=1e-5, atol=1e-6)


def test_batches_hold_every_row_once_and_change_with_the_key(rng):
    features, positive = case(rng)
    batched = functools.partial(solve, features, positive, ~positive, batch_size=4)
    first = batched(epochs=1)
    # With so small a rate each row costs what it costs at the start.
    slow = batched(epochs=1, learning_rate=1e-9)
    assert slow.history[0, 1] == pytest.approx(4 + 6 / 4, rel=1e-5)
    other = batched(epochs=1, rng=jax.random.key(1))
    assert first.weights.tolist() == batched(epochs=1).weights.tolist()
    assert first.weights.tolist() != other.weights.tolist()
    # Each batch of 4, 4 and 2 rows is a step: ordered alike, the same as in loops.
    order = jax.random.permutation(
        jax.random.split(jax.random.key(0), 1)[0], 12
    ).reshape(3, 4)
    batches = [[row for row in rows if row < COUNT] for rows in order.tolist()]
    weights, losses = loop_sgd(features, positive, batches, np.zeros(DIM))
    np.testing.assert_allclose(first.weights, weights, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(first.history[0], losses, rtol=1e-5, atol=1e-6)


def test_a_rate_out_of_range_keeps_the_start_inside_jit(rng):
    features, positive = case(rng)
    start = np.arange(DIM, dtype=np.float32)
    traced = jax.jit(
        lambda rate: solve(
            features, positive, ~positive, learning_rate=rate, initial=start
        )
    )
    for rate in (-0.01, np.nan, np.inf):
        assert traced(rate).weights.tolist() == start.tolist()


def test_keeps_the_best_epoch_when_it_diverges(rng):
    features, positive = case(rng)
    found = solve(features, positive, ~positive, learning_rate=5.0)
    assert np.isfinite(found.weights).all()
    best = int(found.steps) - 1
    assert found.history[best, 0] == np.nanmin(found.history[:, 0])
