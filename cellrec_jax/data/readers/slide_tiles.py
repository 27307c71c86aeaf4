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
            (ring,) = polygons.ellipse((0, 0), (self.near_px, self.near_px))
            near = tuple((ring + point,) for point in found.points_yx)
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
    tiling = _Tiling(found, np.array(size_hw), np.array(tile_hw), _boxed(found.ignore))
    if not found.annotated:
        yield from _around_cells(tiling, np.flatnonzero(inside), near_px)
        return
    free, areas = inside, _boxed(found.annotated)
    for number, (area, box) in enumerate(areas, 1):
        in_box = free & (found.points_yx >= box[:2]).all(1)
        own = np.flatnonzero(in_box & (found.points_yx <= box[2:]).all(1))
        own = own[polygons.inside(area, found.points_yx[own])]
        free[own] = False
        tiles = list(_of_area(tiling, number, areas, own))
        repairs[NO_AREA] += not tiles
        yield from tiles
    repairs[BEYOND] += int(free.sum())


_Boxed = list[tuple[Polygon, np.ndarray]]
"""Areas and the boxes around them."""


def _boxed(areas: Sequence[Polygon]) -> _Boxed:
    return [(area, polygons.bounds([area])) for area in areas]


class _Tiling(NamedTuple):
    found: Annotations
    size_hw: np.ndarray
    tile_hw: np.ndarray
    ignore: _Boxed

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

    def by_tile(
        self, origin_yx: np.ndarray, cells: np.ndarray
    ) -> dict[tuple[int, int], np.ndarray]:
        """Row and column of each tile of a block that holds cells -> which."""
        away = self.found.points_yx[cells] - origin_yx
        places = np.floor(away / self.tile_hw).astype(int)
        order = np.lexsort(places.T[::-1])
        kinds, starts = np.unique(places[order], axis=0, return_index=True)
        groups = np.split(cells[order], starts[1:])
        return {
            (row, column): group
            for (row, column), group in zip(kinds.tolist(), groups, strict=False)
        }

    def part(
        self,
        origin_yx: np.ndarray,
        cells: np.ndarray,
        annotated: tuple[Polygon, ...] = (),
        others: _Boxed | None = None,
    ) -> tuple[tuple[int, int], Annotations]:
        """The origin of a tile, with these cells and the areas that may touch it.

        `others` are ignored, too.
        """
        found, (top, left) = self.found, origin_yx.tolist()
        end_yx = origin_yx + self.tile_hw
        ignore = tuple(
            area
            for area, box in (*self.ignore, *(others or ()))
            if (box[:2] < end_yx).all() and (box[2:] > origin_yx).all()
        )
        return (top, left), Annotations(
            found.points_yx[cells],
            tuple(found.names[cell] for cell in cells),
            found.boxes_yxyx[cells],
            found.scores[cells],
            ignore,
            annotated,
            trust=None if found.trust is None else found.trust[cells],
        )


def _around_cells(
    tiling: _Tiling, cells: np.ndarray, near_px: float
) -> Iterator[tuple[str, Tile]]:
    if not len(cells):
        return
    points_yx = tiling.found.points_yx[cells]
    origin, _ = tiling.block(np.concatenate([points_yx.min(0), points_yx.max(0)]))
    for (row, column), own in tiling.by_tile(origin, cells).items():
        corner = origin + tiling.tile_hw * (row, column)
        yield f"0/{row}-{column}", Tile(*tiling.part(corner, own), near_px)


def _of_area(
    tiling: _Tiling, number: int, areas: _Boxed, cells: np.ndarray
) -> Iterator[tuple[str, Tile]]:
    area, box = areas[number - 1]
    box = np.clip(box, 0, np.tile(tiling.size_hw, 2))
    if not (box[2:] > box[:2]).all():
        return
    origin, counts = tiling.block(box)
    held = tiling.by_tile(origin, cells)
    touched = np.argwhere(_touched(area, origin, counts, tiling.tile_hw)).tolist()
    for row, column in sorted({*held, *((row, column) for row, column in touched)}):
        corner = origin + tiling.tile_hw * (row, column)
        own = held.get((row, column), cells[:0])
        part = tiling.part(corner, own, (area,), areas[: number - 1])
        yield f"{number}/{row}-{column}", Tile(*part)


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
