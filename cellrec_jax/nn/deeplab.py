"""DeepLabv3+: dilated ResNet, spatial pyramid of dilations, one-skip decoder.

Chen et al., 2018, https://arxiv.org/abs/1802.02611. As its best-known public port:
ordinary convolutions. Unlike both, no dropout, and images are padded to sides of
n * stride + 1 px: then aligned corners put cell i of level l on px i * 2^l, as the
ResNet.
"""

from collections.abc import Callable
import functools

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from cellrec_jax.nn import backbones, layers
from cellrec_jax.nn import norm as norms

MULTI_GRID = (1, 2, 4)
_RESIZE = "bilinear_aligned"


class DeepLabV3Plus(nn.Module):
    """Encoder and one decoder, at full resolution, to `num_outputs` channels.

    `output_stride` is 8, 16 or 32. With "frozen_batch" all but the backbone has
    "group"; parameters and logits are float32.
    """

    num_outputs: int
    backbone: str = "resnet101"
    channels: int = 256
    output_stride: int = 16
    norm: str = "group"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, image: jax.Array, train: bool = False) -> jax.Array:
        """Normalised image f32 [B, H, W, 3] to logits f32 [B, H, W, num_outputs]."""
        features = Encoder(
            backbone=self.backbone,
            channels=self.channels,
            output_stride=self.output_stride,
            norm=self.norm,
            dtype=self.dtype,
            remat=self.remat,
            name="encoder",
        )(image, train)
        return Decoder(
            self.num_outputs,
            channels=self.channels,
            norm=self.norm,
            dtype=self.dtype,
            remat=self.remat,
            name="decoder",
        )(features, (image.shape[1], image.shape[2]), train)


class Encoder(nn.Module):
    """Backbone and pyramid, with the attributes of `DeepLabV3Plus`."""

    backbone: str = "resnet101"
    channels: int = 256
    output_stride: int = 16
    norm: str = "group"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self, image: jax.Array, train: bool = False
    ) -> tuple[jax.Array, jax.Array]:
        """[B, H, W, 3] to [B, h, w, channels], and [B, h', w', C] of stride 4."""
        image = layers.pad_to_multiple(image, self.output_stride, extra=1)
        features = backbones.make(
            self.backbone,
            norm=self.norm,
            dtype=self.dtype,
            remat=self.remat,
            output_stride=self.output_stride,
            multi_grid=MULTI_GRID,
            name="resnet",
        )(image, train)
        norm = norms.make_norm(_head_norm(self.norm), train=train, dtype=self.dtype)
        pyramid = layers.block(Pyramid, self.remat)(
            self.channels, 96 // self.output_stride, norm, self.dtype, name="pyramid"
        )
        return pyramid(features[5]), features[2]


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling: five views, three dilated by 1 to 3 `rate`."""

    channels: int
    rate: int
    norm: Callable[..., nn.Module]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, h, w, C] -> [B, h, w, channels]."""
        make = functools.partial(
            layers.ConvNormRelu, self.channels, norm=self.norm, dtype=self.dtype
        )
        views = [make(size=1, name="point")(x)]
        for i in (1, 2, 3):
            view = make(size=3, dilation=i * self.rate, name=f"dilated{i}")
            views.append(view(x))
        mean = jnp.mean(x, (1, 2), jnp.float32, keepdims=True)
        mean = make(size=1, name="image")(mean.astype(self.dtype))
        views.append(jnp.broadcast_to(mean, views[0].shape))
        return make(size=1, name="join")(jnp.concatenate(views, axis=-1))


class Decoder(nn.Module):
    """Joins the encoder's two maps and enlarges the result, as `DeepLabV3Plus` says."""

    num_outputs: int
    channels: int = 256
    norm: str = "group"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        features: tuple[jax.Array, jax.Array],
        size_hw: tuple[int, int],
        train: bool = False,
    ) -> jax.Array:
        """The maps of `Encoder` to f32 [B, H, W, num_outputs] before padding."""
        deep, fine = features
        norm = norms.make_norm(_head_norm(self.norm), train=train, dtype=self.dtype)
        conv = layers.block(
            layers.ConvNormRelu, self.remat, norm=norm, dtype=self.dtype
        )
        fine = conv(max(3 * self.channels // 16, 1), 1, name="fine")(fine)
        x = layers.resize(deep, (fine.shape[1], fine.shape[2]), _RESIZE)
        x = jnp.concatenate([x, fine], axis=-1)
        for i in range(2):
            x = conv(self.channels, 3, name=f"conv{i}")(x)
        x = layers.output_conv(self.num_outputs)(x)
        padded_hw = (4 * x.shape[1] - 3, 4 * x.shape[2] - 3)
        return layers.resize(x, padded_hw, _RESIZE)[:, : size_hw[0], : size_hw[1]]


def _head_norm(norm: str) -> str:
    """Nothing but the backbone has been trained, so nothing else can be frozen."""
    return "group" if norm == "frozen_batch" else norm
