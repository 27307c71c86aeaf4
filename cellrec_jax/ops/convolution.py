"""Convolution with a fast gradient of the kernel on CPUs.

XLA's has 5 to 40 GFLOP/s there, matrix products 110 (two cores, jax 0.10.1): here it is
one for each tap and block of output px. See `cellrec_jax.bench convolution`.
"""

from collections.abc import Sequence
import functools
import math
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

_BLOCK_PX = 512
"""Output px of a block: 256 to 1,024 differ little."""
_LEAST_FLOPS = 2e8
"""A smaller gradient is XLA's: it takes milliseconds, and less time to compile."""
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


class _Geometry(NamedTuple):
    strides: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    """Before and after, in y and x."""
    dilation: tuple[int, ...]
    precision: lax.PrecisionLike


def conv_general_dilated(
    x: jax.Array,
    kernel: jax.Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: lax.ConvGeneralDilatedDimensionNumbers = None,
    feature_group_count: int = 1,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """`jax.lax.conv_general_dilated`, for `nn.Conv(conv_general_dilated=...)`.

    On CPUs the kernel's gradient differs by rounding, but not of dilated inputs, groups
    of features or layouts other than channels last.
    """
    strides, dilation = tuple(window_strides), tuple(rhs_dilation or (1, 1))
    given, channels_last = (
        lax.conv_dimension_numbers(x.shape, kernel.shape, numbers)
        for numbers in (dimension_numbers, _DIMENSIONS)
    )
    plain = tuple(lhs_dilation or (1, 1)) == (1, 1) and feature_group_count == 1
    if plain and given == channels_last:
        pads = _explicit(padding, x.shape, kernel.shape, strides, dilation)
        geometry = _Geometry(strides, pads, dilation, precision)
        out = jax.eval_shape(lambda: _xla(x, kernel, geometry))
        if 2 * math.prod(kernel.shape) * math.prod(out.shape[:3]) >= _LEAST_FLOPS:
            return _convolve(x, kernel, geometry)
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides,
        padding,
        lhs_dilation,
        rhs_dilation,
        given,
        feature_group_count,
        precision=precision,
    )


def _explicit(
    padding: str | Sequence[tuple[int, int]],
    shape: Sequence[int],
    kernel_shape: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
) -> tuple[tuple[int, int], ...]:
    """Padding as px before and after, in y and x."""
    if isinstance(padding, str):
        taps = zip(kernel_shape[:2], dilation, strict=True)
        reach = [(count - 1) * step + 1 for count, step in taps]
        padding = lax.padtype_to_pads(shape[1:3], reach, strides, padding)
    return tuple((int(before), int(after)) for before, after in padding)


def _xla(x: jax.Array, kernel: jax.Array, geometry: _Geometry) -> jax.Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        geometry.strides,
        geometry.pads,
        rhs_dilation=geometry.dilation,
        dimension_numbers=_DIMENSIONS,
        precision=geometry.precision,
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(x: jax.Array, kernel: jax.Array, geometry: _Geometry) -> jax.Array:
    return _xla(x, kernel, geometry)


def _forward(
    x: jax.Array, kernel: jax.Array, geometry: _Geometry
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _xla(x, kernel, geometry), (x, kernel)


def _backward(
    geometry: _Geometry, saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    to_input = jax.linear_transpose(lambda x: _xla(x, kernel, geometry), x)

    def by_blocks(x: jax.Array, gradient: jax.Array) -> jax.Array:
        found = _kernel_gradient(x, gradient, kernel.shape[:2], geometry)
        return found.astype(kernel.dtype)

    def by_xla(x: jax.Array, gradient: jax.Array) -> jax.Array:
        to_kernel = jax.linear_transpose(
            lambda kernel: _xla(x, kernel, geometry), kernel
        )
        return to_kernel(gradient)[0]

    of_kernel = lax.platform_dependent(x, gradient, cpu=by_blocks, default=by_xla)
    return to_input(gradient)[0], of_kernel


_convolve.defvjp(_forward, _backward)


def _kernel_gradient(
    x: jax.Array, gradient: jax.Array, taps_hw: Sequence[int], geometry: _Geometry
) -> jax.Array:
    """[B, H, W, C], gradient [B, H', W', D] to f32 [h, w, C, D], by padded blocks."""
    batch, height, width, features = gradient.shape
    channels = x.shape[-1]
    (step_y, step_x), pads, dilation, precision = geometry
    images = max(1, min(batch, _BLOCK_PX // (height * width)))
    rows = max(1, min(height, _BLOCK_PX // width))
    blocks = -(-batch // images), -(-height // rows)
    reach_y, reach_x = (
        (taps - 1) * step for taps, step in zip(taps_hw, dilation, strict=True)
    )
    seen_hw = (rows - 1) * step_y + 1, (width - 1) * step_x + 1  # by a tap, of a block
    padded_hw = ((blocks[1] * rows - 1) * step_y + reach_y + 1, seen_hw[1] + reach_x)
    missing = blocks[0] * images - batch
    x = _grow(x, missing, [before for before, _ in pads], padded_hw)
    gradient = _grow(gradient, missing, (0, 0), (blocks[1] * rows, width))
    wide = jnp.promote_types(x.dtype, jnp.float32)

    def add_block(index: jax.Array, total: jax.Array) -> jax.Array:
        image, row = index // blocks[1] * images, index % blocks[1] * rows
        near = lax.dynamic_slice(
            x,
            (image, row * step_y, 0, 0),
            (images, seen_hw[0] + reach_y, padded_hw[1], channels),
        )
        pulled = lax.dynamic_slice(
            gradient, (image, row, 0, 0), (images, rows, width, features)
        ).reshape(-1, features)

        def add_tap(tap: jax.Array, total: jax.Array) -> jax.Array:
            tap_y, tap_x = tap // taps_hw[1], tap % taps_hw[1]
            seen = lax.dynamic_slice(
                near,
                (0, tap_y * dilation[0], tap_x * dilation[1], 0),
                (images, *seen_hw, channels),
            )
            product = lax.dot_general(
                seen[:, ::step_y, ::step_x].reshape(-1, channels),
                pulled,
                (((0,), (0,)), ((), ())),
                precision=precision,
                preferred_element_type=wide,
            )
            return total.at[tap].add(product)

        return lax.fori_loop(0, taps_hw[0] * taps_hw[1], add_tap, total)

    total = jnp.zeros((taps_hw[0] * taps_hw[1], channels, features), wide)
    total = lax.fori_loop(0, blocks[0] * blocks[1], add_block, total)
    return total.reshape(*taps_hw, channels, features)


def _grow(
    x: jax.Array, images: int, before_yx: Sequence[int], size_hw: Sequence[int]
) -> jax.Array:
    """Pads with zero images and px, or crops, to a height and width."""
    config = [(0, images, 0)]
    for before, size, side in zip(before_yx, size_hw, x.shape[1:3], strict=True):
        config.append((before, size - side - before, 0))
    return lax.pad(x, jnp.zeros((), x.dtype), [*config, (0, 0, 0)])
