"""Annotations of a slide as those of the tiles of it that are worth training on.

Where areas were looked at ("Region*"), tiles cover each of them by itself, and what is
outside of it is unknown. Where there are none, tiles hold the cells, and what is far
from all of them is unknown. No two tiles share a cell.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from cellrec_jax import geometry, polygons
from cellrec_jax.data.annotations.content import Annotations, mapped
from cellrec_jax.data.readers import clean
from cellrec_jax.polygons import Polygon

BEYOND = "cells outside of the Region* areas of their slide left out"
NO_AREA = "Region* areas without px on their slide left out"

_SAMPLES = 32  # along a tile's side, by which areas are looked for


class Tile(NamedTuple):
    """A part of a slide; all in px of the slide, at the scale of the training."""

    origin_yx: tuple[int, int]
    annotations: Annotations
    """Its cells, and areas that may touch it."""
    near_px: float = 0.0
    """What is farther from all cells is unknown; 0: areas say what is known."""

    def own(self) -> Annotations:
        """The annotations in px of the tile, with areas that say what is known."""
        found = mapped(self.annotations, shift_yx=np.negative(self.origin_yx))
        if self.near_px:
            radii = self.near_px, self.near_px
            near = tuple(polygons.ellipse(point, radii) for point in found.points_yx)
            found = found._replace(annotated=near)
        return found


def cut(
    found: Annotations,
    size_hw: tuple[int, int],
    tile_hw: tuple[int, int],
    near_px: float,
    repairs: Counter[str],
) -> Iterator[tuple[str, Tile]]:
    """Tiles of a slide of `size_hw`, and names such as "2/0-1": area, row, column.

    Areas count from 1; 0 stands for none. `near_px` is for slides without any. Adds
    what is left out to `repairs`.
    """
    finite = np.isfinite(found.points_yx).all(1)
    inside = geometry.inside(found.points_yx, size_hw)
    repairs[clean.POINTS_NAN] += int((~finite).sum())
    repairs[clean.POINTS_OUTSIDE] += int((finite & ~inside).sum())
    tiling = _Tiling(found, np.array(size_hw), np.array(tile_hw))
    if not found.annotated:
        yield from _around_cells(tiling, np.flatnonzero(inside), near_px)
        return
    free = inside
    for number, area in enumerate(found.annotated, 1):
        own = np.flatnonzero(free)
        own = own[polygons.inside(area, found.points_yx[own])]
        free[own] = False
        tiles = list(_of_area(tiling, number, own))
        repairs[NO_AREA] += not tiles
        yield from tiles
    repairs[BEYOND] += int(free.sum())


class _Tiling(NamedTuple):
    found: Annotations
    size_hw: np.ndarray
    tile_hw: np.ndarray

    def block(self, box_yxyx: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First px of tiles that cover a box, and how many (rows, columns).

        The box in their middle, but on the slide as far as they fit there.
        """
        low = np.floor(box_yxyx[:2]).astype(int)
        high = np.maximum(np.ceil(box_yxyx[2:]).astype(int), low + 1)
        counts = -(-(high - low) // self.tile_hw)
        covered = counts * self.tile_hw
        origin = low - (covered - (high - low)) // 2
        most = np.maximum(self.size_hw - covered, 0)
        return np.clip(origin, 0, most), counts

    def rows_columns(self, origin_yx: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Which tile of a block each of some cells is in, int [n, 2]."""
        away = self.found.points_yx[cells] - origin_yx
        return np.floor(away / self.tile_hw).astype(int)

    def part(
        self,
        origin_yx: np.ndarray,
        cells: np.ndarray,
        annotated: Sequence[Polygon],
        ignore: Sequence[Polygon],
    ) -> tuple[tuple[int, int], Annotations]:
        """The origin of a tile, with these cells and the areas that may touch it."""
        found, (top, left) = self.found, origin_yx.tolist()
        end_yx = origin_yx + self.tile_hw

        def near(areas: Sequence[Polygon]) -> tuple[Polygon, ...]:
            boxes = ((area, polygons.bounds([area])) for area in areas)
            return tuple(
                area
                for area, box in boxes
                if (box[:2] < end_yx).all() and (box[2:] > origin_yx).all()
            )

        return (top, left), Annotations(
            found.points_yx[cells],
            tuple(found.names[cell] for cell in cells),
            found.boxes_yxyx[cells],
            found.scores[cells],
            near(ignore),
            near(annotated),
        )


def _around_cells(
    tiling: _Tiling, cells: np.ndarray, near_px: float
) -> Iterator[tuple[str, Tile]]:
    if not len(cells):
        return
    points_yx = tiling.found.points_yx[cells]
    box = np.concatenate([points_yx.min(0), points_yx.max(0)])
    origin, _ = tiling.block(box)
    places = tiling.rows_columns(origin, cells)
    for place in np.unique(places, axis=0):
        own = cells[(places == place).all(1)]
        corner = origin + place * tiling.tile_hw
        part = tiling.part(corner, own, (), tiling.found.ignore)
        yield f"0/{place[0]}-{place[1]}", Tile(*part, near_px)


def _of_area(
    tiling: _Tiling, number: int, cells: np.ndarray
) -> Iterator[tuple[str, Tile]]:
    area, earlier = tiling.found.annotated[number - 1], number - 1
    limits = np.tile(tiling.size_hw, 2)
    box = np.clip(polygons.bounds([area]), 0, limits)
    if not (box[2:] > box[:2]).all():
        return
    origin, counts = tiling.block(box)
    wanted = _touched(area, origin, counts, tiling.tile_hw)
    places = tiling.rows_columns(origin, cells)
    wanted[tuple(places.T)] = True
    ignore = (*tiling.found.ignore, *tiling.found.annotated[:earlier])
    for place in np.argwhere(wanted):
        own = cells[(places == place).all(1)]
        corner = origin + place * tiling.tile_hw
        part = tiling.part(corner, own, (area,), ignore)
        yield f"{number}/{place[0]}-{place[1]}", Tile(*part)


def _touched(
    area: Polygon, origin: np.ndarray, counts: np.ndarray, tile_hw: np.ndarray
) -> np.ndarray:
    """Which tiles of a block have a part of an area, bool [rows, columns].

    Parts between samples are overlooked.
    """
    step_yx = tile_hw / _SAMPLES
    rows, columns = (counts * _SAMPLES).tolist()
    seen = polygons.fill(
        [tuple((ring - origin) / step_yx for ring in area)], (rows, columns)
    )
    samples = seen.reshape(counts[0], _SAMPLES, counts[1], _SAMPLES)
    return np.asarray(samples.any((1, 3)))
