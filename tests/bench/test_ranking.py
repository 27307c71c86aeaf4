"""What is right about ranking, against sums over all rows."""

import jax
import numpy as np
import pytest
from scipy import optimize

from cellrec_jax.bench import draws, ranking


@pytest.fixture
def data(monkeypatch):
    """Seven rows that repeat a pool of three, each with a label of its own."""
    monkeypatch.setattr(draws, "POOL", 3)
    pool = np.random.default_rng(0).normal(size=(3, 4))
    pool[:, -1] = 1
    positive = np.array([1, 0, 0, 1, 1, 0, 0], bool)
    negative = np.array([0, 1, 1, 0, 0, 0, 1], bool)
    return pool[np.arange(7) % 3], positive, negative


def total(weights, features, positive, negative):
    """Row by row; P = 4, ridge 0.1, the last weight has none."""
    value = 0.1 * np.sum(weights[:-1] ** 2)
    for row, is_positive, is_negative in zip(features, positive, negative, strict=True):
        value += is_positive * np.exp(-row @ weights)
        value += is_negative * np.exp(4 * row @ weights) / 4
    return value


def test_pool_stands_for_all_rows(data):
    weights = np.random.default_rng(1).normal(size=4)
    with jax.enable_x64(True):
        pool = ranking.counted(*data)
        np.testing.assert_array_equal(pool.num_positive, [2, 1, 0])
        np.testing.assert_array_equal(pool.num_negative, [1, 1, 1])
        assert float(pool.total(weights)) == pytest.approx(total(weights, *data))
        found = float(ranking.right_log_loss(weights, *data))
    loss = total(weights, *data) - 0.1 * np.sum(weights[:-1] ** 2)
    assert found == pytest.approx(np.log(loss))


def test_least_total(data):
    least = optimize.minimize(total, np.zeros(4), args=data, tol=1e-12).fun
    assert ranking.least_total(*data) == pytest.approx(least, rel=1e-4)


def test_sgd_steps(data, monkeypatch):
    """Two steps by hand, at a rate that moves."""
    monkeypatch.setattr(ranking, "STEPS", 2)
    monkeypatch.setattr(ranking, "_RATE", 0.01)
    weights = np.zeros(4)
    for _ in range(2):
        weights -= 0.01 * optimize.approx_fprime(weights, total, 1e-8, *data)
    assert ranking.sgd_total(*data) == pytest.approx(total(weights, *data), rel=1e-5)


def test_rate_is_of_means_above_1000_rows():
    assert ranking.rate(10) == ranking.rate(1000) == 1e-5
    assert ranking.rate(4000) == pytest.approx(2.5e-6)
