"""Layers, shapes and one training step of the ResUNet."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.nn import res_unet


def _shapes(model, size_hw=(13, 22)):
    """Shapes of (logits, variables), without computing anything."""
    image = jax.ShapeDtypeStruct((2, *size_hw, 3), jnp.float32)
    return jax.eval_shape(model.init_with_output, jax.random.key(0), image)


def _count(variables):
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def test_parameter_count_is_that_of_the_port():
    _, variables = _shapes(res_unet.ResUNet(1, norm="sync_batch"))
    assert _count(variables) == 13_043_009


def test_parameter_count_by_hand():
    """A unit a -> b: two convolutions and a shortcut, norms of a, b and b."""

    def unit(a, b):
        return 9 * (2 * a * b + b * b) + 3 * b + 2 * (a + 2 * b)

    first = 9 * (2 * 3 * 8 + 8 * 8) + 3 * 8 + 2 * 8
    units = [unit(8, 16), unit(16, 32), unit(32, 64)]
    units += [unit(96, 32), unit(48, 16), unit(24, 8)]
    enlarge = sum(4 * c * c + c for c in (64, 32, 16))
    _, variables = _shapes(res_unet.ResUNet(2, width=8))
    assert _count(variables) == first + sum(units) + enlarge + 8 * 2 + 2


@pytest.mark.parametrize("size_hw", [(13, 22), (16, 8)])
def test_logits_have_the_size_of_the_image(size_hw):
    model = res_unet.ResUNet(3, width=4, dtype=jnp.bfloat16)
    logits, _ = _shapes(model, size_hw)
    assert (logits.shape, logits.dtype) == ((2, *size_hw, 3), jnp.float32)


def test_enlarge_puts_a_product_with_each_tap_on_each_px(rng):
    kernel, bias = rng.normal(size=(2, 2, 3, 3)), rng.normal(size=3)
    image = rng.normal(size=(1, 2, 4, 3))
    expected = np.zeros((1, 4, 8, 3))
    for y in range(4):
        for x in range(8):
            expected[0, y, x] = image[0, y // 2, x // 2] @ kernel[y % 2, x % 2] + bias
    params = {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}
    out = res_unet.Enlarge().apply({"params": params}, jnp.asarray(image))
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_training_step_reaches_every_layer_and_moves_the_statistics(
    rng, check_training_step
):
    model = res_unet.ResUNet(2, width=2, norm="sync_batch")
    image = jnp.asarray(rng.normal(size=(2, 29, 38, 3)), jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(0), image)
    check_training_step(model, variables, image)
