"""Convolutions, resizing and padding that several networks share."""

from collections.abc import Callable, Sequence
import functools
import math
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
import numpy as np

from cellrec_jax.ops import convolution


def he_normal(
    rng: jax.Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32
) -> jax.Array:
    """Initialises a kernel (HWIO) by N(0, 2 / fan-out), as torchvision does.

    He et al. 2015, Eq. 14, arXiv 1502.01852. Drawn flat, which compiles faster on CPUs.
    """
    fan_out = shape[0] * shape[1] * shape[3]
    flat = jax.random.normal(rng, (math.prod(shape),), dtype)
    return flat.reshape(shape) * (2 / fan_out) ** 0.5


def torch_uniform(
    rng: jax.Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32
) -> jax.Array:
    """Initialises by PyTorch's U(-1, 1) / sqrt(fan-in), flat as in `he_normal`."""
    flat = jax.random.uniform(rng, (math.prod(shape),), dtype, -1, 1)
    return flat.reshape(shape) / math.prod(shape[:3]) ** 0.5


def conv(
    features: int,
    size: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    use_bias: bool = False,
    dtype: DTypeLike = jnp.float32,
    kernel_init: Callable[..., jax.Array] = he_normal,
    name: str | None = None,
) -> nn.Conv:
    """A convolution of an odd size, padded alike on every side as in PyTorch.

    [B, H, W, C] to [B, ceil(H / stride), ceil(W / stride), features]; parameters f32.
    """
    pad = dilation * (size // 2)
    return nn.Conv(
        features,
        (size, size),
        (stride, stride),
        padding=((pad, pad), (pad, pad)),
        kernel_dilation=(dilation, dilation),
        use_bias=use_bias,
        dtype=dtype,
        kernel_init=kernel_init,
        conv_general_dilated=convolution.conv_general_dilated,
        name=name,
    )


def output_conv(num_outputs: int, use_bias: bool = True) -> nn.Conv:
    """The 1x1 convolution to logits, named "output": [..., C] -> f32 [..., outputs]."""
    return conv(
        num_outputs, 1, use_bias=use_bias, kernel_init=torch_uniform, name="output"
    )


def output_maps(
    features: jax.Array, num_outputs: int, size_hw: Sequence[int]
) -> jax.Array:
    """`output_conv` of maps [B, h, w, C], less what pads an image of `size_hw` px."""
    return output_conv(num_outputs)(features)[:, : size_hw[0], : size_hw[1]]


def block(
    module: type[nn.Module], remat: bool, **shared: Any
) -> Callable[..., nn.Module]:
    """A constructor with some arguments given.

    With `remat` the backward pass computes what is inside again, to save memory.
    """
    return functools.partial(nn.remat(module) if remat else module, **shared)


class ConvNormRelu(nn.Module):
    """Convolution of an odd `size`, norm (from `norm.make_norm`), ReLU."""

    features: int
    size: int
    norm: Callable[..., nn.Module]
    dilation: int = 1
    use_bias: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] -> `dtype` [B, H, W, features]."""
        x = conv(
            self.features,
            self.size,
            dilation=self.dilation,
            use_bias=self.use_bias,
            dtype=self.dtype,
            name="conv",
        )(x)
        return nn.relu(self.norm(name="norm")(x))


class ConvBlock(nn.Module):
    """`count` convolutions 3x3 with bias, each followed by norm and ReLU."""

    features: int
    count: int
    norm: Callable[..., nn.Module]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] -> `dtype` [B, H, W, features]."""
        for i in range(1, self.count + 1):
            x = ConvNormRelu(
                self.features,
                3,
                self.norm,
                use_bias=True,
                dtype=self.dtype,
                name=f"conv{i}",
            )(x)
        return x


def max_pool(x: jax.Array) -> jax.Array:
    """[B, H, W, C] -> [B, H // 2, W // 2, C]; equal px share gradients, for speed."""
    height, width = (side // 2 * 2 for side in x.shape[1:3])
    rows = jnp.maximum(x[:, 0:height:2], x[:, 1:height:2])
    return jnp.maximum(rows[:, :, 0:width:2], rows[:, :, 1:width:2])


def double(x: jax.Array) -> jax.Array:
    """Repeats each px in y and x: [B, H, W, C] -> [B, 2 H, 2 W, C]."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def resize(x: jax.Array, size_hw: tuple[int, int], method: str) -> jax.Array:
    """Enlarges feature maps [B, h, w, C] to [B, H, W, C] of the same dtype.

    "nearest", "bilinear" (px centres at half-integers) or "bilinear_aligned" (PyTorch's
    `align_corners=True`; off by up to half an input px at the border).
    """
    batch, height, width, channels = x.shape
    if method == "nearest" and size_hw == (2 * height, 2 * width):
        return double(x)  # its gradient is a sum, that of jax.image a slow scatter
    if method != "bilinear_aligned":
        shape = (batch, *size_hw, channels)
        return jax.image.resize(x, shape, method, antialias=False)
    return _resize_aligned(x, size_hw)


def _resize_aligned(x: jax.Array, size_hw: tuple[int, int]) -> jax.Array:
    """The last one of `resize`: output px o is input px o (h - 1) / (H - 1)."""
    batch, height, width, channels = x.shape
    ends = np.array([size_hw, (height, width)], np.float32) - 1
    is_line = ends.min(axis=0) > 0  # else one px is repeated, or the first one taken
    scale = np.where(is_line, ends[0] / np.maximum(ends[1], 1), size_hw)
    # jax.image puts output centre o + 0.5 at (o + 0.5 - translation) / scale.
    translation = np.where(is_line, (1 - scale) / 2, 0)
    return jax.image.scale_and_translate(
        x,
        (batch, *size_hw, channels),
        (1, 2),
        scale.astype(np.float32),
        translation.astype(np.float32),
        "linear",
        antialias=False,
    )


def pad_to_multiple(
    image: jax.Array, multiple: int, extra: int = 0, *, centered: bool = False
) -> jax.Array:
    """Adds zeros at the bottom and the right until both sides have the right length.

    To the least n * multiple + extra; `centered` adds half at the top and the left.
    """
    totals = [(extra - side) % multiple for side in image.shape[1:3]]
    fronts = [total // 2 if centered else 0 for total in totals]
    pads = [(front, all_ - front) for front, all_ in zip(fronts, totals, strict=True)]
    return jnp.pad(image, ((0, 0), *pads, (0, 0)))
