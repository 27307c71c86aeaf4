"""The references of the ranking benchmark, against sums over all rows."""

import numpy as np
import pytest
from scipy import optimize

from cellrec_jax.bench import ranking_reference as reference


@pytest.fixture
def data(monkeypatch):
    """Seven rows that repeat a pool of three, each with a label of its own."""
    monkeypatch.setattr(reference, "POOL", 3)
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(3, 4))
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
    pool = reference.pooled(*data)
    np.testing.assert_array_equal(pool.num_positive, [2, 1, 0])
    np.testing.assert_array_equal(pool.num_negative, [1, 1, 1])
    weights = np.random.default_rng(1).normal(size=4)
    value, gradient = pool.total(weights)
    assert value == pytest.approx(total(weights, *data))
    slopes = optimize.approx_fprime(weights, total, 1e-7, *data)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-4, atol=1e-5)


def test_pass_is_the_logarithm_without_ridge(data):
    weights = np.random.default_rng(1).normal(size=4)

    def log_loss(weights):
        return np.log(total(weights, *data) - 0.1 * np.sum(weights[:-1] ** 2))

    found = reference.expected_pass(weights, *data, backward=False)
    assert found == pytest.approx(log_loss(weights))
    value, gradient = reference.expected_pass(weights, *data, backward=True)
    assert value == found
    slopes = optimize.approx_fprime(weights, log_loss, 1e-7)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-4, atol=1e-5)


def test_descents_come_down_to_the_minimum(data):
    least = optimize.minimize(total, np.zeros(4), args=data, tol=1e-12).fun
    assert reference.least_total(*data) == pytest.approx(least, rel=1e-4)


def test_sgd_steps(data, monkeypatch):
    """Two steps by hand, at a rate that moves."""
    monkeypatch.setattr(reference, "STEPS", 2)
    monkeypatch.setattr(reference, "_RATE", 0.01)
    weights = np.zeros(4)
    for _ in range(2):
        weights -= 0.01 * optimize.approx_fprime(weights, total, 1e-8, *data)
    assert reference.sgd_total(*data) == pytest.approx(total(weights, *data), rel=1e-5)


def test_rate_is_of_means_above_1000_rows():
    assert reference.rate(10) == reference.rate(1000) == 1e-5
    assert reference.rate(4000) == pytest.approx(2.5e-6)
