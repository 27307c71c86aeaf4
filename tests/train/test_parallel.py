"""One copy of the state, sharded batches, and results that ignore the device count."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import errors, masking
from cellrec_jax.train import parallel


def test_shard_splits_the_batch():
    batch = {"x": np.arange(8).reshape(8, 1)}
    sharded = parallel.shard(batch)
    assert sharded["x"].shape == (4, 2, 1)
    assert sharded["x"][1, 0, 0] == 2


def test_indivisible_batch_names_the_flag():
    parallel.check_batch_size(8, 4)
    with pytest.raises(errors.ConfigError, match=r"--config\.batch_size=8"):
        parallel.check_batch_size(6, 4)


def test_a_batch_divides_over_devices_and_their_parts():
    parallel.check_batch_size(8, 2, 4)
    with pytest.raises(errors.ConfigError, match=r"accumulate=4: .*batch_size=16$"):
        parallel.check_batch_size(12, 2, 4)


def _step(state, batch, key):
    """Gradient of a masked mean with unequal counts: the trap of per-device means."""

    del key

    def loss(w):
        return masking.masked_mean((w - batch["x"]) ** 2, batch["mask"])

    value, grad = jax.value_and_grad(loss)(state["w"])
    value, grad = jax.lax.pmean((value, grad), masking.AXIS)
    return {"w": state["w"] - 0.1 * grad}, value


BATCH = {
    "x": np.array([1.0, 5.0, 2.0, 8.0], np.float32),
    "mask": np.array([True, False, True, True]),
}


@pytest.mark.parametrize("number", [1, 2, 4])
def test_three_steps_do_not_depend_on_the_devices(number):
    devices = jax.devices()[:number]
    step = parallel.pmap_step(_step, devices)
    state, key = parallel.place(({"w": jnp.zeros(())}, jax.random.key(0)), devices)
    for _ in range(3):
        state, value = step(state, parallel.shard(BATCH, devices), key)
    w = 0.0
    for _ in range(3):  # mean of the three real numbers is 11/3
        w -= 0.1 * 2 * (w - 11 / 3)
    np.testing.assert_allclose(state["w"], w, rtol=1e-6)
    chex.assert_shape(value, ())


@pytest.mark.parametrize("number", [1, 2, 4])
def test_steps_take_the_copy_and_leave_what_was_placed(number):
    devices = jax.devices()[:number]
    before = {"w": jnp.zeros(())}
    step = parallel.pmap_step(_step, devices)
    state, key = parallel.place((before, jax.random.key(0)), devices)
    step(state, parallel.shard(BATCH, devices), key)
    assert not before["w"].is_deleted()


def test_a_placed_state_compiles_once():
    step = parallel.pmap_step(chex.assert_max_traces(_step, 1))
    state, key = parallel.place(({"w": jnp.zeros(())}, jax.random.key(0)))
    for _ in range(3):
        state, _ = step(state, parallel.shard(BATCH), key)
