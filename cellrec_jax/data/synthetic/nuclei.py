"""Draws nuclei of a synthetic image into its stain maps and its instance mask."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from cellrec_jax.data import record
from cellrec_jax.data.synthetic import layout as synthetic_layout

_NUM_ANGLES = 96
_MODES = np.arange(2, 8)  # Fourier modes of an outline; 1 would only move it
_GRAIN_TILE_PX = 256

WALL_UM = 0.5
"""Half width of a membrane, as the deviation of a Gaussian."""
WAVES_UM = 0.75
"""How far outlines of bodies stray from ellipses and straight walls."""
_REACH = 3.0  # half widths after which a wall is no longer seen


class Canvas(NamedTuple):
    """What the nuclei of one image are drawn into, and with."""

    haematoxylin: np.ndarray
    """f32 [H, W] optical density."""
    dab: np.ndarray
    """f32 [H, W] optical density."""
    masks: np.ndarray
    """i32 [H, W] instance ids, 0 background."""
    depth: np.ndarray
    """f32 [H, W] of the instance that owns the pixel: 1 at its centre, 0 outside."""
    grain: np.ndarray
    """f32 [256, 256] periodic chromatin noise."""


class Body(NamedTuple):
    """A cell body before it is drawn; lengths in px, stains in optical density."""

    center_yx: tuple[float, float]
    radius: float  # half the long axis of the cell where no neighbour is in the way
    wall_dab: float  # brown of the membrane, 0 where it is not stained
    body_dab: float
    body_haematoxylin: float
    gaps: float  # how broken the membrane is, 0 (complete) to about 1
    aspect: float = 1.0  # short by long axis
    angle: float = 0.0  # direction of the long axis in radians, from x towards y


class _Owners(NamedTuple):
    """Which cells each pixel is deepest in; depths are px beyond a cell's radius."""

    first: np.ndarray
    second: np.ndarray
    first_depth: np.ndarray
    second_depth: np.ndarray


def make_canvas(
    rng: np.random.Generator, size_hw: tuple[int, int], mpp: float
) -> Canvas:
    """Empty maps of `size_hw` px, with chromatin noise of the right grain for `mpp`."""
    tile_hw = (_GRAIN_TILE_PX, _GRAIN_TILE_PX)
    grain = np.zeros(tile_hw, np.float32)
    for sigma_um, share in ((0.3, 0.5), (0.7, 0.6)):
        sigma = max(0.7, sigma_um / mpp)
        white = rng.standard_normal(tile_hw, dtype=np.float32)
        grain += share * ndimage.gaussian_filter(white, sigma, mode="wrap") * sigma
    return Canvas(
        np.zeros(size_hw, np.float32),
        np.zeros(size_hw, np.float32),
        np.zeros(size_hw, np.int32),
        np.zeros(size_hw, np.float32),
        grain * (2 * np.sqrt(np.pi)),
    )


def make_record(
    index: int,
    image: np.ndarray,
    layout: synthetic_layout.Layout,
    canvas: Canvas,
    mpp: float,
) -> record.Record:
    """A scanned image with its annotations; the image id is `index` as text."""
    return record.Record(
        image_id=str(index),
        image=image,
        points_yx=np.array([cell.center_yx for cell in layout.cells], np.float32),
        labels=layout.labels,
        masks=canvas.masks,
        mpp=mpp,
    )


def draw(
    rng: np.random.Generator,
    canvas: Canvas,
    nuclei: Sequence[synthetic_layout.Nucleus],
    *,
    annotated: bool,
) -> None:
    """Adds nuclei to the canvas, in place; if `annotated`, number i is instance i + 1.

    Densities of overlapping nuclei add up. A pixel of the mask belongs to the nucleus
    in which it lies deepest, so a neighbour never covers a centre.
    """
    for index, nucleus in enumerate(nuclei):
        outline, shift_yx = _outline(rng, nucleus)
        window, radius, outline_radius = _polar_window(
            nucleus, outline, shift_yx, canvas.masks.shape
        )
        depth_px = outline_radius - radius
        opacity = np.clip(depth_px / nucleus.edge_px + 0.5, 0, 1)
        opacity *= opacity * (3 - 2 * opacity)
        opacity *= _texture(rng, canvas.grain, nucleus, depth_px)
        canvas.haematoxylin[window] += nucleus.haematoxylin * opacity
        canvas.dab[window] += nucleus.dab * opacity
        if annotated:
            depth = 1 - radius / outline_radius
            deeper = depth > canvas.depth[window]
            canvas.depth[window][deeper] = depth[deeper]
            canvas.masks[window][deeper] = index + 1


def _outline(
    rng: np.random.Generator, nucleus: synthetic_layout.Nucleus
) -> tuple[np.ndarray, np.ndarray]:
    """Outline of a nucleus: f32 [97] radius in px at even angles from 0 to 2 pi.

    And the centroid of its area, [2] (y, x) in px from the pole.
    """
    angles = np.linspace(0, 2 * np.pi, _NUM_ANGLES, endpoint=False)
    along, across = angles - nucleus.angle, nucleus.radii
    radius = np.prod(across) / np.hypot(
        across[1] * np.cos(along), across[0] * np.sin(along)
    )
    size = rng.normal(0, nucleus.roughness, len(_MODES)) * (2 / _MODES)
    phase = rng.uniform(0, 2 * np.pi, len(_MODES))
    waves = np.cos(angles[:, None] * _MODES + phase)
    radius *= np.clip(1 + waves @ size, 0.6, 1.6)
    moment = radius**3 / 3  # area elements are r dr dtheta, their moments r^2 dr dtheta
    area = np.sum(radius**2 / 2)
    centroid = [np.sum(moment * np.sin(angles)), np.sum(moment * np.cos(angles))]
    return np.append(radius, radius[0]), np.array(centroid) / area


def _polar_window(
    nucleus: synthetic_layout.Nucleus,
    outline: np.ndarray,
    shift_yx: np.ndarray,
    size_hw: tuple[int, ...],
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """Part of the image that a nucleus covers, its outline's centroid on its centre.

    Slices of the window [h, w]; its pixels' distance from the pole; the outline's.
    """
    pole_yx = np.array(nucleus.center_yx) - shift_yx
    window, y, x = _window(pole_yx, outline.max() + nucleus.edge_px, size_hw)
    turns = np.arctan2(y, x) / (2 * np.pi) % 1.0
    place = turns * _NUM_ANGLES
    before = np.minimum(place.astype(int), _NUM_ANGLES - 1)
    share = place - before
    outline_radius = outline[before] * (1 - share) + outline[before + 1] * share
    return window, np.hypot(y, x), outline_radius


def _window(
    center_yx: np.ndarray, reach: float, size_hw: tuple[int, ...]
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """Slices of the image around a centre, and y, x of their pixels from there, px."""
    low = np.clip(np.floor(center_yx - reach), 0, size_hw).astype(int)
    high = np.clip(np.ceil(center_yx + reach), 0, size_hw).astype(int)
    y = np.arange(low[0], high[0])[:, None] + 0.5 - center_yx[0]
    x = np.arange(low[1], high[1])[None] + 0.5 - center_yx[1]
    return (slice(low[0], high[0]), slice(low[1], high[1])), y, x


def _texture(
    rng: np.random.Generator,
    grain: np.ndarray,
    nucleus: synthetic_layout.Nucleus,
    depth_px: np.ndarray,
) -> np.ndarray:
    """Relative stain of the pixels of a window: chromatin and a darker membrane."""
    rows, columns = depth_px.shape
    start = rng.integers(0, _GRAIN_TILE_PX, 2)
    y = (start[0] + np.arange(rows)) % _GRAIN_TILE_PX
    x = (start[1] + np.arange(columns)) % _GRAIN_TILE_PX
    sharpness = min(1.0, 2.0 / nucleus.edge_px)  # no chromatin is seen out of focus
    chromatin = nucleus.grain * sharpness * grain[np.ix_(y, x)]
    rim_px = 0.15 * nucleus.radii[1]
    membrane = nucleus.rim * np.exp(-((depth_px / rim_px - 1) ** 2))
    relative = np.clip(1 + chromatin + membrane - nucleus.rim / 2, 0.15, 2.5)
    if nucleus.hollow:
        inside = np.clip(depth_px / nucleus.radii[1], 0, 0.6) / 0.6
        relative *= 1 - nucleus.hollow * inside * inside
    return relative


def draw_bodies(
    rng: np.random.Generator,
    canvas: Canvas,
    cells: Sequence[Body],
    mpp: float,
    *,
    waves_um: float = WAVES_UM,
    granularity: float = 1.0,
) -> np.ndarray:
    """Adds cell bodies, at least one, and membranes to both stains, in place.

    All together, since cells that touch share a wall, as in a honeycomb. Gives the
    instance ids of the pixels, i32 [H, W]: i + 1 inside of cell i, 0 outside of all.
    The brown of bodies is even at a `granularity` of 0.
    """
    haematoxylin, dab, *_ = canvas
    size_hw = (dab.shape[0], dab.shape[1])
    wall_px = max(0.7, WALL_UM * rng.lognormal(0, 0.15) / mpp)
    owners = _owners(rng, cells, size_hw, wall_px, waves_um, mpp)
    outside, shared = owners.first_depth, owners.second_depth - owners.first_depth
    inside = outside < 0
    from_wall = np.where(inside, np.minimum(-outside, shared / 2), outside)
    wall = np.exp(-0.5 * (from_wall / wall_px) ** 2)
    spots = synthetic_layout.noise_field(rng, size_hw, 0.45 / mpp)
    patches = synthetic_layout.noise_field(rng, size_hw, 2.0 / mpp)

    walls = np.array([(cell.wall_dab, cell.gaps) for cell in cells], np.float32)
    bodies = [(cell.body_dab, cell.body_haematoxylin) for cell in cells]
    own, other = walls[owners.first], walls[owners.second]
    meets = (owners.second_depth < wall_px)[..., None]
    stronger = np.where(meets & (other[..., :1] > own[..., :1]), other, own)
    whole = np.clip(1 - stronger[..., 1] * (0.6 + 0.9 * patches), 0, 1.25)
    dab += stronger[..., 0] * wall * whole * np.clip(1 + 0.22 * spots, 0.4, 1.8)

    filled = np.clip(-outside / (4 * wall_px), 0, 1)  # bodies fade towards the rim
    body = np.array(bodies, np.float32)[owners.first] * filled[..., None]
    spotty, patchy = 0.35 * granularity, 0.4 * granularity
    granular = np.clip(0.8 + spotty * spots + patchy * patches, 0, 2.5)
    dab += body[..., 0] * granular
    haematoxylin += body[..., 1] * np.clip(1 + 0.25 * patches, 0, 2)
    return np.where(inside, owners.first + 1, 0)


def _owners(
    rng: np.random.Generator,
    cells: Sequence[Body],
    size_hw: tuple[int, int],
    wall_px: float,
    waves_um: float,
    mpp: float,
) -> _Owners:
    """Finds the two cells that each pixel is deepest in, cell by cell."""
    waves = [
        synthetic_layout.noise_field(rng, size_hw, 2.0 / mpp) * waves_um / mpp
        for _ in range(2)
    ]
    far = np.float32(1e3)
    owners = _Owners(
        np.zeros(size_hw, np.int32),
        np.zeros(size_hw, np.int32),
        np.full(size_hw, far),
        np.full(size_hw, far),
    )
    for index, cell in enumerate(cells):
        reach = cell.radius + _REACH * (wall_px + waves_um / mpp)
        window, y, x = _window(np.array(cell.center_yx), reach, size_hw)
        y, x = y + waves[0][window], x + waves[1][window]
        if cell.aspect != 1:
            sin, cos = np.sin(cell.angle), np.cos(cell.angle)
            y, x = (y * cos - x * sin) / cell.aspect, x * cos + y * sin
        depth = np.hypot(y, x) - cell.radius
        _insert(owners, window, index, depth.astype(np.float32))
    return owners


def _insert(
    owners: _Owners, window: tuple[slice, slice], index: int, depth: np.ndarray
) -> None:
    """Enters a cell where it is among the two deepest, in place."""
    first, second, first_depth, second_depth = (part[window] for part in owners)
    best = depth < first_depth
    next_best = ~best & (depth < second_depth)
    second[best], second_depth[best] = first[best], first_depth[best]
    first[best], first_depth[best] = index, depth[best]
    second[next_best], second_depth[next_best] = index, depth[next_best]
