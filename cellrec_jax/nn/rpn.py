"""Region proposal head, shared by all pyramid levels (Ren et al., Faster R-CNN)."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cellrec_jax.nn import layers

_INIT = nn.initializers.normal(0.01)


class RPNHead(nn.Module):
    """3x3 convolution, then two logits and four deltas for each of A anchors."""

    num_anchors: int
    channels: int = 512
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, feature: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[B, h, w, C] to logits [B, h * w * A, 2] (cell first), deltas [..., 4]."""
        conv = functools.partial(layers.conv, use_bias=True, kernel_init=_INIT)
        hidden = conv(self.channels, 3, dtype=self.dtype, name="conv")(feature)
        hidden = nn.relu(hidden).astype(jnp.float32)
        logits = conv(2 * self.num_anchors, 1, name="cls")
        deltas = conv(4 * self.num_anchors, 1, name="box")
        batch = feature.shape[0]
        return (
            logits(hidden).reshape(batch, -1, 2),
            deltas(hidden).reshape(batch, -1, 4),
        )
