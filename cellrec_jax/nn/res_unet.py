"""ResUNet: a U-Net of residual units whose norms come first.

Zhang, Liu and Wang, 2018, https://arxiv.org/abs/1711.10684; as its best-known port, 3x3
shortcuts and 2x2 transposed convolutions.
"""

from collections.abc import Callable

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from cellrec_jax.nn import layers
from cellrec_jax.nn import norm as norms

MULTIPLE = 8
"""What the sides of an image are padded to, px."""


class ResUNet(nn.Module):
    """Three halvings and doublings with skips, 1 to 8 `width` channels; logits f32.

    `Encoder` and `Decoder` are its halves, for several decoders.
    """

    num_outputs: int
    width: int = 64
    norm: str = "group"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, image: jax.Array, train: bool = False) -> jax.Array:
        """Normalised image f32 [B, H, W, C] to logits f32 [B, H, W, num_outputs]."""
        unit = _unit(self.norm, train, self.dtype, self.remat)
        skips = _down(image.astype(self.dtype), self.width, unit)
        x = _up(skips, self.width, unit, self.dtype)
        return layers.output_maps(x, self.num_outputs, image.shape[1:3])


class Encoder(nn.Module):
    """The halvings of a `ResUNet`, with its attributes."""

    width: int = 64
    norm: str = "group"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, image: jax.Array, train: bool = False) -> tuple[jax.Array, ...]:
        """[B, H, W, C] to four maps of strides 1 to 8."""
        unit = _unit(self.norm, train, self.dtype, self.remat)
        return _down(image.astype(self.dtype), self.width, unit)


class Decoder(nn.Module):
    """The doublings of a `ResUNet`, with its attributes."""

    num_outputs: int
    width: int = 64
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
        """The maps of `Encoder` to f32 [B, H, W, num_outputs] before padding."""
        unit = _unit(self.norm, train, self.dtype, self.remat)
        x = _up(features, self.width, unit, self.dtype)
        return layers.output_maps(x, self.num_outputs, size_hw)


def _unit(
    norm: str, train: bool, dtype: DTypeLike, remat: bool
) -> Callable[..., nn.Module]:
    made = norms.make_norm(norm, train=train, dtype=dtype)
    return layers.block(ResidualUnit, remat, norm=made, dtype=dtype)


def _down(
    image: jax.Array, width: int, unit: Callable[..., nn.Module]
) -> tuple[jax.Array, ...]:
    image = layers.pad_to_multiple(image, MULTIPLE)
    skips = [unit(width, first=True, name="down0")(image)]
    for i, factor in enumerate((2, 4, 8), start=1):
        skips.append(unit(factor * width, stride=2, name=f"down{i}")(skips[-1]))
    return tuple(skips)


def _up(
    skips: tuple[jax.Array, ...],
    width: int,
    unit: Callable[..., nn.Module],
    dtype: DTypeLike,
) -> jax.Array:
    x = skips[-1]
    for i, factor in zip((2, 1, 0), (4, 2, 1), strict=True):
        x = Enlarge(dtype, name=f"enlarge{i}")(x)
        x = jnp.concatenate([x, skips[i]], axis=-1)
        x = unit(factor * width, name=f"up{i}")(x)
    return x


class ResidualUnit(nn.Module):
    """Two convolutions after norm and ReLU, plus one; `first`: of an image, no norm."""

    features: int
    norm: Callable[..., nn.Module]
    stride: int = 1
    dtype: DTypeLike = jnp.float32
    first: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] -> `dtype` [B, ceil(H / stride), ceil(W / stride), features]."""
        y = x if self.first else nn.relu(self.norm(name="norm0")(x))
        y = nn.relu(self.norm(name="norm1")(self._conv(self.stride, "conv0")(y)))
        y = self._conv(1, "conv1")(y)
        x = self._conv(self.stride, "shortcut")(x)
        if not self.first:
            x = self.norm(name="norm_shortcut")(x)
        return x + y

    def _conv(self, stride: int, name: str) -> nn.Conv:
        return layers.conv(
            self.features, 3, stride=stride, use_bias=True, dtype=self.dtype, name=name
        )


class Enlarge(nn.Module):
    """A transposed 2x2 convolution of stride 2 by matmul, 28 times as fast on a CPU."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] -> `dtype` [B, 2 H, 2 W, C]."""
        batch, height, width, channels = x.shape
        shape = (2, 2, channels, channels)
        kernel = self.param("kernel", layers.torch_uniform, shape)
        bias = self.param("bias", nn.initializers.zeros_init(), (channels,))
        y = jnp.einsum("bhwc,ijcd->bhiwjd", x, kernel.astype(self.dtype))
        y = y.reshape(batch, 2 * height, 2 * width, channels)
        return y + bias.astype(self.dtype).reshape(1, 1, 1, channels)
