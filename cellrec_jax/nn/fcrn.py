"""FCRN-A and FCRN-B, two small networks for density maps.

Xie, Noble and Zisserman, Microscopy cell counting with fully convolutional regression
networks, 2015 and 2018. Batch norm, as the first author's later code of FCRN-A, whose
layers these are; FCRN-B follows the paper's text.
"""

from collections.abc import Callable
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from cellrec_jax.nn import layers
from cellrec_jax.nn import norm as norms

MULTIPLE = 8
"""What the sides of an image are padded to, px."""


Step = str | tuple[int, int]
"""(channels in units of the width, kernel side), or "pool", "up" or "output"."""


class Layout(NamedTuple):
    """What tells one FCRN from the other."""

    encoder: tuple[Step, ...]
    decoder: tuple[Step, ...]
    resize: str
    """How "up" enlarges, see `layers.resize`."""


VARIANTS = {
    "a": Layout(
        ((1, 3), "pool", (2, 3), "pool", (4, 3), "pool", (16, 3)),
        ("up", (4, 3), "up", (2, 3), "up", (1, 3), "output"),
        resize="nearest",
    ),
    # Nearest neighbours would end in squares of equal px; 1x1 outputs may come first.
    "b": Layout(
        ((1, 3), (2, 3), "pool", (4, 3), (8, 5), "pool", (8, 5)),
        ("up", (8, 5), "output", "up"),
        resize="bilinear",
    ),
}


class FCRN(nn.Module):
    """Convolutions, poolings and enlargements in a row, without skips.

    `variant` of `VARIANTS`, `width` first channels, 16 (A) or 8 (B) times as many
    inside.
    """

    num_outputs: int
    variant: str = "a"
    width: int = 32
    norm: str = "group"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, train: bool = False) -> jax.Array:
        """Normalised image f32 [B, H, W, C] to logits f32 [B, H, W, num_outputs]."""
        norm = norms.make_norm(self.norm, train=train, dtype=self.dtype)
        height, width = image.shape[1:3]
        x = layers.pad_to_multiple(image, MULTIPLE).astype(self.dtype)
        layout = VARIANTS[self.variant]
        for i, step in enumerate(layout.encoder + layout.decoder):
            x = self._apply(step, x, norm, f"conv{i}")
        return x[:, :height, :width]

    def _apply(
        self, step: Step, x: jax.Array, norm: Callable[..., nn.Module], name: str
    ) -> jax.Array:
        """Runs one of the steps of a `Layout`."""
        if isinstance(step, tuple):
            factor, size = step
            return layers.ConvNormRelu(
                factor * self.width, size, norm, dtype=self.dtype, name=name
            )(x)
        if step == "pool":
            return layers.max_pool(x)
        if step == "up":
            size_hw = (2 * x.shape[1], 2 * x.shape[2])
            return layers.resize(x, size_hw, VARIANTS[self.variant].resize)
        return layers.output_conv(self.num_outputs, use_bias=False)(x)
