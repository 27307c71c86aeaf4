"""U-Net (Ronneberger et al., 2015), as the code of the pseudo label paper has it.

https://arxiv.org/abs/1505.04597. Differs: padded convolutions, batch norm, 512 channels
at the bottom, enlargement without weights. Unlike the code, the image is padded to
multiples of 16, not each map.
"""

import functools

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

    `resize` "bilinear_aligned" is that of Nishimura et al. 2020.
    """

    num_outputs: int
    width: int = 64
    norm: str = "group"
    resize: str = "nearest"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, train: bool = False) -> jax.Array:
        """Normalised image f32 [B, H, W, C] to logits f32 [B, H, W, num_outputs]."""
        norm = norms.make_norm(self.norm, train=train, dtype=self.dtype)
        make_block = functools.partial(
            layers.ConvBlock, count=2, norm=norm, dtype=self.dtype
        )
        height, width = image.shape[1:3]
        x = layers.pad_to_multiple(image, MULTIPLE).astype(self.dtype)
        x = make_block(self.width, name="down0")(x)
        skips = [x]
        for i, factor in enumerate((2, 4, 8, 8), start=1):
            x = layers.max_pool(x)
            x = make_block(factor * self.width, name=f"down{i}")(x)
            skips.append(x)
        for i, factor in zip((3, 2, 1, 0), (4, 2, 1, 1), strict=True):
            size_hw = (skips[i].shape[1], skips[i].shape[2])
            x = layers.resize(x, size_hw, self.resize)
            x = jnp.concatenate([skips[i], x], axis=-1)
            x = make_block(factor * self.width, name=f"up{i}")(x)
        return layers.output_conv(self.num_outputs)(x)[:, :height, :width]
