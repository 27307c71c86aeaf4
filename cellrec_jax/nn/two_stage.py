"""The FPN two-stage detector as one module: backbone, pyramid and both heads."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cellrec_jax.nn import backbones, fpn, roi_head, rpn


class TwoStage(nn.Module):
    """Backbone + FPN + region proposals + second-stage head; outputs float32.

    `channels` is the pyramid's width, from `min_level` on, `rpn_channels` and
    `head_channels` the heads'; `freeze_stem` fixes all before layer1.
    """

    num_classes: int
    backbone: str
    norm: str
    channels: int
    rpn_channels: int
    head_channels: int
    num_anchors: int
    min_level: int
    merge: str
    freeze_stem: bool = False
    dtype: Any = jnp.float32
    remat: bool = False

    def setup(self) -> None:
        """Declares the parts; names are those of the parameter tree."""
        frozen = {"freeze_stem": True} if self.freeze_stem else {}
        self.resnet = backbones.make(
            self.backbone, norm=self.norm, dtype=self.dtype, remat=self.remat, **frozen
        )
        self.fpn = fpn.FPN(self.channels, self.min_level, self.merge, dtype=self.dtype)
        self.rpn = rpn.RPNHead(self.num_anchors, self.rpn_channels, self.dtype)
        self.roi_head = roi_head.RoIHead(
            self.num_classes, self.head_channels, self.dtype
        )

    def __call__(
        self, image: jax.Array, train: bool
    ) -> tuple[list[jax.Array], jax.Array, jax.Array]:
        """[B, H, W, 3] to levels, fine first, logits [B, A, 2] (cell first), deltas."""
        levels = list(self.fpn(self.resnet(image, train)).values())
        logits, deltas = zip(*(self.rpn(level) for level in levels), strict=True)
        return levels, jnp.concatenate(logits, axis=1), jnp.concatenate(deltas, axis=1)

    def second(self, pooled: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Runs the second stage on pooled boxes; see `nn.roi_head`."""
        return self.roi_head(pooled)

    def both(self, image: jax.Array, pooled: jax.Array) -> None:
        """Touches every parameter, for initialisation only."""
        self(image, False)
        self.second(pooled)
