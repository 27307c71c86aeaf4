"""Points, objectness and classes straight from an encoder's features.

Shui et al., MICCAI 2022: feature aggregation and three heads of two residual blocks.
Left open there: the encoder (ResNet), how levels are joined (1x1 convolutions, averages
or nearest neighbours, concatenation), and the width.
"""

from collections.abc import Mapping
import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from cellrec_jax.nn import backbones, layers, resnet
from cellrec_jax.nn import norm as norms

AGGREGATIONS = ("concat", "sum", "fpn", "last")
HEADS = ("residual", "plain")


class PointOutputs(NamedTuple):
    """Raw outputs of all M anchor points, row-major over (y, x, anchor); float32."""

    offsets_yx: jax.Array
    """[B, M, 2], to be scaled and added to the anchors, px."""
    objectness: jax.Array
    """[B, M, 2] logits (object, background); [B, M, K + 1] without a class head."""
    classes: jax.Array | None
    """[B, M, K] logits; None without a class head."""


class PointNet(nn.Module):
    """Encoder, feature aggregation and heads; parameters and outputs are float32.

    `level` is log2 of the heads' stride, `channels` their width. `aggregation` is
    "concat" (the paper's), "sum", "fpn" (P2PNet's) or "last"; `head` "residual" (the
    paper's) or "plain" (three 3x3 convolutions, P2PNet's). Without `class_head`
    objectness has K + 1 logits.
    """

    num_classes: int
    num_anchors: int
    encoder: str = "resnet50"
    norm: str = "group"
    channels: int = 256
    level: int = 5
    aggregation: str = "concat"
    head: str = "residual"
    class_head: bool = True
    dtype: Any = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> PointOutputs:
        """[B, H, W, 3], sides multiples of 32, to M = H W num_anchors / stride^2."""
        features = backbones.make(
            self.encoder,
            norm=self.norm,
            dtype=self.dtype,
            remat=self.remat,
            name="encoder",
        )(image, train)
        shared = Aggregation(
            self.channels, self.level, self.aggregation, self.dtype, name="aggregation"
        )(features)
        num_scores = 2 if self.class_head else self.num_classes + 1
        offsets = self._head(2, "offsets")(shared, train)
        objectness = self._head(num_scores, "objectness")(shared, train)
        if not self.class_head:
            return PointOutputs(offsets, objectness, None)
        classes = self._head(self.num_classes, "classes")(shared, train)
        return PointOutputs(offsets, objectness, classes)

    def _head(self, num_outputs: int, name: str) -> "PointHead":
        return PointHead(
            num_anchors=self.num_anchors,
            num_outputs=num_outputs,
            channels=self.channels,
            kind=self.head,
            norm=self.norm,
            dtype=self.dtype,
            remat=self.remat,
            name=name,
        )


class Aggregation(nn.Module):
    """Brings C2 to C5 to the grid of one level and one width; see `PointNet`."""

    channels: int
    level: int
    kind: str
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, features: Mapping[int, jax.Array]) -> jax.Array:
        """Level -> [B, h, w, C] to [B, H / 2^level, W / 2^level, channels]."""
        if self.kind == "last":
            features = {self.level: features[self.level]}
        elif self.kind == "fpn":
            features = {k: v for k, v in features.items() if k >= self.level}
        lateral = {
            level: self._conv(1, f"lateral{level}")(feature)
            for level, feature in features.items()
        }
        if self.kind == "fpn":
            merged = lateral[max(lateral)]
            for level in range(max(lateral) - 1, self.level - 1, -1):
                merged = lateral[level] + _resize(merged, level + 1, level)
            return self._conv(3, "output")(merged)
        moved = [_resize(x, level, self.level) for level, x in lateral.items()]
        if self.kind == "concat":
            return nn.relu(self._conv(1, "fuse")(jnp.concatenate(moved, axis=-1)))
        total = moved[0]
        for other in moved[1:]:
            total = total + other
        return nn.relu(total)

    def _conv(self, size: int, name: str) -> nn.Conv:
        return layers.conv(
            self.channels, size, use_bias=True, dtype=self.dtype, name=name
        )


class PointHead(nn.Module):
    """Outputs of anchor points, f32; "frozen_batch" becomes "sync_batch", untrained."""

    num_anchors: int
    num_outputs: int
    channels: int
    kind: str
    norm: str
    dtype: Any = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, features: jax.Array, train: bool) -> jax.Array:
        """[B, h, w, C] to f32 [B, h * w * A, num_outputs]."""
        residual = self.kind == "residual"
        for index in range(2):
            if residual:
                features = self._block(features, train, f"block{index}")
            else:
                features = layers.conv(
                    self.channels,
                    3,
                    use_bias=True,
                    dtype=self.dtype,
                    name=f"conv{index}",
                )(features)
                features = nn.relu(features)
        outputs = layers.conv(
            self.num_anchors * self.num_outputs,
            1 if residual else 3,
            use_bias=True,
            kernel_init=_small,
            name="output",
        )(features.astype(jnp.float32))
        return outputs.reshape(len(outputs), -1, self.num_outputs)

    def _block(self, features: jax.Array, train: bool, name: str) -> jax.Array:
        kind = "sync_batch" if self.norm == "frozen_batch" else self.norm
        norm = norms.make_norm(kind, train=train, dtype=self.dtype)
        make = layers.block(resnet.BasicBlock, self.remat, norm=norm, dtype=self.dtype)
        return make(width=self.channels, stride=1, name=name)(features)


def _small(rng: jax.Array, shape: Any, dtype: Any = jnp.float32) -> jax.Array:
    """N(0, 0.01^2): training starts at the anchors. Drawn flat, see `nn.layers`."""
    return 0.01 * jax.random.normal(rng, (math.prod(shape),), dtype).reshape(shape)


def _resize(features: jax.Array, level: int, target: int) -> jax.Array:
    """Area averages to a coarser level, nearest neighbours to a finer one."""
    if level < target:
        size = (2 ** (target - level),) * 2
        return nn.avg_pool(features, size, size)
    for _ in range(level - target):
        features = layers.double(features)
    return features
