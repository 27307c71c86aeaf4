"""Target maps of points, painted in small windows: Gaussians, stamps, discs, polygons.

Of one image. Sources: Shui et al., MICCAI 2022 (stamps); Fujii et al., MICCAI 2021
(Gaussians and discs); Zhang et al., ISBI 2022 (discs and random polygons a class).
"""

import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cellrec_jax import geometry

FORMS = ("gaussian", "stamp")


class MapOptions(NamedTuple):
    """What a cell paints; hashable, so that it can be static under jit."""

    form: str = "gaussian"
    """"gaussian", exp(-d^2 / 2 sigma^2) of the distance d to a pixel's centre; or
    "stamp", around the middle of the cell's pixel, cut to a square (almost flat)."""
    sigma_px: float = 6.0
    """Standard deviation, px."""
    side_px: int = 7
    """Side of a stamp, odd, px; not used by "gaussian"."""
    reach_sigmas: float = 4.0
    """A Gaussian is cut off at this many sigmas: 3e-4 at 4. With 3 it is the extended
    Gaussian of Qu et al. 2020, whose radius that is."""


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
    points_yx, drawn = _drawn(points_yx, mask, labels, size_hw, num_classes)
    reach_px, half = math.inf, options.side_px // 2
    if options.form == "stamp":
        points_yx = geometry.pixel_to_point(jnp.floor(points_yx))
    else:
        reach_px = options.reach_sigmas * options.sigma_px
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


def disc_maps(
    points_yx: jax.Array,
    mask: jax.Array,
    labels: jax.Array,
    size_hw: tuple[int, int],
    num_classes: int,
    *,
    radius_px: float,
) -> jax.Array:
    """One map a class, f32 [H, W, K], 1 within a radius (px, inclusive) of its cells.

    What paints nothing is as in `target_maps`; discs of two classes may overlap.
    """
    points_yx, drawn = _drawn(points_yx, mask, labels, size_hw, num_classes)
    squared, first = _windows(points_yx, math.ceil(radius_px))
    discs = jnp.where(drawn[:, None, None] & (squared <= radius_px**2), 1.0, 0.0)
    planes = jnp.where(drawn, labels, 0).astype(jnp.int32)
    return _paint(discs, first, planes, (*size_hw, num_classes))


class PolygonOptions(NamedTuple):
    """The law of random polygons around cells; hashable, to be static under jit."""

    radius_px: float = 10.0
    """Distance of a corner from its cell, px, before the factors."""
    corners: tuple[int, int] = (5, 12)
    """Least and largest number of corners, each as likely; 5 or more."""
    cell_factor: tuple[float, float] = (0.6, 1.4)
    """Range of a factor of all corners of a cell."""
    corner_factor: tuple[float, float] = (0.8, 1.2)
    """Range of a factor of each corner."""
    angle_jitter: float = 1.0
    """How far a corner may turn from its place in the regular polygon, in shares of the
    half angle between two, [0, 1]; so the point stays in sight of each edge."""

    @property
    def reach_px(self) -> float:
        """The largest distance of a corner from its cell."""
        return self.radius_px * self.cell_factor[1] * self.corner_factor[1]


def draw_polygons(rng: jax.Array, num_cells: int, options: PolygonOptions) -> jax.Array:
    """Draws a polygon for each of N cells: corners - point, f32 [N, V, 2] px.

    Cell i's depends on (rng, i) alone. Polygons of less than V corners (the largest
    number) repeat their first. Seen from the point corners follow each other in angle
    (star-shaped). Zhang et al. 2022 give no law; this one is ours.
    """
    low, high = options.corners
    rngs = jax.vmap(lambda i: jax.random.fold_in(rng, i))(jnp.arange(num_cells))

    def one(rng: jax.Array) -> jax.Array:
        number_rng, turn_rng, jitter_rng, cell_rng, corner_rng = jax.random.split(
            rng, 5
        )
        number = jax.random.randint(number_rng, (), low, high + 1)
        turn = jax.random.uniform(turn_rng, (), maxval=high)
        jitter = jax.random.uniform(jitter_rng, (high,), minval=-0.5, maxval=0.5)
        places = jnp.arange(high) + turn + options.angle_jitter * jitter
        angles = 2 * jnp.pi * places / number
        uniform = jax.random.uniform
        factors = uniform(corner_rng, (high,), jnp.float32, *options.corner_factor)
        size = options.radius_px * uniform(
            cell_rng, (), jnp.float32, *options.cell_factor
        )
        corners = (size * factors)[:, None] * jnp.stack(
            [jnp.sin(angles), jnp.cos(angles)], axis=-1
        )
        return jnp.where((jnp.arange(high) < number)[:, None], corners, corners[:1])

    return jax.vmap(one)(rngs)


def polygon_maps(
    points_yx: jax.Array,
    mask: jax.Array,
    labels: jax.Array,
    corners_yx: jax.Array,
    size_hw: tuple[int, int],
    num_classes: int,
    *,
    reach_px: float,
) -> jax.Array:
    """One map a class, f32 [H, W, K], 1 where a pixel's centre is in a cell's polygon.

    Corners [N, V, 2] px are relative to the points, of any simple polygon within
    `reach_px` of them; each row of pixels counts the edges to the right (odd is
    inside). What paints nothing is as in `target_maps`.
    """
    chex.assert_shape(corners_yx, (len(points_yx), None, 2))
    points_yx, drawn = _drawn(points_yx, mask, labels, size_hw, num_classes)
    rows, columns, first = _steps(points_yx, math.ceil(reach_px))
    corners = jax.lax.stop_gradient(corners_yx.astype(jnp.float32))
    crossings = _crossings(rows, corners)  # [N, S, V]
    inside = jnp.zeros((*rows.shape, columns.shape[1]), bool)
    # Unrolled: as a sum over edges XLA computes corners anew for each pixel.
    for i in range(corners.shape[1]):
        inside ^= columns[:, None, :] < crossings[:, :, i, None]
    painted = jnp.where(drawn[:, None, None] & inside, 1.0, 0.0)
    planes = jnp.where(drawn, labels, 0).astype(jnp.int32)
    return _paint(painted, first, planes, (*size_hw, num_classes))


def _crossings(rows: jax.Array, corners_yx: jax.Array) -> jax.Array:
    """Where edges cross rows [N, S], px: x f32 [N, S, V], -inf where they do not."""
    begin, end = corners_yx[:, None], jnp.roll(corners_yx, -1, axis=1)[:, None]
    rows = rows[:, :, None]
    crossed = (begin[..., 0] > rows) != (end[..., 0] > rows)
    height = jnp.where(crossed, end[..., 0] - begin[..., 0], 1.0)
    slope = (end[..., 1] - begin[..., 1]) / height
    x = begin[..., 1] + (rows - begin[..., 0]) * slope
    return jnp.where(crossed, x, -jnp.inf)


def _drawn(
    points_yx: jax.Array,
    mask: jax.Array,
    labels: jax.Array,
    size_hw: tuple[int, int],
    num_classes: int,
) -> tuple[jax.Array, jax.Array]:
    """As `_inside`, of cells whose class has a map."""
    chex.assert_shape(points_yx, (None, 2))
    chex.assert_equal_shape_prefix([points_yx, mask, labels], 1)
    drawn = mask & (labels >= 0) & (labels < num_classes)
    return _inside(points_yx, drawn, size_hw)


def _inside(
    points_yx: jax.Array, mask: jax.Array, size_hw: tuple[int, int]
) -> tuple[jax.Array, jax.Array]:
    """Float32 points that can be drawn, the others at 0, and which ones they are."""
    drawn = mask & geometry.inside(points_yx, size_hw)
    points_yx = jnp.where(drawn[:, None], points_yx.astype(jnp.float32), 0.0)
    return jax.lax.stop_gradient(points_yx), drawn


def _windows(points_yx: jax.Array, half: int) -> tuple[jax.Array, jax.Array]:
    """Windows around points: squared distances [N, S, S] px^2, first pixels [N, 2]."""
    rows, columns, first = _steps(points_yx, half)
    return rows[:, :, None] ** 2 + columns[:, None, :] ** 2, first


def _steps(points_yx: jax.Array, half: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Rows and columns of windows, [N, S] px from the points, and first pixels."""
    first = jnp.floor(points_yx).astype(jnp.int32) - half
    steps = geometry.pixel_to_point(jnp.arange(2 * half + 1, dtype=jnp.float32))
    corner = first.astype(jnp.float32) - points_yx
    steps_yx = corner[:, :, None] + steps[None, None, :]
    return steps_yx[:, 0], steps_yx[:, 1], first


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
