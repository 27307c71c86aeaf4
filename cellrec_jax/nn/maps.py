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
    `shared` are `norm`, `dtype` and `remat`. A ValueError for another network.
    """
    shared = _arguments(network, width, shared)
    if network == "deeplab":
        own: dict[str, Any] = {"backbone": backbone, "output_stride": output_stride}
        encoder = deeplab.Encoder(**own, **shared)
        return Halves(encoder, functools.partial(deeplab.Decoder, **shared))
    module = {"unet": unet, "res_unet": res_unet}.get(network, fcrn)
    return Halves(module.Encoder(**shared), functools.partial(module.Decoder, **shared))


def whole(
    network: str, num_outputs: int, *, width: int = 0, backbone: str = "", **shared: Any
) -> nn.Module:
    """One of `NETWORKS` in one; arguments and errors as `halves`."""
    shared = _arguments(network, width, shared)
    if network == "deeplab":
        return deeplab.DeepLabV3Plus(num_outputs, backbone=backbone, **shared)
    made: Any = {"unet": unet.UNet, "res_unet": res_unet.ResUNet}.get(
        network, fcrn.FCRN
    )
    module: nn.Module = made(num_outputs, **shared)
    return module


def _arguments(network: str, width: int, shared: dict[str, Any]) -> dict[str, Any]:
    """`shared`, with what a network calls its width and variant."""
    if network not in NETWORKS:
        raise ValueError(f"network {network!r}: use {' or '.join(NETWORKS)}")
    if width:
        shared = {**shared, "channels" if network == "deeplab" else "width": width}
    if network.startswith("fcrn_"):
        shared = {**shared, "variant": network.removeprefix("fcrn_")}
    return shared
