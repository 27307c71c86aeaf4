"""Convolutions, resizing and padding, against values worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.nn import layers
from cellrec_jax.nn import norm as norms

LINE = np.array([0.0, 6.0, 18.0])
_resize = jax.jit(layers.resize, static_argnums=(1, 2))
ENLARGED = {
    "nearest": [0, 0, 6, 6, 18, 18],
    # Outputs sit at -1/4, 1/4, 3/4 ... of the input; outside, the edge goes on.
    "bilinear": [0, 1.5, 4.5, 9, 15, 18],
    # Outputs sit at 0, 2/5, 4/5, ... 2 of the input.
    "bilinear_aligned": [0, 2.4, 4.8, 8.4, 13.2, 18],
}


def _column(values, dtype=jnp.float32):
    return jnp.asarray(values, dtype).reshape(1, -1, 1, 1)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bilinear_aligned"])
def test_resize_by_hand(method):
    """LINE in y plus 100 times LINE in x."""
    image = jnp.asarray(np.add.outer(LINE, 100 * LINE), jnp.float32)
    out = _resize(image.reshape(1, 3, 3, 1), (6, 6), method)
    expected = np.add.outer(ENLARGED[method], 100 * np.array(ENLARGED[method]))
    np.testing.assert_allclose(out[0, :, :, 0], expected, rtol=1e-6, atol=1e-4)


def test_resize_aligned_is_exact_one_px_past_the_multiple():
    """Cell i of stride 16 comes to lie on px 16 i, whatever the length."""
    cells = _column(np.arange(5))
    out = _resize(cells, (65, 1), "bilinear_aligned")
    np.testing.assert_allclose(out[0, :, 0, 0], np.arange(65) / 16, atol=1e-5)


@pytest.mark.parametrize(
    ("old", "new"), [(1, 3), pytest.param(3, 1, marks=pytest.mark.slow)]
)
def test_resize_aligned_from_and_to_one_px_takes_the_first(old, new):
    out = _resize(_column(LINE[-old:]), (new, 1), "bilinear_aligned")
    np.testing.assert_allclose(out[0, :, 0, 0], [LINE[-old]] * new, rtol=1e-6)


def test_double_and_max_pool_undo_each_other(rng):
    x = jnp.asarray(rng.normal(size=(2, 3, 4, 2)), jnp.float32)
    doubled = jax.jit(layers.double)(x)
    assert doubled.shape == (2, 6, 8, 2)
    np.testing.assert_array_equal(doubled[:, 5, 2], x[:, 2, 1])
    np.testing.assert_array_equal(jax.jit(layers.max_pool)(doubled), x)


def test_max_pool_by_hand():
    x = np.array([[1, 5, 2, 0, 9], [4, 3, 7, 8, 9], [9, 9, 9, 9, 9]], np.float32)
    x = x.reshape(1, 3, 5, 1)
    assert jax.jit(layers.max_pool)(x).ravel().tolist() == [5, 8]
    slope = jax.jit(jax.grad(lambda x: 2 * jnp.sum(layers.max_pool(x))))(x)
    np.testing.assert_array_equal(slope, 2 * np.isin(x, (5, 8)))


@pytest.mark.parametrize(
    ("size_hw", "multiple", "extra", "expected_hw"),
    [
        ((5, 8), 8, 0, (8, 8)),
        ((1, 9), 8, 0, (8, 16)),
        ((16, 17), 16, 1, (17, 17)),
        ((18, 1), 16, 1, (33, 1)),
    ],
)
def test_pad_to_multiple(size_hw, multiple, extra, expected_hw):
    image = np.ones((1, *size_hw, 2), np.float32)
    padded = np.asarray(layers.pad_to_multiple(image, multiple, extra))
    assert padded.shape == (1, *expected_hw, 2)
    height, width = size_hw
    assert padded[:, :height, :width].min() == 1
    assert padded.sum() == 2 * height * width


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("size", "dilation"), [(1, 1), (3, 1), (3, 4), (5, 1)])
def test_conv_keeps_the_grid(size, dilation, stride):
    layer = layers.conv(4, size, stride=stride, dilation=dilation)
    image = jax.ShapeDtypeStruct((1, 9, 12, 3), jnp.float32)
    out, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), image)
    assert out.shape == (1, -(-9 // stride), 12 // stride, 4)
    assert set(variables["params"]) == {"kernel"}


def test_dilated_conv_by_hand():
    """Taps 1, 10, 100 two px apart in y: px 2 sees px 0, 2 and 4."""
    layer = layers.conv(1, 3, dilation=2)
    kernel = jnp.zeros((3, 3, 1, 1)).at[:, 1, 0, 0].set(jnp.array([1.0, 10, 100]))
    out = layer.apply({"params": {"kernel": kernel}}, _column([1.0, 2, 3, 4, 5]))
    np.testing.assert_allclose(out.ravel(), [310, 420, 531, 42, 53], rtol=1e-6)


def test_torch_uniform_has_the_bounds_of_the_fan_in():
    kernel = np.asarray(layers.torch_uniform(jax.random.key(0), (3, 5, 40, 60)))
    bound = (3 * 5 * 40) ** -0.5
    assert kernel.shape == (3, 5, 40, 60)
    np.testing.assert_allclose([kernel.min(), kernel.max()], [-bound, bound], rtol=1e-3)
    np.testing.assert_allclose(kernel.std(), bound / 3**0.5, rtol=0.01)


def test_block_names_and_types():
    norm = norms.make_norm("group", dtype=jnp.bfloat16)
    block = layers.ConvBlock(4, 2, norm, jnp.bfloat16)
    image = jax.ShapeDtypeStruct((1, 5, 7, 3), jnp.float32)
    out, variables = jax.eval_shape(block.init_with_output, jax.random.key(0), image)
    assert (out.shape, out.dtype) == ((1, 5, 7, 4), jnp.bfloat16)
    assert set(variables["params"]) == {"conv1", "conv2"}
    assert set(variables["params"]["conv1"]["conv"]) == {"kernel", "bias"}
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))
    logits = jax.eval_shape(
        layers.output_conv(3).init_with_output, jax.random.key(0), out
    )[0]
    assert (logits.shape, logits.dtype) == ((1, 5, 7, 3), jnp.float32)
