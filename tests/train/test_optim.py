"""Schedules, frozen parameters, weight decay and averages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.config import OptimConfig
from cellrec_jax.train import optim


def test_the_papers_schedule_drops_at_half_and_three_quarters():
    schedule = optim.make_schedule(OptimConfig(), 10_000)
    rates = [float(schedule(step)) for step in (0, 4999, 5001, 7499, 7501)]
    np.testing.assert_allclose(rates, [1e-3, 1e-3, 1e-4, 1e-4, 1e-5], rtol=1e-5)


def test_warmup_does_not_move_the_drops():
    schedule = optim.make_schedule(OptimConfig(warmup_steps=100), 1000)
    assert float(schedule(0)) == 0
    np.testing.assert_allclose(schedule(50), 5e-4, rtol=1e-5)
    np.testing.assert_allclose(
        [float(schedule(s)) for s in (100, 499, 501)], [1e-3, 1e-3, 1e-4], rtol=1e-5
    )


def test_cosine_ends_at_zero():
    schedule = optim.make_schedule(OptimConfig(schedule="cosine"), 100)
    np.testing.assert_allclose([schedule(0), schedule(100)], [1e-3, 0], atol=1e-9)


@pytest.mark.parametrize(
    ("rule", "expected"), [("linear", 4e-3), ("sqrt", 2e-3), ("", 1e-3)]
)
def test_the_rate_follows_the_batch_by_its_rule_and_once(rule, expected):
    """Four times the batch that a rate of 1e-3 is for."""
    config = OptimConfig(scale_rate=rule, base_batch=4 if rule else 0)
    found = optim.scaled(config, 16)
    np.testing.assert_allclose(found.learning_rate, expected, rtol=1e-9)
    assert optim.scaled(found, 16) == found


@pytest.mark.parametrize("half", [{"scale_rate": "sqrt"}, {"base_batch": 8}])
def test_a_rule_and_its_base_go_together(half):
    with pytest.raises(errors.ConfigError, match=r"^--config\.optim\.scale_rate="):
        OptimConfig(**half)


PARAMS = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2), "frozen": jnp.ones((2, 2))}
ZERO = jax.tree.map(jnp.zeros_like, PARAMS)


def _trainable(params):
    return {name: name != "frozen" for name in params}


@pytest.mark.parametrize("name", ["momentum", "adam", "adamw"])
def test_decay_touches_kernels_only_and_frozen_parameters_stay(name):
    config = OptimConfig(name=name, weight_decay=0.1, learning_rate=0.5)
    tx = optim.make_optimizer(config, 100, _trainable)
    updates, _ = tx.update(ZERO, tx.init(PARAMS), PARAMS)
    assert np.all(updates["kernel"] < 0)
    assert np.all(updates["bias"] == 0)
    assert np.all(updates["frozen"] == 0)


def test_momentum_with_l2_by_hand():
    config = OptimConfig(weight_decay=0.1, learning_rate=0.5, schedule="constant")
    tx = optim.make_optimizer(config, 100, _trainable)
    grads = jax.tree.map(jnp.ones_like, PARAMS)
    state = tx.init(PARAMS)
    updates, state = tx.update(grads, state, PARAMS)
    np.testing.assert_allclose(updates["kernel"], -0.5 * 1.1, rtol=1e-6)
    updates, _ = tx.update(grads, state, PARAMS)
    np.testing.assert_allclose(updates["kernel"], -0.5 * (1.1 + 0.9 * 1.1), rtol=1e-6)


def test_clipping_ignores_frozen_gradients():
    config = OptimConfig(clip_norm=1.0, weight_decay=0.0, learning_rate=1.0)
    tx = optim.make_optimizer(config, 100, _trainable)
    grads = {**ZERO, "bias": jnp.array([3.0, 4.0]), "frozen": jnp.full((2, 2), 1e6)}
    updates, _ = tx.update(grads, tx.init(PARAMS), PARAMS)
    np.testing.assert_allclose(updates["bias"], [-0.6, -0.8], rtol=1e-6)


def test_average_follows_fast_at_first():
    averaged = optim.update_ema({"w": 0.0}, {"w": 1.0}, 0.99, jnp.int32(0))
    np.testing.assert_allclose(averaged["w"], 0.9, rtol=1e-6)
    averaged = optim.update_ema({"w": 0.0}, {"w": 1.0}, 0.99, jnp.int32(10**6))
    np.testing.assert_allclose(averaged["w"], 0.01, rtol=1e-4)
