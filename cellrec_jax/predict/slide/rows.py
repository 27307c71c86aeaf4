"""The network on rows of tiles, and what a slide's tiles found together."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
import itertools
import time
from typing import Any, NamedTuple

import numpy as np

from cellrec_jax import cells as cell_lib
from cellrec_jax.cells import Cells
from cellrec_jax.data.pixels import slides
from cellrec_jax.predict import stream
from cellrec_jax.predict.compiled import Windows
from cellrec_jax.predict.slide import network
from cellrec_jax.predict.slide import windows as reading
from cellrec_jax.predict.slide.grid import Grid
from cellrec_jax.predict.slide.journal import Journal, Row
from cellrec_jax.predict.slide.network import Looker
from cellrec_jax.predict.slide.settle import Settler
from cellrec_jax.predict.slide.windows import Window

Tiles = Mapping[int, Sequence[int]]
"""Row -> the columns that are looked at."""


def find(
    looker: Looker,
    slide: slides.Slide,
    grid: Grid,
    tiles: Tiles,
    highest: float | None,
    prepare: Callable[[np.ndarray], np.ndarray],
) -> Generator[tuple[dict[int, Row], int], None, None]:
    """Yields after each batch the rows that are done with it, and its tiles' number.

    `prepare` brings a window's pixels into the range that the model reads.
    """
    asked = [(row, column) for row in sorted(tiles) for column in tiles[row]]
    left = {row: len(columns) for row, columns in tiles.items()}
    parts: dict[int, list[tuple[int, Cells]]] = {row: [] for row in tiles}
    bad: dict[int, list[slides.BadBlock]] = {row: [] for row in tiles}
    full = dict.fromkeys(tiles, 0)
    for views, found in stream.run(
        looker.network, _batches(looker, slide, grid, asked, highest, prepare)
    ):
        done: dict[int, Row] = {}
        for place, view in enumerate(views):
            part = cell_lib.cells_of(found, place)
            sure = part.scores >= looker.thresholds.min()
            full[view.row] += bool(np.all(found.mask[place]) and np.all(sure))
            part = cell_lib.shift(part, grid.origin_yx(view.row, view.column))
            kept = sure & grid.owns(view.row, view.column, part.points_yx)
            for block in view.bad:
                kept &= ~grid.near(part.points_yx, block.yxyx, looker.reach_px)
            parts[view.row].append((view.column, cell_lib.select(part, kept)))
            bad[view.row] += view.bad
            left[view.row] -= 1
            if not left[view.row]:
                row = _row(parts.pop(view.row), bad.pop(view.row), found)
                done[view.row] = row._replace(full=full[view.row])
        yield done, len(views)


def seconds_each(looker: Looker) -> float:
    """How long the network takes for a tile, compiled before; a blank one is tried."""
    side = looker.own_px + 2 * looker.margin_px
    size = looker.network.batch or stream.batch_size((side, side))
    blank = network.prepare(looker, (0, 255), np.full((side, side, 3), 255, np.uint8))
    highest = 1.0 if looker.by_highest else None
    windows = _windows([blank] * size, np.ones(size, bool), highest)
    for _ in range(2):
        begin = time.monotonic()
        for _ in stream.run(looker.network, iter([(None, windows)])):
            pass
    return (time.monotonic() - begin) / size


def seconds_to_read(slide: slides.Slide, grid: Grid, tiles: Tiles) -> float:
    """How long a tile takes to be read, by as many threads; a middle one is tried."""
    row = sorted(tiles)[len(tiles) // 2]
    column = tiles[row][len(tiles[row]) // 2]
    begin = time.monotonic()
    for _ in reading.read(slide, grid, [(row, column)]):
        pass
    return (time.monotonic() - begin) / reading.THREADS


def _row(
    parts: Sequence[tuple[int, Cells]], bad: Sequence[slides.BadBlock], found: Any
) -> Row:
    """The cells of a row's tiles together."""
    none = cell_lib.select(cell_lib.cells_of(found, 0), np.zeros(0, np.int64))
    all_cells = cell_lib.concatenate([none, *(part for _, part in parts)])
    columns = np.repeat(
        [column for column, _ in parts], [len(part) for _, part in parts]
    )
    return Row(all_cells, columns.astype(np.int32), tuple(sorted(set(bad))))


def _batches(
    looker: Looker,
    slide: slides.Slide,
    grid: Grid,
    asked: Sequence[tuple[int, int]],
    highest: float | None,
    prepare: Callable[[np.ndarray], np.ndarray],
) -> Iterator[tuple[list[Window], Windows]]:
    """Windows in batches of one size."""
    side = grid.tile_px
    size = looker.network.batch or stream.batch_size((side, side))
    blank = prepare(np.full((side, side, 3), 255, np.uint8))
    read = reading.read(slide, grid, asked)
    while views := list(itertools.islice(read, size)):
        images = [blank if v.image is None else prepare(v.image) for v in views]
        images += [blank] * (size - len(views))
        real = np.arange(size) < len(views)
        yield [v._replace(image=None) for v in views], _windows(images, real, highest)


def _windows(
    images: Sequence[np.ndarray], real: np.ndarray, highest: float | None
) -> Windows:
    """What the network sees of a batch."""
    size, side = len(images), len(images[0])
    whole = np.full((size, 2), side, np.int32)
    tops = None if highest is None else np.full(size, highest, np.float32)
    return Windows(np.stack(images), whole, real, tops)


class Trouble(NamedTuple):
    """What is to be told of the rows of a slide; filled while they are read."""

    bad: dict[tuple[int, int, int, int], str]
    """Blocks of the level that could not be read, and why."""
    full: list[int]
    """Of each row, its full tiles: see `Row.full`."""


def settled(
    looker: Looker,
    grid: Grid,
    journal: Journal,
    numbers: Sequence[int],
    holds: Callable[[np.ndarray], np.ndarray],
    trouble: Trouble,
) -> Iterator[Cells]:
    """Cells of all rows, from top to bottom, those that are one joined; native px.

    As if all were there at once: see `settle`. `holds` tells which points [M, 2],
    native px, count; which tiles were looked at then changes nothing. Each row is read
    once, and what is wrong with it goes to `trouble`.
    """
    settler = Settler(looker.min_distance, looker.twins_px)
    scale_yx = np.asarray(grid.native_yx)
    last = len(numbers) - 1
    for index, number in enumerate(numbers):
        row = journal.read(number)
        trouble.bad.update({block.yxyx: block.why for block in row.bad})
        trouble.full.append(row.full)
        counts = holds(row.cells.points_yx * scale_yx)
        found = cell_lib.select(row.cells, counts)
        tiles = row.tiles[counts].astype(np.int64) + number * grid.num_columns
        following = numbers[index + 1] * grid.own_px if index < last else np.inf
        joined = settler.add(found, tiles, following)
        # As of images: a cell below its threshold still drops lesser ones near it.
        sure = joined.scores >= looker.thresholds[joined.labels]
        yield cell_lib.rescale(cell_lib.select(joined, sure), scale_yx)
