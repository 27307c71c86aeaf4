"""The training step gives the same numbers however its batch is spread."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax import methods
from cellrec_jax.config import OptimConfig
from cellrec_jax.train import optim, parallel
from cellrec_jax.train import step as step_lib
from cellrec_jax.types import Method


def _toy_loss(params, model_state, batch, rng, progress, *, averaged):
    """Its statistic is the sum of all weights that it was asked with."""
    del progress
    noise = jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(rng, i), ()))(
        batch["index"]
    )
    error = (params["w"] * batch["x"] + 0.01 * noise) ** 2
    loss = jnp.mean(error)
    metrics = {"seen": (jnp.sum(batch["x"]), jnp.float32(len(batch["x"])))}
    if averaged is not None:
        metrics["averaged"] = averaged[1]["sum"], jnp.float32(1)
    return loss, ({"sum": model_state["sum"] + params["w"]}, metrics)


TOY = Method(init=lambda *_: None, loss_fn=_toy_loss, predict=lambda *_: None)


def _run_toy(number, ema=0.0, steps=3, scale=1.0, seed=3):
    devices = jax.devices()[:number]
    tx = optim.make_optimizer(OptimConfig(learning_rate=0.1), 10)
    params, model_state = {"w": jnp.float32(1.0)}, {"sum": jnp.float32(0.0)}
    state = step_lib.init_state(tx, params, model_state, ema=ema)
    step = step_lib.make_step(TOY, tx, lambda batch, _: batch, total_steps=10, ema=ema)
    pmapped = parallel.pmap_step(step, devices)
    state, key = parallel.place((state, jax.random.key(seed)), devices)
    batch = {"x": scale * np.arange(4, dtype=np.float32), "index": np.arange(4)}
    metrics = {}
    for _ in range(steps):
        state, metrics = pmapped(state, parallel.shard(batch, devices), key)
    return jax.device_get((state, metrics))


def test_draws_do_not_depend_on_the_device_count():
    one, four = _run_toy(1), _run_toy(4)
    chex.assert_trees_all_close(one[0], four[0], rtol=1e-6)
    assert one[1]["seen"] == (6.0, 4.0) == four[1]["seen"]


def test_draws_change_from_step_to_step():
    """At x = 0 the loss is the noise alone."""
    losses = [_run_toy(2, steps=n, scale=0.0)[1]["loss"][0] for n in (1, 2, 3)]
    assert len(set(map(float, losses))) == 3


def test_a_seed_is_an_argument():
    """At x = 0 the loss is the noise alone: of the key, the step and the example."""
    for seed in (3, 4):
        rng = jax.random.split(jax.random.fold_in(jax.random.key(seed), 0))[1]
        draw = [jax.random.normal(jax.random.fold_in(rng, i), ()) for i in range(4)]
        _, metrics = _run_toy(2, steps=1, scale=0.0, seed=seed)
        loss = metrics["loss"][0] / metrics["loss"][1]
        np.testing.assert_allclose(loss, np.mean(np.square(draw)) * 1e-4, rtol=1e-5)


def test_trainings_alike_share_one_program(tiny_experiment):
    """Whatever their seed and first weights; not where schedules or crops differ."""
    method = methods.build(tiny_experiment, 1)
    one = step_lib.program(tiny_experiment, method)
    other = dataclasses.replace(tiny_experiment, seed=5)
    started = method._replace(init=lambda *_: ({}, {}))
    assert step_lib.program(other, started) is one
    for changes in ({"total_steps": 5}, {"data.crop_hw": (32, 32)}, {"optim.ema": 0.9}):
        changed = methods.changed(tiny_experiment, changes)
        assert step_lib.program(changed, method) is not one


def test_no_crop_is_none(tiny_experiment):
    assert step_lib.augment_from(tiny_experiment).crop_hw == (64, 64)
    whole = methods.changed(tiny_experiment, {"data.crop_hw": (0, 0)})
    assert step_lib.augment_from(whole).crop_hw is None


def test_metrics_add_up_and_the_step_counts():
    state, metrics = _run_toy(2)
    assert int(state.step) == 3
    assert metrics["loss"][1] == 2  # one a device
    assert np.isfinite(metrics["grad_norm"][0])


def test_average_is_kept_only_when_asked():
    assert _run_toy(1)[0].ema_params == {}
    state, _ = _run_toy(1, ema=0.5)
    assert state.evaluated.params is state.ema_params
    assert state.ema_params["w"] != state.params["w"]


def test_statistics_are_averaged_as_parameters_are():
    """By 1/10, 2/11 and 3/12 while steps are few: s <- d s + (1 - d) latest."""
    weights = [float(_run_toy(1, steps=n)[0].params["w"]) for n in (0, 1, 2)]
    latest = np.cumsum(weights)
    wanted = [0.0]
    for decay, one in zip((1 / 10, 2 / 11, 3 / 12), latest, strict=True):
        wanted.append(decay * wanted[-1] + (1 - decay) * one)
    state, metrics = _run_toy(1, ema=0.9)
    np.testing.assert_allclose(state.ema_state["sum"], wanted[-1], rtol=1e-6)
    np.testing.assert_allclose(metrics["averaged"][0], wanted[-2], rtol=1e-6)
    assert state.evaluated.model_state is state.ema_state
