"""Shapes of synthetic cells in phase contrast, unions of discs, and their thickness."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cellrec_jax.data.synthetic import layout as synthetic_layout

_GRAIN_TILE_PX = 256
_WARP_REACH_PX = 8


class Cell(NamedTuple):
    """One cell or speck of dirt; lengths in px."""

    center_yx: np.ndarray
    """f64 [2]: the thickest place, the middle of the body."""
    angle: float
    """Direction of the first arm in radians, from x towards y."""
    discs: np.ndarray
    """f64 [K, 3]: y, x and radius; from the centre, before turning by `angle`."""
    phase: float
    """Delay of light at the centre in radians: dark below about 1, bright near 3."""
    absorption: float
    """Optical density of amplitude at the centre; below 0 where light is focused."""
    grain: float
    """Contrast of granules, as a share of the phase."""
    dome: float
    """Power of the height: 0 is a flat slab, 1 half a ball, 2 and more out of focus."""
    rough: float
    """How much the outline strays from discs, 0 to 1."""


class Speck(NamedTuple):
    """A kind of dirt; pairs are ranges, lengths in px."""

    num_discs: tuple[int, int]
    reach: float  # standard deviation of the discs' places
    radii: tuple[float, float]
    phase: tuple[float, float]
    absorption: tuple[float, float]
    dome: float


SPECKS = {
    "grain": Speck((1, 1), 0.0, (1.0, 2.0), (0.05, 0.3), (0.0, 0.15), 1.0),
    "crumb": Speck((2, 6), 4.0, (0.9, 2.2), (0.05, 0.35), (0.0, 0.15), 1.0),
    "bright": Speck((1, 3), 1.5, (1.2, 2.4), (0.7, 1.6), (0.0, 0.0), 1.0),
    # The last two are as large and round as cells, and dark.
    "clump": Speck((5, 10), 4.0, (2.5, 4.5), (0.15, 0.4), (0.05, 0.25), 0.7),
    "ghost": Speck((1, 2), 2.0, (9.0, 14.0), (0.12, 0.28), (0.0, 0.08), 2.5),
}


class Dish(NamedTuple):
    """What the cells of one frame are drawn into, and with."""

    phase: np.ndarray  # f32 [H, W] radians
    absorption: np.ndarray  # f32 [H, W] optical density of amplitude
    masks: np.ndarray  # i32 [H, W] instance ids, 0 background
    height: np.ndarray  # f32 [H, W] px, of the instance that owns the pixel; 0 outside
    warp_yx: np.ndarray  # f32 [2, H, W] px by which outlines stray from discs
    grain: np.ndarray  # f32 [256, 256] periodic noise of unit variance


def make_dish(rng: np.random.Generator, size_hw: tuple[int, int]) -> Dish:
    """An empty dish of `size_hw` px, its floor coated with a thin uneven film."""
    film = 0.004 * synthetic_layout.noise_field(rng, size_hw, 2)
    film += 0.03 * synthetic_layout.noise_field(rng, size_hw, 25)
    warp = [
        0.6 * synthetic_layout.noise_field(rng, size_hw, 2.5)
        + 1.8 * synthetic_layout.noise_field(rng, size_hw, 8)
        for _ in range(2)
    ]
    tile_hw = (_GRAIN_TILE_PX, _GRAIN_TILE_PX)
    grain = synthetic_layout.noise_field(rng, tile_hw, 1.0)
    return Dish(
        film.astype(np.float32),
        np.zeros(size_hw, np.float32),
        np.zeros(size_hw, np.int32),
        np.zeros(size_hw, np.float32),
        np.stack(warp).astype(np.float32),
        grain.astype(np.float32),
    )


def shape(
    rng: np.random.Generator,
    radius: float,
    arm_angles: Sequence[float] = (),
    arm_px: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Discs f64 [K, 3] (`Cell.discs`) of a round body, first, and of tapering arms.

    Arms point to `arm_angles`, radians; their lengths `arm_px` are from the centre.
    """
    discs = [np.array([[0.0, 0.0, radius]])]
    for angle in arm_angles:
        length = max(rng.uniform(*arm_px), 2.0)
        along = np.arange(1.0, length, 1.5)
        share = along / length
        turned = angle + rng.normal(0, 0.3) * share
        # Some arms are broad to their end, some thin out early.
        taper = np.exp(-((share / rng.uniform(0.45, 0.95)) ** 2))
        widths = np.maximum(0.97 * radius * taper, rng.uniform(1.0, 2.2))
        place = along * np.sin(turned), along * np.cos(turned), widths
        discs.append(np.stack(place, axis=1))
    return np.concatenate(discs)


def speck(rng: np.random.Generator, center_yx: np.ndarray, name: str) -> Cell:
    """One speck of dirt around `center_yx`, of a kind in `SPECKS`."""
    kind = SPECKS[name]
    num = rng.integers(*kind.num_discs, endpoint=True)
    places = kind.reach * rng.standard_normal((num, 2))
    discs = np.concatenate([places, rng.uniform(*kind.radii, (num, 1))], axis=1)
    phase, absorption = rng.uniform(*kind.phase), rng.uniform(*kind.absorption)
    return Cell(center_yx, 0.0, discs, phase, absorption, 0.0, kind.dome, rough=1.0)


def draw(dish: Dish, cells: Sequence[Cell], *, annotated: bool) -> None:
    """Adds cells to the dish, in place; if `annotated`, number i is instance i + 1.

    Delays of cells on each other add up. A pixel of the mask belongs to the highest
    cell, that of a centre to its own.
    """
    for index, cell in enumerate(cells):
        window, height = _height(dish, cell)
        share = height / float(cell.discs[:, 2].max())
        granules = 1 + cell.grain * _granules(dish, index, share.shape)
        slab = share**cell.dome
        dish.phase[window] += cell.phase * slab * np.clip(granules, 0.2, 2.5)
        dish.absorption[window] += cell.absorption * slab
        if annotated:
            higher = height > dish.height[window]
            dish.height[window][higher] = height[higher]
            dish.masks[window][higher] = index + 1
    if annotated and cells:
        rows, columns = np.array([cell.center_yx for cell in cells]).astype(int).T
        dish.masks[rows, columns] = np.arange(1, len(cells) + 1)


def _granules(dish: Dish, index: int, size_hw: tuple[int, ...]) -> np.ndarray:
    """Noise [h, w] inside one cell, the same for equal indices."""
    rows, columns = (
        (start * index + np.arange(length)) % _GRAIN_TILE_PX
        for start, length in zip((61, 97), size_hw, strict=True)
    )
    return dish.grain[np.ix_(rows, columns)]


def _height(dish: Dish, cell: Cell) -> tuple[tuple[slice, slice], np.ndarray]:
    """Window of the dish that a cell covers, and its height there, f32 [h, w] px."""
    cos, sin = np.cos(cell.angle), np.sin(cell.angle)
    y, x, radii = cell.discs.T
    discs_yx = np.stack([y * cos + x * sin, x * cos - y * sin], axis=1) + cell.center_yx
    size = np.array(dish.masks.shape)
    reach = (radii + _WARP_REACH_PX)[:, None]
    lows = np.clip(np.floor(discs_yx - reach), 0, size).astype(int)
    highs = np.clip(np.ceil(discs_yx + reach), 0, size).astype(int)
    low, high = lows.min(axis=0), highs.max(axis=0)
    window = (slice(low[0], high[0]), slice(low[1], high[1]))
    middle = np.clip(np.asarray(cell.center_yx).astype(int), 0, size - 1)
    # Less the warp at the centre, or it would move the whole cell.
    warp_yx = (
        dish.warp_yx[:, *window] - dish.warp_yx[:, middle[0], middle[1], None, None]
    )
    pixels_yx = np.mgrid[window].astype(np.float32) + np.float32(0.5)
    pixels_yx += cell.rough * warp_yx
    squared = np.zeros(pixels_yx.shape[1:], np.float32)
    for disc_yx, radius, first, last in zip(
        discs_yx, radii, lows - low, highs - low, strict=True
    ):
        part = (slice(first[0], last[0]), slice(first[1], last[1]))
        away_y = pixels_yx[0][part] - np.float32(disc_yx[0])
        away_x = pixels_yx[1][part] - np.float32(disc_yx[1])
        ball = np.float32(radius**2) - away_y * away_y - away_x * away_x
        np.maximum(squared[part], ball, out=squared[part])
    return window, np.sqrt(squared)
