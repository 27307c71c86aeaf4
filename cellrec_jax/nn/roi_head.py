"""Second stage: two dense layers over pooled boxes (Girshick, Fast R-CNN)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


class RoIHead(nn.Module):
    """Classifies pooled boxes and refines them, one set of deltas a class."""

    num_classes: int
    channels: int = 1024
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, pooled: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[..., R, S, S, C] to f32 logits [..., R, K + 1], deltas [..., R, K, 4]."""
        hidden = pooled.reshape(*pooled.shape[:-3], -1).astype(self.dtype)
        for name in ("fc1", "fc2"):
            hidden = nn.relu(
                nn.Dense(self.channels, dtype=self.dtype, name=name)(hidden)
            )
        hidden = hidden.astype(jnp.float32)
        logits = nn.Dense(
            self.num_classes + 1, kernel_init=nn.initializers.normal(0.01), name="cls"
        )(hidden)
        deltas = nn.Dense(
            4 * self.num_classes, kernel_init=nn.initializers.normal(0.001), name="box"
        )(hidden)
        return logits, deltas.reshape(*deltas.shape[:-1], self.num_classes, 4)
