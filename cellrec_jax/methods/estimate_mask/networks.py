"""The network of both stages, on images in [0, 1]."""

from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from cellrec_jax.methods import encoder
from cellrec_jax.methods.estimate_mask.options import Options
from cellrec_jax.nn import maps, resnet

STRIDE = 16
"""The largest of all networks, px."""


def _module(options: Options, num_maps: int) -> nn.Module:
    model = options.model
    return maps.whole(
        model.network,
        num_maps,
        width=model.width,
        backbone=model.backbone,
        norm=model.norm,
        dtype=options.compute.activations,
        remat=options.compute.remat,
    )


def init(
    rng: jax.Array, image: jax.Array, options: Options, num_maps: int
) -> tuple[Any, Any]:
    """Initial parameters and batch statistics for images [B, H, W, C]."""
    blank = jnp.zeros((1, 32, 32, image.shape[-1]))
    return encoder.initialise(_module(options, num_maps), rng, blank, train=False)


def apply(
    params: Any,
    state: Any,
    image: jax.Array,
    options: Options,
    num_maps: int,
    *,
    train: bool,
) -> tuple[jax.Array, Any]:
    """Logits f32 [B, H, W, maps] of images [B, H, W, C], and new batch statistics."""
    module, image = _module(options, num_maps), resnet.normalize_imagenet(image)
    variables = {"params": params, **state}
    if not train:
        logits: Any = module.apply(variables, image, False)
        return logits, state
    logits, updated = module.apply(variables, image, True, mutable=list(state))
    return logits, dict(updated)
