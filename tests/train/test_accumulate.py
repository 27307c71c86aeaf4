"""A batch that is done in parts gives what the whole one does."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import masking, methods
from cellrec_jax.config import OptimConfig
from cellrec_jax.losses import pu
from cellrec_jax.train import accumulate, optim, parallel, start
from cellrec_jax.train import step as step_lib
from cellrec_jax.types import Batch, Method

BATCH = {
    "x": np.array([1.0, 5.0, 2.0, 8.0, 3.0, 3.0, 4.0, 9.0], np.float32),
    "mask": np.array([1, 0, 1, 0, 1, 0, 1, 1], bool),  # one in the second of two parts
}


def _mean_loss(params, model_state, batch, rng, progress, *, averaged=None):
    """A plain mean, and one that divides by another count, unknown to any part."""
    del rng, progress, averaged
    error = (params["w"] * batch["x"] - 3.0) ** 2
    loss = masking.masked_mean(error, batch["mask"])
    loss += 0.5 * masking.masked_mean(error, batch["x"] > 4)
    metrics = {"error": masking.masked_sum_count(error, batch["mask"])}
    return loss, ({"seen": model_state["seen"] + jnp.max(batch["x"])}, metrics)


def _risk_loss(params, model_state, batch, rng, progress, *, averaged=None):
    """Chooses by a risk of all, -0.16 < -beta, which divides by counts of all."""
    del rng, progress, averaged
    scores = params["w"] * (4.0 - batch["x"])
    mask = batch["mask"]
    found = pu.pu_risk(scores, mask, ~mask, 0.6, estimator="non_negative", beta=0.1)
    return found.risk, (model_state, {"risk": (found.risk, jnp.ones(()))})


def _run(
    loss_fn: Any, number: int, devices: int = 1, batch: Any = BATCH
) -> tuple[Any, Any]:
    """Three steps of a toy batch: the state and the last metrics."""
    placed = jax.devices()[:devices]
    tx = optim.make_optimizer(OptimConfig(learning_rate=0.01), 10)
    state = step_lib.init_state(tx, {"w": jnp.float32(0.7)}, {"seen": jnp.zeros(())})
    method = Method(init=lambda *_: None, loss_fn=loss_fn, predict=lambda *_: None)
    step = step_lib.make_step(
        method, tx, lambda batch, _: batch, total_steps=10, accumulate=number
    )
    mapped = parallel.pmap_step(step, placed)
    state, key = parallel.place((state, jax.random.key(0)), placed)
    metrics = {}
    for _ in range(3):
        state, metrics = mapped(state, parallel.shard(batch, placed), key)
    return jax.device_get((state, metrics))


def _ratios(metrics):
    return {name: total / count for name, (total, count) in metrics.items()}


@pytest.mark.parametrize("loss_fn", [_mean_loss, _risk_loss])
@pytest.mark.parametrize(("number", "devices"), [(2, 1), (4, 1), (8, 1), (2, 2)])
def test_parts_equal_the_whole(loss_fn, number, devices):
    """Counts differ from part to part, some have none."""
    whole, parts = _run(loss_fn, 1), _run(loss_fn, number, devices)
    chex.assert_trees_all_close(whole[0].params, parts[0].params, rtol=1e-6)
    chex.assert_trees_all_close(whole[0].opt_state, parts[0].opt_state, rtol=1e-5)
    chex.assert_trees_all_close(_ratios(whole[1]), _ratios(parts[1]), rtol=1e-5)


@pytest.mark.parametrize("loss_fn", [_mean_loss, _risk_loss])
def test_parts_equal_devices(loss_fn):
    """Also where a state is of each part: its maximum, averaged over both alike."""
    reordered = {
        name: np.concatenate([x[i::4] for i in range(4)]) for name, x in BATCH.items()
    }
    parts, devices = _run(loss_fn, 4), _run(loss_fn, 1, 4, reordered)
    chex.assert_trees_all_close(parts[0], devices[0], rtol=1e-6)
    chex.assert_trees_all_close(_ratios(parts[1]), _ratios(devices[1]), rtol=1e-5)


def test_by_hand():
    """Gradient of the mean over five of (w x - 3)^2, w = 0.7: of no part's own five."""
    kept = BATCH["x"][BATCH["mask"]]
    large = BATCH["x"][BATCH["x"] > 4]
    expected = np.mean(2 * kept * (0.7 * kept - 3)) + 0.5 * np.mean(
        2 * large * (0.7 * large - 3)
    )
    graded = accumulate.value_and_grad(_mean_loss, 4)
    state = {"seen": jnp.float32(1)}
    (_, (state, metrics)), grads = graded({"w": jnp.float32(0.7)}, state, BATCH, 0, 0)
    np.testing.assert_allclose(grads["w"], expected, rtol=1e-6)
    assert state["seen"] == 1 + np.mean([3, 5, 4, 9])
    assert metrics["error"][1] == 5


def test_an_error_leaves_nothing_behind():
    def fails(*_, **__):
        masking.device_mean(jnp.ones(()))
        raise KeyError("w")

    with pytest.raises(KeyError):
        accumulate.value_and_grad(fails, 2)({}, {}, BATCH)
    assert masking.device_mean(jnp.float32(3)) == 3
    assert masking.masked_mean(jnp.ones(2), jnp.ones(2, bool)) == 1


def test_means_inside_of_a_vmap_are_an_error():
    """They would be of one example each."""

    def loss(params, model_state, batch, *_, **__):
        means = jax.vmap(masking.masked_mean)(
            params["w"] * batch["x"][:, None], batch["mask"][:, None]
        )
        return jnp.sum(means), (model_state, {})

    with pytest.raises(jax.errors.UnexpectedTracerError):
        accumulate.value_and_grad(loss, 2)({"w": jnp.ones(())}, {}, BATCH)


@pytest.mark.parametrize(
    ("changes", "devices", "expected"),
    [
        ({}, 1, "16"),
        ({}, 4, "16 = 4 devices x 4"),
        ({"train.accumulate": 2}, 1, "16 = 1 device x 8 x 2 accumulated"),
        (
            {
                "train.accumulate": 2,
                "optim.scale_rate": "linear",
                "optim.base_batch": 8,
            },
            4,
            "16 = 4 devices x 2 x 2 accumulated; learning rate 0.002 (linear rule, "
            "base batch 8)",
        ),
    ],
)
def test_the_spread_is_told(map_experiment, changes, devices, expected):
    experiment = methods.changed(map_experiment, {"batch_size": 16, **changes})
    assert accumulate.described(experiment, devices) == expected


def test_batch_norm_is_told_of(map_experiment):
    """Of half of four images; not of groups, nor of the whole batch."""
    changes = {"train.accumulate": 2, "model.norm": "sync_batch"}
    (line,) = accumulate.notes(methods.changed(map_experiment, changes))
    assert "of 2 of 4 images" in line
    for one in changes:
        other = methods.changed(map_experiment, {one: changes[one]})
        assert list(accumulate.notes(other)) == []


def test_programs_of_other_parts_and_rates_differ(map_experiment):
    method = methods.build(map_experiment, 1)
    program = step_lib.program(map_experiment, method)
    rule = {"optim.scale_rate": "sqrt", "optim.base_batch": 1}
    for changes in ({"train.accumulate": 2}, rule):
        changed = methods.changed(map_experiment, changes)
        assert step_lib.program(changed, method) is not program


@pytest.mark.slow
def test_parts_take_less_memory(map_experiment):
    """Of four images, one at a time, by what the compiler says."""
    changes = {"data.size_hw": (64, 96), "model.width": 4}
    experiment = methods.changed(map_experiment, changes)
    assert _temporary(experiment, 4) < 0.6 * _temporary(experiment, 1)


def _temporary(experiment, number):
    """Bytes that a step on one device holds meanwhile."""
    changed = methods.changed(experiment, {"train.accumulate": number})
    method = methods.build(changed, 1)
    state = jax.eval_shape(lambda: start.make_state(changed, method))
    step = step_lib.program(changed, method).step
    batch = _shapes(changed.batch_size, changed.data)
    mapped = parallel.pmap_step(step, jax.devices()[:1])
    compiled = mapped.lower(state, batch, jax.random.key(0)).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def _shapes(images, data):
    def spec(dtype, *shape):
        return jax.ShapeDtypeStruct((1, images, *shape), dtype)

    return Batch(
        image=spec(np.uint8, *data.size_hw, 3),
        image_mask=spec(bool),
        points_yx=spec(np.float32, data.max_cells, 2),
        labels=spec(np.int32, data.max_cells),
        points_mask=spec(bool, data.max_cells),
        boxes_yxyx=spec(np.float32, data.max_cells, 4),
        valid=spec(bool, *data.size_hw),
        example_index=spec(np.int32),
    )
