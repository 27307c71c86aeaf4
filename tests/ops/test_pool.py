"""Maxima of windows, against XLA's own."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.ops import pool


def theirs(x, size, stride, padding):
    pads = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    window, strides = (1, size, size, 1), (1, stride, stride, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, pads)


@pytest.mark.parametrize("options", [(2, 2, 0), (3, 2, 1), (3, 1, 1), (3, 3, 0)])
@pytest.mark.parametrize("size_hw", [(8, 12), (9, 7)])
def test_values_and_gradients_are_those_of_windows(options, size_hw):
    """Whole numbers: many maxima are equal, of which the first has the gradient."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.integers(0, 4, (2, *size_hw, 3)), jnp.float32)
    weights = rng.normal(size=theirs(x, *options).shape)

    def loss(x, max_pool):
        return jnp.sum(max_pool(x, *options) * weights)

    np.testing.assert_array_equal(pool.max_pool(x, *options), theirs(x, *options))
    ours, xla = (jax.grad(loss)(x, f) for f in (pool.max_pool, theirs))
    np.testing.assert_allclose(ours, xla, rtol=1e-6)


def test_by_hand():
    x = jnp.array([[1.0, 5, 2], [5, 0, 3], [4, 4, 9]])[None, :, :, None]
    gradient = jax.grad(lambda x: pool.max_pool(x, 2, 1).sum())(x)
    np.testing.assert_array_equal(
        gradient[0, :, :, 0], [[0, 2, 0], [1, 0, 0], [0, 0, 1]]
    )


@pytest.mark.parametrize("place", [(0, 0), (1, 1)])
def test_nan_is_kept(place):
    x = jnp.zeros((1, 2, 2, 1)).at[0, *place, 0].set(jnp.nan)
    assert np.isnan(pool.max_pool(x, 2, 2)).all()


def test_bfloat16_and_infinities():
    x = jnp.array([[-jnp.inf, 1], [jnp.inf, 2]], jnp.bfloat16)[None, :, :, None]
    assert pool.max_pool(x, 2, 2).dtype == jnp.bfloat16
    assert float(pool.max_pool(x, 2, 2)[0, 0, 0, 0]) == np.inf
    assert float(pool.max_pool(-x[:, :1], 1, 1, 0)[0, 0, 0, 0]) == np.inf
