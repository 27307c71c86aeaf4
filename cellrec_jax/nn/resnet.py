"""ResNet feature extractors laid out as torchvision's, so that its weights fit.

He et al., 2015, Table 1, https://arxiv.org/abs/1512.03385; no classifier. The BDE paper
most likely has slim's `resnet_v1_50`, which differs: stride in a stage's last block,
"SAME" pooling, C2 to C4 read before the stride, BatchNorm 0.997, input 0..255 less a
mean.
"""

from collections.abc import Callable, Sequence
import functools
from typing import Any, NamedTuple

from flax import linen as nn
from flax import traverse_util
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
import numpy as np

from cellrec_jax.nn import layers
from cellrec_jax.nn import norm as norms
from cellrec_jax.nn.layers import conv
from cellrec_jax.nn.layers import he_normal as he_normal
from cellrec_jax.ops import pool

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Layout(NamedTuple):
    """What tells one ResNet from another."""

    blocks: tuple[int, ...]
    """Residual blocks of layer1 to layer4."""
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    """Channels inside the blocks of each layer."""
    expansion: int = 1
    """Output channels per inner channel: 1 basic blocks, 4 bottlenecks."""
    light_stem: bool = False
    """Two strided 3x3 convolutions in place of a strided 7x7 and a pooling."""


class ResNet(nn.Module):
    """Feature pyramid input C2..C5 of a ResNet.

    As in PyTorch, cell i of level l is centred on pixel i * 2^l.

    Attributes:
      layout: of blocks and widths, see `nn.backbones`.
      norm: see `norm.make_norm`; "frozen_batch" needs pretrained weights.
      dtype: of activations and arithmetic; parameters are float32.
      freeze_stem: stop gradients below layer1 (see `trainable_mask`).
      remat: recompute each block in the backward pass, to save memory.
      output_stride: the largest stride, 8, 16 or 32; later stages are dilated instead.
      multi_grid: multiples of the last stage's dilation, one a block, repeated.
    """

    layout: Layout
    norm: str = "frozen_batch"
    dtype: DTypeLike = jnp.float32
    freeze_stem: bool = False
    remat: bool = False
    output_stride: int = 32
    multi_grid: tuple[int, ...] = (1,)

    @nn.compact
    def __call__(self, image: jax.Array, train: bool = False) -> dict[int, jax.Array]:
        """Normalised image f32 [B, H, W, 3] to the features of levels 2 to 5.

        [B, ceil(H / s), ceil(W / s), channels], s = min(2^l, `output_stride`).
        """
        norm = norms.make_norm(self.norm, train=train, dtype=self.dtype)
        x = self._stem(image.astype(self.dtype), norm)
        if self.freeze_stem:
            x = jax.lax.stop_gradient(x)
        features = {}
        for level in range(2, 6):
            x = self._stage(x, level, norm)
            features[level] = x
        return features

    def _stem(self, x: jax.Array, norm: Callable[..., nn.Module]) -> jax.Array:
        """[B, H, W, 3] -> [B, ceil(H / 4), ceil(W / 4), first width]."""
        width = self.layout.widths[0]
        if self.layout.light_stem:
            for i in (1, 2):
                x = conv(width, 3, stride=2, dtype=self.dtype, name=f"conv{i}")(x)
                x = nn.relu(norm(name=f"bn{i}")(x))
            return x
        x = conv(width, 7, stride=2, dtype=self.dtype, name="conv1")(x)
        x = nn.relu(norm(name="bn1")(x))
        return pool.max_pool(x, size=3, stride=2, padding=1)

    def _stage(
        self, x: jax.Array, level: int, norm: Callable[..., nn.Module]
    ) -> jax.Array:
        """Features of one level from those of the level before."""
        layout = self.layout
        block = BasicBlock if layout.expansion == 1 else _Bottleneck
        make_block = layers.block(block, self.remat, norm=norm, dtype=self.dtype)
        stride, dilation = _stride_and_dilation(level, self.output_stride)
        for i in range(layout.blocks[level - 2]):
            grid = self.multi_grid[i % len(self.multi_grid)] if level == 5 else 1
            x = make_block(
                width=layout.widths[level - 2],
                stride=stride if i == 0 else 1,
                dilation=dilation * grid,
                name=f"layer{level - 1}_{i}",
            )(x)
        return x


class BasicBlock(nn.Module):
    """relu(x + two 3x3 convolutions of x); the first one has the stride."""

    width: int
    stride: int
    norm: Callable[..., nn.Module]
    dtype: DTypeLike
    dilation: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, h, w, C] -> [B, ceil(h / stride), ceil(w / stride), width]."""
        conv3x3 = functools.partial(
            conv, self.width, 3, dilation=self.dilation, dtype=self.dtype
        )
        y = conv3x3(stride=self.stride, name="conv1")(x)
        y = nn.relu(self.norm(name="bn1")(y))
        y = conv3x3(name="conv2")(y)
        y = self.norm(name="bn2")(y)
        return nn.relu(_shortcut(x, y, self.stride, self.norm) + y)


class _Bottleneck(nn.Module):
    """relu(x + 1x1, 3x3, 1x1 convolutions of x); the 3x3 has the stride ("v1.5")."""

    width: int
    stride: int
    norm: Callable[..., nn.Module]
    dtype: DTypeLike
    dilation: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, h, w, C] -> [B, ceil(h / stride), ceil(w / stride), 4 * width]."""
        y = conv(self.width, 1, dtype=self.dtype, name="conv1")(x)
        y = nn.relu(self.norm(name="bn1")(y))
        y = conv(
            self.width,
            3,
            stride=self.stride,
            dilation=self.dilation,
            dtype=self.dtype,
            name="conv2",
        )(y)
        y = nn.relu(self.norm(name="bn2")(y))
        y = conv(4 * self.width, 1, dtype=self.dtype, name="conv3")(y)
        y = self.norm(name="bn3")(y)
        return nn.relu(_shortcut(x, y, self.stride, self.norm) + y)


def _shortcut(
    x: jax.Array, y: jax.Array, stride: int, norm: Callable[..., nn.Module]
) -> jax.Array:
    """`x`, projected by a 1x1 convolution where its shape is not that of `y`."""
    if x.shape == y.shape and stride == 1:
        return x
    x = conv(y.shape[-1], 1, stride=stride, dtype=y.dtype, name="downsample_0")(x)
    return norm(name="downsample_1")(x)


def _stride_and_dilation(level: int, output_stride: int) -> tuple[int, int]:
    """Stride of the first block and dilation of all blocks of the stage of a level."""
    excess = max(2**level // output_stride, 1)
    return 1 if level == 2 or excess > 1 else 2, excess


def normalize_imagenet(image: jax.Array) -> jax.Array:
    """Scales RGB in [0, 1] to ImageNet's zero mean and unit variance. [..., 3]."""
    shape = (1,) * (image.ndim - 1) + (3,)
    mean = np.array(IMAGENET_MEAN, np.float32).reshape(shape)
    std = np.array(IMAGENET_STD, np.float32).reshape(shape)
    return (image - mean) / std


def trainable_mask(
    params: Any, norm: str = "frozen_batch", freeze_stem: bool = True
) -> Any:
    """What may change: not "frozen_batch" nor (`freeze_stem`) what precedes layer1."""
    is_norm = traverse_util.flatten_dict(norms.norm_mask(params))
    return traverse_util.unflatten_dict(
        {
            path: not (
                (norm == "frozen_batch" and is_norm[path])
                or (freeze_stem and _in_stem(path))
            )
            for path in is_norm
        }
    )


def _in_stem(path: Sequence[str]) -> bool:
    """Whether a parameter belongs to the layers before layer1."""
    return not path[0].startswith("layer")
