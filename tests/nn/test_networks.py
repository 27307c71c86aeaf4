"""Parameters, sizes and one training step of the networks of maps."""

import functools

import chex
import jax
import jax.numpy as jnp
import pytest

from cellrec_jax.nn import deeplab, fcrn, res_unet, unet, vgg


def _shapes(model, size_hw=(13, 22), channels=3):
    """Shapes of (outputs, variables), without computing anything."""
    image = jax.ShapeDtypeStruct((2, *size_hw, channels), jnp.float32)
    return jax.eval_shape(model.init_with_output, jax.random.key(0), image)


def _unit(a, b):
    """A unit a -> b of ResUNet: two convolutions, a shortcut, norms of a, b and b."""
    return 9 * (2 * a * b + b * b) + 3 * b + 2 * (a + 2 * b)


_PAIRS = [(3, 8), (8, 16), (16, 32), (32, 64), (64, 64)]
_PAIRS += [(128, 32), (64, 16), (32, 8), (16, 8)]
_UNITS = [(8, 16), (16, 32), (32, 64), (96, 32), (48, 16), (24, 8)]
_KERNELS = 3 * 32 * 9 + 32 * 64 * 9 + 64 * 128 * 9 + 128 * 256 * 25 + 2 * 256**2 * 25
PARAMETERS = [
    # Of the pseudo label paper's code.
    (unet.UNet(1, norm="sync_batch"), 1, 13_394_177),
    # Each convolution: 9 in * out + out, and 2 out of its norm.
    (
        unet.UNet(2, width=8),
        3,
        sum(9 * (a + b) * b + 6 * b for a, b in _PAIRS) + 8 * 2 + 2,
    ),
    # Of the port.
    (res_unet.ResUNet(1, norm="sync_batch"), 3, 13_043_009),
    (
        res_unet.ResUNet(2, width=8),
        3,
        9 * (2 * 3 * 8 + 8 * 8) + 3 * 8 + 2 * 8
        + sum(_unit(a, b) for a, b in _UNITS)
        + sum(4 * c * c + c for c in (64, 32, 16)) + 8 * 2 + 2,
    ),
    # Of the author; B by hand.
    (fcrn.FCRN(1, "a", norm="sync_batch"), 3, 1_366_784),
    (
        fcrn.FCRN(1, "b", norm="sync_batch"),
        3,
        _KERNELS + 2 * (32 + 64 + 128 + 3 * 256) + 256,
    ),
    # Torchvision's convolutions, and norms.
    *(
        (vgg.VGG16(norm=norm), 3, 14_714_688 + 2 * 4_224)
        for norm in ("sync_batch", "frozen_batch", "group")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("model", "channels", "expected"), PARAMETERS)
def test_parameter_counts(model, channels, expected):
    _, variables = _shapes(model, (32, 48), channels)
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == expected


MAPS = {
    "unet": functools.partial(unet.UNet, 3, width=4),
    "res_unet": functools.partial(res_unet.ResUNet, 3, width=4),
    **{
        f"fcrn_{name}": functools.partial(fcrn.FCRN, 3, name, width=4)
        for name in fcrn.VARIANTS
    },
    **{
        f"deeplab_{stride}": functools.partial(
            deeplab.DeepLabV3Plus, 3, "tiny", channels=8, output_stride=stride
        )
        for stride in (8, 16)
    },
}


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("size_hw", [(13, 38), (33, 16), (1, 3)])
def test_logits_have_the_size_of_the_image(name, size_hw):
    logits, _ = _shapes(MAPS[name](dtype=jnp.bfloat16), size_hw)
    assert (logits.shape, logits.dtype) == ((2, *size_hw, 3), jnp.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet", "res_unet", "fcrn_a", "deeplab_16"])
def test_blocks_computed_again_have_the_same_gradient(name):
    """By batch norms, whose statistics move once."""
    options = {"norm": "sync_batch"}
    image = jax.random.normal(jax.random.key(1), (2, 33, 38, 3))
    variables = MAPS[name](**options).init(jax.random.key(0), image)

    def step(params, remat):
        def loss(params):
            logits, moved = MAPS[name](**options, remat=remat).apply(
                {**variables, "params": params}, image, True, mutable=["batch_stats"]
            )
            return jnp.mean(logits**2), moved

        return jax.jit(jax.grad(loss, has_aux=True))(params)

    plain, again = (step(variables["params"], remat) for remat in (False, True))
    chex.assert_trees_all_close(again, plain, rtol=1e-4, atol=1e-6)


TRAINED = [
    *(unet.UNet(2, width=2, norm="sync_batch", resize=resize)
      for resize in ("nearest", "bilinear_aligned")),
    res_unet.ResUNet(2, width=2, norm="sync_batch"),
    *(fcrn.FCRN(2, name, width=2, norm="sync_batch") for name in ("a", "b")),
    vgg.VGG16(width=2, norm="sync_batch"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("model", TRAINED)
def test_training_step_reaches_every_layer_and_moves_the_statistics(
    rng, model, check_training_step
):
    is_vgg, is_fcrn = (isinstance(model, kind) for kind in (vgg.VGG16, fcrn.FCRN))
    size_hw = (32, 48) if is_vgg else (13, 22) if is_fcrn else (29, 38)
    image = jnp.asarray(rng.normal(size=(2, *size_hw, 3)), jnp.float32)
    if is_fcrn:  # drawn weights of so few channels leave layers dead
        variables = jax.tree.map(
            lambda leaf: jnp.asarray(rng.uniform(0.1, 0.5, leaf.shape), jnp.float32),
            _shapes(model)[1],
        )
    else:
        variables = jax.jit(model.init)(jax.random.key(0), image)
    read = (lambda features: features[4]) if is_vgg else (lambda logits: logits)
    check_training_step(model, variables, image, read)
