"""Layers, levels and one training step of VGG16 as P2PNet's encoder."""

import jax
import jax.numpy as jnp
import pytest

from cellrec_jax.nn import vgg


def _shapes(model, size_hw=(32, 48)):
    """Shapes of (features, variables), without computing anything."""
    image = jax.ShapeDtypeStruct((2, *size_hw, 3), jnp.float32)
    return jax.eval_shape(model.init_with_output, jax.random.key(0), image)


def _count(variables):
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def test_parameter_count_of_p2pnet():
    """The public code has 21,579,344; 18,038,864 without what no output depends on.

    Less one layer: the lateral convolution of stride 4, of 65,792 parameters, whose
    result only reaches a map that P2PNet does not read.
    """
    _, variables = _shapes(vgg.VGG16(norm="sync_batch"))
    conv1x1 = {channels: channels * 256 + 256 for channels in (256, 512)}
    conv3x3 = 9 * 256 * 256 + 256
    pyramid = 2 * conv1x1[512] + conv3x3
    head = 2 * conv3x3 + 9 * 256 * 8 + 8  # 4 anchors of 2 outputs
    used = _count(variables) + pyramid + 2 * head
    assert used == 17_973_072
    assert used + conv1x1[256] == 18_038_864
    # Two more 3x3 convolutions of the pyramid, two in each head.
    assert used + conv1x1[256] + 6 * conv3x3 == 21_579_344


@pytest.mark.parametrize(
    ("size_hw", "dtype"), [((32, 48), jnp.float32), ((16, 80), jnp.bfloat16)]
)
def test_levels_strides_and_channels(size_hw, dtype):
    features, _ = _shapes(vgg.VGG16(width=8, dtype=dtype), size_hw)
    height, width = size_hw
    assert {level: (x.shape, x.dtype) for level, x in features.items()} == {
        level: ((2, height // 2**level, width // 2**level, depth), dtype)
        for level, depth in {2: 32, 3: 64, 4: 64}.items()
    }


def test_remat_keeps_the_parameters():
    variables = [_shapes(vgg.VGG16(width=8, remat=r))[1] for r in (False, True)]
    assert variables[0] == variables[1]
