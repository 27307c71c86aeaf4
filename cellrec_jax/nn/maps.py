"""The networks that give maps as halves: an encoder, and any number of decoders."""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

from flax import linen as nn

from cellrec_jax.nn import deeplab, fcrn, res_unet, unet

NETWORKS = ("fcrn_a", "fcrn_b", "unet", "res_unet", "deeplab")


class Halves(NamedTuple):
    """Modules of one network."""

    encoder: nn.Module
    """(image f32 [B, H, W, C], train) -> features, a tuple of maps."""
    decoder: Callable[[int], nn.Module]
    """Number of maps -> a module (features, (H, W), train) -> logits [B, H, W, maps].
    """


def halves(
    network: str,
    *,
    width: int = 0,
    backbone: str = "",
    output_stride: int = 16,
    **shared: Any,
) -> Halves:
    """Makes the halves of one of `NETWORKS`.

    `width` 0 is the published one; `backbone` and `output_stride` are of deeplab;
    `shared` are `norm` and `dtype`. A ValueError for another network.
    """
    if network not in NETWORKS:
        raise ValueError(f"network {network!r}: use {' or '.join(NETWORKS)}")
    if network == "deeplab":
        if width:
            shared["channels"] = width
        own: dict[str, Any] = {"backbone": backbone, "output_stride": output_stride}
        encoder = deeplab.Encoder(**own, **shared)
        return Halves(encoder, functools.partial(deeplab.Decoder, **shared))
    if width:
        shared["width"] = width
    if network.startswith("fcrn_"):
        shared["variant"] = network.removeprefix("fcrn_")
    module = {"unet": unet, "res_unet": res_unet}.get(network, fcrn)
    return Halves(module.Encoder(**shared), functools.partial(module.Decoder, **shared))
