"""Layers, shapes and one training step of the U-Net."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.nn import unet


def _shapes(model, size_hw=(13, 22), channels=3):
    """Shapes of (logits, variables), without computing anything."""
    image = jax.ShapeDtypeStruct((2, *size_hw, channels), jnp.float32)
    return jax.eval_shape(model.init_with_output, jax.random.key(0), image)


def _count(variables):
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def test_parameter_count_is_that_of_the_pseudo_label_papers_code():
    _, variables = _shapes(unet.UNet(1, norm="sync_batch"), channels=1)
    assert _count(variables) == 13_394_177


def test_parameter_count_by_hand():
    """Each convolution: 9 in * out + out, and 2 out of its norm."""
    pairs = [(3, 8), (8, 16), (16, 32), (32, 64), (64, 64)]
    pairs += [(128, 32), (64, 16), (32, 8), (16, 8)]
    blocks = sum(9 * (a + b) * b + 6 * b for a, b in pairs)
    _, variables = _shapes(unet.UNet(2, width=8))
    assert _count(variables) == blocks + 8 * 2 + 2


@pytest.mark.parametrize("size_hw", [(13, 38), (32, 16)])
def test_logits_have_the_size_of_the_image(size_hw):
    model = unet.UNet(3, width=4, dtype=jnp.bfloat16)
    logits, _ = _shapes(model, size_hw)
    assert (logits.shape, logits.dtype) == ((2, *size_hw, 3), jnp.float32)


@pytest.mark.slow
@pytest.mark.parametrize("resize", ["nearest", "bilinear_aligned"])
def test_training_step_reaches_every_layer_and_moves_the_statistics(
    rng, resize, check_training_step
):
    model = unet.UNet(2, width=2, norm="sync_batch", resize=resize)
    image = jnp.asarray(rng.normal(size=(2, 29, 38, 3)), jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(0), image)
    check_training_step(model, variables, image)


@pytest.mark.slow
def test_evaluation_leaves_the_statistics_and_other_images_alone(rng):
    model = unet.UNet(1, width=2, norm="sync_batch")
    images = jnp.asarray(rng.normal(size=(2, 16, 32, 3)), jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(0), images)
    apply = jax.jit(lambda image: model.apply(variables, image, mutable="batch_stats"))
    logits, new = apply(images)
    jax.tree.map(
        np.testing.assert_array_equal, new["batch_stats"], variables["batch_stats"]
    )
    np.testing.assert_allclose(apply(images[::-1])[0][1], logits[0], rtol=1e-5)
