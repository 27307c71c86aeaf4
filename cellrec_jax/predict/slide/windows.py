"""Windows of a slide at a network's scale, read in threads ahead of the network."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent import futures
from typing import NamedTuple

import numpy as np

from cellrec_jax.data.cores import num_cores
from cellrec_jax.data.pixels import slide_scale, slides
from cellrec_jax.predict.slide.grid import Grid

THREADS = min(max(num_cores(), 2), 8)
_AHEAD = THREADS + 2  # windows that are read or wait for the network, beside a batch


class Window(NamedTuple):
    """What the network sees of a tile."""

    row: int
    column: int
    image: np.ndarray | None
    """uint8 [tile_px, tile_px, 3], white where it cannot be read; None once it is
    passed on."""
    bad: tuple[slides.BadBlock, ...] = ()
    """What cannot be read, px of the level."""


def read(
    slide: slides.Slide, grid: Grid, tiles: Iterable[tuple[int, int]]
) -> Iterator[Window]:
    """The windows of tiles (row, column), in order; what is damaged is told.

    Only damage of the file is told; what else fails is raised.
    """
    waiting: deque[futures.Future[Window]] = deque()
    with futures.ThreadPoolExecutor(THREADS) as pool:
        try:
            for row, column in tiles:
                waiting.append(pool.submit(_window, slide, grid, row, column))
                if len(waiting) >= _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()


def _window(slide: slides.Slide, grid: Grid, row: int, column: int) -> Window:
    bad: list[slides.BadBlock] = []
    image = pixels(slide, grid, row, column, bad)
    return Window(row, column, image, tuple(dict.fromkeys(bad)))


def pixels(
    slide: slides.Slide,
    grid: Grid,
    row: int,
    column: int,
    bad: list[slides.BadBlock] | None = None,
) -> np.ndarray:
    """A window's pixels, uint8 [tile_px, tile_px, 3]; see `slide_scale.read`."""
    origin_yx, hw = grid.origin_yx(row, column), (grid.tile_px, grid.tile_px)
    return slide_scale.read(slide, grid.level, grid.step_yx, origin_yx, hw, bad)
