"""Layers, shapes and one training step of FCRN-A and FCRN-B."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.nn import fcrn


def _shapes(model, size_hw=(13, 22)):
    """Shapes of (logits, variables), without computing anything."""
    image = jax.ShapeDtypeStruct((2, *size_hw, 3), jnp.float32)
    return jax.eval_shape(model.init_with_output, jax.random.key(0), image)


def _count(variables):
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def test_parameter_count_of_a_is_that_of_the_author():
    _, variables = _shapes(fcrn.FCRN(1, "a", norm="sync_batch"))
    assert _count(variables) == 1_366_784


def test_parameter_count_of_b_by_hand():
    _, variables = _shapes(fcrn.FCRN(1, "b", norm="sync_batch"))
    kernels = [3 * 32 * 9, 32 * 64 * 9, 64 * 128 * 9, 128 * 256 * 25, 2 * 256**2 * 25]
    norms = 2 * (32 + 64 + 128 + 3 * 256)
    assert _count(variables) == sum(kernels) + norms + 256


@pytest.mark.parametrize("variant", fcrn.VARIANTS)
@pytest.mark.parametrize("size_hw", [(13, 22), (16, 8)])
def test_logits_have_the_size_of_the_image(variant, size_hw):
    model = fcrn.FCRN(3, variant, width=4, dtype=jnp.bfloat16)
    logits, _ = _shapes(model, size_hw)
    assert (logits.shape, logits.dtype) == ((2, *size_hw, 3), jnp.float32)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["a", "b"])
def test_training_step_reaches_every_layer_and_moves_the_statistics(
    rng, variant, check_training_step
):
    model = fcrn.FCRN(2, variant, width=2, norm="sync_batch")
    image = jnp.asarray(rng.normal(size=(2, 13, 22, 3)), jnp.float32)
    variables = jax.tree.map(
        lambda leaf: jnp.asarray(rng.uniform(0.1, 0.5, leaf.shape), jnp.float32),
        _shapes(model)[1],
    )
    check_training_step(model, variables, image)


@pytest.mark.slow
def test_b_has_single_peaks(rng):
    """The last enlargement does not leave squares of equal px."""
    model = fcrn.FCRN(1, "b", width=2)
    image = jnp.asarray(rng.normal(size=(1, 16, 24, 3)), jnp.float32)
    logits, _ = jax.jit(model.init_with_output)(jax.random.key(0), image)
    assert np.abs(np.diff(logits, axis=1)).min() > 0
