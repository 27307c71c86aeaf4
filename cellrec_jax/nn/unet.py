"""U-Net (Ronneberger et al., 2015), as the code of the pseudo label paper has it.

https://arxiv.org/abs/1505.04597. Differs: padded convolutions, batch norm, 512 channels
at the bottom, enlargement without weights. Unlike the code, the image is padded to
multiples of 16, not each map.
"""

from collections.abc import Callable

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from cellrec_jax.nn import layers
from cellrec_jax.nn import norm as norms

MULTIPLE = 16
"""What the sides of an image are padded to, px."""


class UNet(nn.Module):
    """Four halvings and doublings with skips, of 1 to 8 `width` channels; logits f32.

    `resize` "bilinear_aligned" is that of Nishimura et al. 2020. `Encoder` and
    `Decoder` are its halves, for several decoders.
    """

    num_outputs: int
    width: int = 64
    norm: str = "group"
    resize: str = "nearest"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, image: jax.Array, train: bool = False) -> jax.Array:
        """Normalised image f32 [B, H, W, C] to logits f32 [B, H, W, num_outputs]."""
        block = _block(self.norm, train, self.dtype, self.remat)
        skips = _down(image.astype(self.dtype), self.width, block)
        x = _up(skips, self.width, block, self.resize)
        return layers.output_maps(x, self.num_outputs, image.shape[1:3])


class Encoder(nn.Module):
    """The halvings of a `UNet`, with its attributes."""

    width: int = 64
    norm: str = "group"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, image: jax.Array, train: bool = False) -> tuple[jax.Array, ...]:
        """[B, H, W, C] to five maps of strides 1 to 16."""
        block = _block(self.norm, train, self.dtype, self.remat)
        return _down(image.astype(self.dtype), self.width, block)


class Decoder(nn.Module):
    """The doublings of a `UNet`, with its attributes."""

    num_outputs: int
    width: int = 64
    norm: str = "group"
    resize: str = "nearest"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        features: tuple[jax.Array, ...],
        size_hw: tuple[int, int],
        train: bool = False,
    ) -> jax.Array:
        """The maps of `Encoder` to f32 [B, H, W, num_outputs] before padding."""
        block = _block(self.norm, train, self.dtype, self.remat)
        x = _up(features, self.width, block, self.resize)
        return layers.output_maps(x, self.num_outputs, size_hw)


def _block(
    norm: str, train: bool, dtype: DTypeLike, remat: bool
) -> Callable[..., nn.Module]:
    made = norms.make_norm(norm, train=train, dtype=dtype)
    return layers.block(layers.ConvBlock, remat, count=2, norm=made, dtype=dtype)


def _down(
    image: jax.Array, width: int, block: Callable[..., nn.Module]
) -> tuple[jax.Array, ...]:
    x = block(width, name="down0")(layers.pad_to_multiple(image, MULTIPLE))
    skips = [x]
    for i, factor in enumerate((2, 4, 8, 8), start=1):
        x = block(factor * width, name=f"down{i}")(layers.max_pool(x))
        skips.append(x)
    return tuple(skips)


def _up(
    skips: tuple[jax.Array, ...],
    width: int,
    block: Callable[..., nn.Module],
    resize: str,
) -> jax.Array:
    x = skips[-1]
    for i, factor in zip((3, 2, 1, 0), (4, 2, 1, 1), strict=True):
        size_hw = (skips[i].shape[1], skips[i].shape[2])
        x = layers.resize(x, size_hw, resize)
        x = jnp.concatenate([skips[i], x], axis=-1)
        x = block(factor * width, name=f"up{i}")(x)
    return x
