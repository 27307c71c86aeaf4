"""Draws whole cells of a synthetic image: stained membranes, and cytoplasm.

Cells that touch share a wall, as in a honeycomb, so membranes are drawn for all cells
together: of each pixel it is known which cells it is deepest in and next to.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cellrec_jax.data.synthetic import layout as synthetic_layout

WALL_UM = 0.5
"""Half width of a membrane, as the deviation of a Gaussian."""
_WAVES_UM = 0.75  # how far outlines stray from circles and straight walls
_REACH = 3.0  # half widths after which a wall is no longer seen


class Cell(NamedTuple):
    """A cell body before it is drawn; lengths in px, stains in optical density."""

    center_yx: tuple[float, float]
    radius: float
    """Of the cell where no neighbour is in the way."""
    wall_dab: float
    """Brown of the membrane, 0 where it is not stained."""
    body_dab: float
    body_haematoxylin: float
    gaps: float
    """How broken the membrane is, 0 (complete) to about 1."""


class _Owners(NamedTuple):
    """Which cells each pixel is deepest in; depths are px beyond a cell's radius."""

    first: np.ndarray
    second: np.ndarray
    first_depth: np.ndarray
    second_depth: np.ndarray


def draw(
    rng: np.random.Generator,
    haematoxylin: np.ndarray,
    dab: np.ndarray,
    cells: Sequence[Cell],
    mpp: float,
) -> None:
    """Adds cell bodies and their membranes to the maps, in place.

    Args:
      rng: source of outlines and of uneven stain.
      haematoxylin: f32 [H, W] optical density.
      dab: f32 [H, W] optical density.
      cells: what to draw, at least one.
      mpp: micrometres per px.
    """
    size_hw = (dab.shape[0], dab.shape[1])
    wall_px = max(0.7, WALL_UM * rng.lognormal(0, 0.15) / mpp)
    owners = _owners(rng, cells, size_hw, wall_px, mpp)
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
    granular = np.clip(0.8 + 0.35 * spots + 0.4 * patches, 0, 2.5)
    dab += body[..., 0] * granular
    haematoxylin += body[..., 1] * np.clip(1 + 0.25 * patches, 0, 2)


def _owners(
    rng: np.random.Generator,
    cells: Sequence[Cell],
    size_hw: tuple[int, int],
    wall_px: float,
    mpp: float,
) -> _Owners:
    """Finds the two cells that each pixel is deepest in, cell by cell."""
    waves = [
        synthetic_layout.noise_field(rng, size_hw, 2.0 / mpp) * _WAVES_UM / mpp
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
        center_yx = np.array(cell.center_yx)
        reach = cell.radius + _REACH * (wall_px + _WAVES_UM / mpp)
        low = np.clip(np.floor(center_yx - reach), 0, size_hw).astype(int)
        high = np.clip(np.ceil(center_yx + reach), 0, size_hw).astype(int)
        window = (slice(low[0], high[0]), slice(low[1], high[1]))
        y = np.arange(low[0], high[0])[:, None] + 0.5 - center_yx[0]
        x = np.arange(low[1], high[1])[None] + 0.5 - center_yx[1]
        depth = np.hypot(y + waves[0][window], x + waves[1][window]) - cell.radius
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
