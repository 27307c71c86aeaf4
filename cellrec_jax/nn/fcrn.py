"""FCRN-A and FCRN-B, two small networks for density maps.

Xie, Noble and Zisserman, Microscopy cell counting with fully convolutional regression
networks, 2015 and 2018. Batch norm, as the first author's later code of FCRN-A, whose
layers these are; FCRN-B follows the paper's text.
"""

from collections.abc import Callable
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from cellrec_jax.nn import layers
from cellrec_jax.nn import norm as norms

MULTIPLE = 8
"""What the sides of an image are padded to, px."""


Step = str | tuple[int, int]
"""(channels in units of the width, kernel side), or "pool", "up" or "output"."""


class Layout(NamedTuple):
    """What tells one FCRN from the other."""

    encoder: tuple[Step, ...]
    decoder: tuple[Step, ...]
    resize: str
    """How "up" enlarges, see `layers.resize`."""


VARIANTS = {
    "a": Layout(
        ((1, 3), "pool", (2, 3), "pool", (4, 3), "pool", (16, 3)),
        ("up", (4, 3), "up", (2, 3), "up", (1, 3), "output"),
        resize="nearest",
    ),
    # Nearest neighbours would end in squares of equal px; 1x1 outputs may come first.
    "b": Layout(
        ((1, 3), (2, 3), "pool", (4, 3), (8, 5), "pool", (8, 5)),
        ("up", (8, 5), "output", "up"),
        resize="bilinear",
    ),
}


class FCRN(nn.Module):
    """Convolutions, poolings and enlargements in a row, without skips.

    `variant` of `VARIANTS`, `width` first channels, 16 (A) or 8 (B) times as many
    inside. `Encoder` and `Decoder` are its halves, for several decoders.
    """

    num_outputs: int
    variant: str = "a"
    width: int = 32
    norm: str = "group"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, image: jax.Array, train: bool = False) -> jax.Array:
        """Normalised image f32 [B, H, W, C] to logits f32 [B, H, W, num_outputs]."""
        layout = VARIANTS[self.variant]
        conv = _conv(self.norm, train, self.dtype, self.remat)
        x = layers.pad_to_multiple(image, MULTIPLE).astype(self.dtype)
        x = _run(layout.encoder, x, conv, self.width)
        first = len(layout.encoder)
        x = _run(
            layout.decoder, x, conv, self.width, self.num_outputs, layout.resize, first
        )
        return x[:, : image.shape[1], : image.shape[2]]


class Encoder(nn.Module):
    """The first steps of an `FCRN`, with its attributes."""

    variant: str = "a"
    width: int = 32
    norm: str = "group"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, image: jax.Array, train: bool = False) -> tuple[jax.Array, ...]:
        """[B, H, W, C] to one map, of stride 8 (A) or 4 (B)."""
        conv = _conv(self.norm, train, self.dtype, self.remat)
        x = layers.pad_to_multiple(image, MULTIPLE).astype(self.dtype)
        return (_run(VARIANTS[self.variant].encoder, x, conv, self.width),)


class Decoder(nn.Module):
    """The last steps of an `FCRN`, with its attributes."""

    num_outputs: int
    variant: str = "a"
    width: int = 32
    norm: str = "group"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        features: tuple[jax.Array, ...],
        size_hw: tuple[int, int],
        train: bool = False,
    ) -> jax.Array:
        """The map of `Encoder` to f32 [B, H, W, num_outputs] before padding."""
        (x,), layout = features, VARIANTS[self.variant]
        conv = _conv(self.norm, train, self.dtype, self.remat)
        x = _run(layout.decoder, x, conv, self.width, self.num_outputs, layout.resize)
        return x[:, : size_hw[0], : size_hw[1]]


def _conv(
    norm: str, train: bool, dtype: DTypeLike, remat: bool
) -> Callable[..., nn.Module]:
    made = norms.make_norm(norm, train=train, dtype=dtype)
    return layers.block(layers.ConvNormRelu, remat, norm=made, dtype=dtype)


def _run(
    steps: tuple[Step, ...],
    x: jax.Array,
    conv: Callable[..., nn.Module],
    width: int,
    num_outputs: int = 0,
    resize: str = "",
    first: int = 0,
) -> jax.Array:
    """Runs steps of a `Layout`; names of convolutions count from `first`."""
    for i, step in enumerate(steps, first):
        if isinstance(step, tuple):
            factor, size = step
            x = conv(factor * width, size, name=f"conv{i}")(x)
        elif step == "pool":
            x = layers.max_pool(x)
        elif step == "up":
            x = layers.resize(x, (2 * x.shape[1], 2 * x.shape[2]), resize)
        else:
            x = layers.output_conv(num_outputs, use_bias=False)(x)
    return x
