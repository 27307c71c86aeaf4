"""Region proposal head, shared by all pyramid levels (Ren et al., Faster R-CNN)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

_INIT = nn.initializers.normal(0.01)


class RPNHead(nn.Module):
    """3x3 convolution, then two logits and four deltas for each anchor.

    Attributes:
      num_anchors: anchors a feature cell.
      channels: width of the 3x3 convolution.
      dtype: computation type of the convolution; outputs are float32.
    """

    num_anchors: int
    channels: int = 512
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, feature: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Scores the anchors of one level.

        Args:
          feature: [B, h, w, C].

        Returns:
          logits f32 [B, h * w * A, 2] (cell, background) and deltas_yxhw f32
          [B, h * w * A, 4], in the order of `ops.anchors.level_anchors`.
        """
        hidden = nn.Conv(
            self.channels,
            (3, 3),
            padding="SAME",
            kernel_init=_INIT,
            dtype=self.dtype,
            name="conv",
        )(feature)
        hidden = nn.relu(hidden).astype(jnp.float32)
        logits = nn.Conv(2 * self.num_anchors, (1, 1), kernel_init=_INIT, name="cls")
        deltas = nn.Conv(4 * self.num_anchors, (1, 1), kernel_init=_INIT, name="box")
        batch = feature.shape[0]
        return (
            logits(hidden).reshape(batch, -1, 2),
            deltas(hidden).reshape(batch, -1, 4),
        )
