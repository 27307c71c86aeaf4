"""Windows of a slide at a network's scale, read in threads ahead of the network."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent import futures
import os
from typing import NamedTuple

import numpy as np

from cellrec_jax.data.pixels import slides
from cellrec_jax.predict.slide.grid import Grid

THREADS = max(os.cpu_count() or 1, 2)
_AHEAD = THREADS + 2  # windows that are read or wait for the network, beside a batch

_STRIP_PX = 2**23  # of a level, read at a time to be resampled


class Window(NamedTuple):
    """What the network sees of a tile."""

    row: int
    column: int
    image: np.ndarray | None
    """uint8 [tile_px, tile_px, 3]; None where a part of it cannot be read."""
    fault: str = ""
    """Why it cannot."""


def read(
    slide: slides.Slide, grid: Grid, tiles: Iterable[tuple[int, int]]
) -> Iterator[Window]:
    """The windows of tiles (row, column), in order; faults of the file are told.

    Only a damaged part of the file is a fault; what else fails is raised.
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
    try:
        return Window(row, column, pixels(slide, grid, row, column))
    except slides.BadRegion as fault:
        return Window(row, column, None, str(fault))


def pixels(slide: slides.Slide, grid: Grid, row: int, column: int) -> np.ndarray:
    """A window's pixels, uint8 [tile_px, tile_px, 3]; white beyond the slide.

    Bilinear, antialiased, as training images are resized: each px of the network is the
    same sum of the same px of the level in all windows. Errors as `slides.read_region`.
    """
    origin_yx, side = grid.origin_yx(row, column), grid.tile_px
    if grid.step_yx == (1.0, 1.0):
        return slides.read_region(slide, grid.level, origin_yx, (side, side))
    step_y, step_x = grid.step_yx
    left, width = origin_yx[1] * step_x, side * step_x  # exact, in 64ths
    rows = max(int(_STRIP_PX / (width * step_y)), 1)
    window = np.empty((side, side, 3), np.uint8)
    for top in range(0, side, rows):
        part = window[top : top + rows]
        corner_yx = (origin_yx[0] + top) * step_y, left
        size_hw = len(part) * step_y, width
        part[:] = _resampled(slide, grid, corner_yx, size_hw, part.shape[:2])
    return window


def _resampled(
    slide: slides.Slide,
    grid: Grid,
    corner_yx: tuple[float, float],
    size_hw: tuple[float, float],
    shape: tuple[int, ...],
) -> np.ndarray:
    """A part of the grid's level, of whose px corner and size are, made `shape`."""
    from PIL import Image

    reach_yx = np.ceil(np.maximum(grid.step_yx, 1.0)).astype(int) + 1
    first_yx = np.floor(corner_yx).astype(int) - reach_yx
    last_yx = np.ceil(np.add(corner_yx, size_hw)).astype(int) + reach_yx
    read_hw = (last_yx - first_yx).tolist()
    region = slides.read_region(slide, grid.level, first_yx.tolist(), read_hw)
    top, left = np.subtract(corner_yx, first_yx).tolist()
    height, width = size_hw
    # Each axis by itself: Pillow would choose their order, and so rounding, by sizes.
    rows = Image.fromarray(region).resize(
        (shape[1], read_hw[0]),
        Image.Resampling.BILINEAR,
        box=(left, 0, left + width, read_hw[0]),
    )
    both = rows.resize(
        (shape[1], shape[0]),
        Image.Resampling.BILINEAR,
        box=(0, top, shape[1], top + height),
    )
    return np.asarray(both)
