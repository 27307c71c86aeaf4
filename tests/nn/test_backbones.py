"""Every entry of the table gives what it says, whoever asks for it."""

import jax
import jax.numpy as jnp
import pytest

from cellrec_jax.nn import backbones

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "small", "tiny")


@pytest.mark.parametrize("name", backbones.BACKBONES)
def test_levels_strides_and_channels(name):
    features = _features(name)
    assert {level: x.shape for level, x in features.items()} == {
        level: (1, 64 // 2**level, 96 // 2**level, channels)
        for level, channels in backbones.BACKBONES[name].channels.items()
    }


@pytest.mark.parametrize("name", backbones.names(dilates=True))
def test_dilated_ones_keep_a_stride(name):
    features = _features(name, output_stride=8, multi_grid=(1, 2))
    assert [x.shape[1] for x in features.values()] == [16, 8, 8, 8]


def test_names_by_what_they_give():
    assert backbones.names() == (*RESNETS, "vgg16", "vgg_small")
    assert backbones.names(levels=(2, 3, 4, 5)) == RESNETS
    assert backbones.names(levels=(3,)) == backbones.names()
    assert backbones.names(dilates=True) == RESNETS


def _features(name, **options):
    """Shapes, without computing anything."""
    model = backbones.make(name, **options)
    image = jax.ShapeDtypeStruct((1, 64, 96, 3), jnp.float32)
    return jax.eval_shape(model.init_with_output, jax.random.key(0), image)[0]
