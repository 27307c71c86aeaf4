"""VGG16 with norms, cut as P2PNet cuts it.

Simonyan and Zisserman, 2015, Table 1, column D, https://arxiv.org/abs/1409.1556; Song
et al., 2021 (P2PNet), https://arxiv.org/abs/2107.12746.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from cellrec_jax.nn import layers
from cellrec_jax.nn import norm as norms

BLOCKS = ((2, 1), (2, 2), (3, 4), (3, 8), (3, 8))
"""Convolutions and channels (in units of the width) between the poolings."""


class VGG16(nn.Module):
    """Features of three levels, each read before the pooling that ends its block.

    The last has stride 16, as in P2PNet; 1 to 8 times `width` channels.
    """

    norm: str = "group"
    width: int = 64
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, image: jax.Array, train: bool = False) -> dict[int, jax.Array]:
        """[B, H, W, C] to l = 2, 3, 4: [B, H // 2^l, W // 2^l, 4, 8, 8 `width`]."""
        norm = norms.make_norm(self.norm, train=train, dtype=self.dtype)
        make_block = layers.block(
            layers.ConvBlock, self.remat, norm=norm, dtype=self.dtype
        )
        x = image.astype(self.dtype)
        features = {}
        for level, (count, factor) in enumerate(BLOCKS):
            if level > 0:
                x = layers.max_pool(x)
            name = f"block{level + 1}"
            x = make_block(features=factor * self.width, count=count, name=name)(x)
            if level >= 2:
                features[level] = x
        return features
