"""Feature pyramid (Lin et al., Feature Pyramid Networks, 2017)."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cellrec_jax.nn import layers


def _upsample_to(features: jax.Array, lateral: jax.Array) -> jax.Array:
    shape = (*lateral.shape[:3], features.shape[3])
    return jax.image.resize(features, shape, method="bilinear")


class FPN(nn.Module):
    """Turns backbone features into a pyramid of equal width (Lin et al.).

    1x1 convolutions, finer levels merged with the coarser, upsampled bilinearly, and
    3x3 convolved, and the coarsest subsampled by 2; no norm or activation. `min_level`
    is the finest (2 has stride 4); `merge` "add" or "half" (both times 0.5, most likely
    the BDE paper's).
    """

    channels: int = 256
    min_level: int = 2
    merge: str = "half"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, stages: Mapping[int, jax.Array]) -> dict[int, jax.Array]:
        """Level -> [B, h, w, C] to level -> [B, h, w, channels], finest first."""
        weight = {"half": 0.5, "add": 1.0}[self.merge]
        last = max(stages)
        merged = self._conv(f"lateral{last}", 1)(stages[last])
        pyramid = {last: merged}
        for level in range(last - 1, self.min_level - 1, -1):
            lateral = self._conv(f"lateral{level}", 1)(stages[level])
            merged = weight * _upsample_to(merged, lateral)
            merged = merged + weight * lateral
            pyramid[level] = self._conv(f"output{level}", 3)(merged)
        pyramid[last + 1] = pyramid[last][:, ::2, ::2, :]
        return dict(sorted(pyramid.items()))

    def _conv(self, name: str, kernel: int) -> nn.Conv:
        return layers.conv(
            self.channels,
            kernel,
            use_bias=True,
            dtype=self.dtype,
            kernel_init=nn.initializers.lecun_normal(),
            name=name,
        )
