"""Target maps of points, painted in small windows: Gaussians, flat stamps, discs.

Of one image. Sources: Shui et al., MICCAI 2022 (stamps); Fujii et al., MICCAI 2021
(Gaussians and discs).
"""

import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cellrec_jax import geometry

FORMS = ("gaussian", "stamp")
_REACH_SIGMAS = 4.0
"""A Gaussian is cut off at this many sigmas, where it is 3e-4."""


class MapOptions(NamedTuple):
    """What a cell paints; hashable, so that it can be static under jit."""

    form: str = "gaussian"
    """"gaussian", exp(-d^2 / 2 sigma^2) of the distance d to a pixel's centre; or
    "stamp", around the middle of the cell's pixel, cut to a square (almost flat)."""
    sigma_px: float = 6.0
    """Standard deviation, px."""
    side_px: int = 7
    """Side of a stamp, odd, px; not used by "gaussian"."""


GAUSSIAN = MapOptions()
"""The position heat map of Fujii et al. 2021."""


def target_maps(
    points_yx: jax.Array,
    mask: jax.Array,
    labels: jax.Array,
    size_hw: tuple[int, int],
    num_classes: int,
    options: MapOptions = GAUSSIAN,
) -> jax.Array:
    """One map a class, f32 [H, W, K] >= 0, a peak of height 1 at each of its cells.

    Points [N, 2] px outside, masked ones and labels outside 0..K-1 paint nothing. No
    gradient. Fujii et al. 2021: sigma 6, maximum; but a disc of 4 sigma, and not whole
    pixels. Shui et al. 2022: 7 x 7, sigma 6; how overlaps combine is not said.
    """
    chex.assert_shape(points_yx, (None, 2))
    chex.assert_equal_shape_prefix([points_yx, mask, labels], 1)
    drawn = mask & (labels >= 0) & (labels < num_classes)
    points_yx, drawn = _inside(points_yx, drawn, size_hw)
    reach_px, half = math.inf, options.side_px // 2
    if options.form == "stamp":
        points_yx = geometry.pixel_to_point(jnp.floor(points_yx))
    else:
        reach_px = _REACH_SIGMAS * options.sigma_px
        half = math.ceil(reach_px)
    squared, first = _windows(points_yx, half)
    painted = drawn[:, None, None] & (squared <= reach_px**2)
    heights = jnp.exp(-squared / (2 * options.sigma_px**2))
    heights = jnp.where(painted, heights, 0.0)
    planes = jnp.where(drawn, labels, 0).astype(jnp.int32)
    return _paint(heights, first, planes, (*size_hw, num_classes))


def position_map(
    points_yx: jax.Array,
    mask: jax.Array,
    size_hw: tuple[int, int],
    options: MapOptions = GAUSSIAN,
) -> jax.Array:
    """One map of all cells, f32 [H, W], whatever their class; see `target_maps`."""
    labels = jnp.zeros(mask.shape, jnp.int32)
    return target_maps(points_yx, mask, labels, size_hw, 1, options)[..., 0]


def disc_mask(
    points_yx: jax.Array,
    mask: jax.Array,
    size_hw: tuple[int, int],
    *,
    radius_px: float = 12.0,
) -> jax.Array:
    """Whether pixel centres are within a radius (px, inclusive) of cells, [H, W]."""
    ones = jnp.ones(mask.shape)
    return disc_values(points_yx, mask, ones, size_hw, radius_px=radius_px) > 0


def disc_values(
    points_yx: jax.Array,
    mask: jax.Array,
    values: jax.Array,
    size_hw: tuple[int, int],
    *,
    radius_px: float,
) -> jax.Array:
    """Discs of values [N] >= 0 at points [N, 2] px, the highest on top: f32 [H, W].

    The radius (px) is inclusive; 0 outside all discs, no gradient.
    """
    chex.assert_shape(points_yx, (None, 2))
    chex.assert_equal_shape([mask, values])
    points_yx, drawn = _inside(points_yx, mask, size_hw)
    squared, first = _windows(points_yx, math.ceil(radius_px))
    values = jax.lax.stop_gradient(jnp.where(drawn, values.astype(jnp.float32), 0.0))
    discs = jnp.where(squared <= radius_px**2, values[:, None, None], 0.0)
    planes = jnp.zeros(mask.shape, jnp.int32)
    return _paint(discs, first, planes, (*size_hw, 1))[..., 0]


def _inside(
    points_yx: jax.Array, mask: jax.Array, size_hw: tuple[int, int]
) -> tuple[jax.Array, jax.Array]:
    """Float32 points that can be drawn, the others at 0, and which ones they are."""
    drawn = mask & geometry.inside(points_yx, size_hw)
    points_yx = jnp.where(drawn[:, None], points_yx.astype(jnp.float32), 0.0)
    return jax.lax.stop_gradient(points_yx), drawn


def _windows(points_yx: jax.Array, half: int) -> tuple[jax.Array, jax.Array]:
    """Windows around points: squared distances [N, S, S] px^2, first pixels [N, 2]."""
    first = jnp.floor(points_yx).astype(jnp.int32) - half
    steps = geometry.pixel_to_point(jnp.arange(2 * half + 1, dtype=jnp.float32))
    corner = first.astype(jnp.float32) - points_yx
    squared = (corner[:, :, None] + steps[None, None, :]) ** 2
    return squared[:, 0, :, None] + squared[:, 1, None, :], first


def _paint(
    heights: jax.Array,
    first: jax.Array,
    planes: jax.Array,
    size_hwk: tuple[int, int, int],
) -> jax.Array:
    """Windows [N, S, S] from `first` on, the highest on top: f32 [H, W, K]."""
    height, width, num_planes = size_hwk
    half = heights.shape[1] // 2
    # A margin keeps windows whole: `scatter` drops those that are not.
    shape = num_planes, height + 2 * half, width + 2 * half
    canvas = jnp.zeros(shape, heights.dtype)
    place = jnp.concatenate([planes[:, None], first + half], axis=1)
    numbers = jax.lax.ScatterDimensionNumbers(
        update_window_dims=(1, 2),
        inserted_window_dims=(0,),
        scatter_dims_to_operand_dims=(0, 1, 2),
    )
    canvas = jax.lax.scatter_max(canvas, place, heights, numbers, mode="drop")
    inner = canvas[:, half : half + height, half : half + width]
    return jnp.moveaxis(inner, 0, -1)
