"""The backbones of `model.backbone` and `model.encoder`: an entry here, and a test."""

from collections.abc import Callable, Mapping, Sequence
import functools
from typing import Any, NamedTuple

from flax import linen as nn

from cellrec_jax.errors import ConfigError
from cellrec_jax.nn import resnet, vgg


class Backbone(NamedTuple):
    """How to make a feature extractor, and what is to be known of it."""

    make: Callable[..., nn.Module]
    """norm, dtype, remat, name -> a module that maps an image f32 [B, H, W, 3] and
    whether it trains to a dictionary: level l -> [B, H / 2^l, W / 2^l, channels]."""
    channels: Mapping[int, int]
    """Level -> number of feature channels; its stride is 2^level px."""
    torchvision: bool = False
    """Whether `nn.convert` reads its weights and `make` takes `freeze_stem`."""
    dilates: bool = False
    """Whether `make` takes `output_stride` and `multi_grid`."""


def _resnet(*blocks: int, **layout: Any) -> Backbone:
    found = resnet.Layout(blocks, **layout)
    channels = {k: found.expansion * found.widths[k - 2] for k in range(2, 6)}
    make = functools.partial(resnet.ResNet, found)
    return Backbone(make, channels, torchvision=True, dilates=True)


def _vgg16(width: int) -> Backbone:
    channels = {2: 4 * width, 3: 8 * width, 4: 8 * width}
    return Backbone(functools.partial(vgg.VGG16, width=width), channels)


BACKBONES = {
    "resnet18": _resnet(2, 2, 2, 2),
    "resnet34": _resnet(3, 4, 6, 3),
    "resnet50": _resnet(3, 4, 6, 3, expansion=4),
    "resnet101": _resnet(3, 4, 23, 3, expansion=4),
    # ResNets that are not in torchvision: for two CPU cores, and for tests.
    "small": _resnet(1, 1, 1, 1, widths=(16, 32, 64, 128), light_stem=True),
    "tiny": _resnet(1, 1, 1, 1, widths=(4, 6, 8, 10), light_stem=True),
    "vgg16": _vgg16(64),
    "vgg_small": _vgg16(12),
}


def names(levels: Sequence[int] = (), *, dilates: bool = False) -> tuple[str, ...]:
    """Names of the backbones that give all of some levels, and can be dilated if asked.

    Example:
      >>> names(dilates=True)
      ('resnet18', 'resnet34', 'resnet50', 'resnet101', 'small', 'tiny')
    """
    return tuple(
        name
        for name, one in BACKBONES.items()
        if one.channels.keys() >= set(levels) and one.dilates >= dilates
    )


def make(backbone: str, /, **options: Any) -> nn.Module:
    """Makes a backbone, options as in `Backbone`; `ConfigError` for an unknown name."""
    if backbone not in BACKBONES:
        raise ConfigError(
            f"backbone {backbone!r} is unknown; use one of {', '.join(BACKBONES)}"
        )
    return BACKBONES[backbone].make(**options)
