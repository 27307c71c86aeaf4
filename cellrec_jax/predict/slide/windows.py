"""Windows of a slide at a network's scale, read in threads ahead of the network."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent import futures
import os
from typing import NamedTuple

import numpy as np

from cellrec_jax import errors
from cellrec_jax.data.pixels import slides
from cellrec_jax.predict.slide.grid import Grid

THREADS = max(os.cpu_count() or 1, 2)
_AHEAD = THREADS + 2  # windows that are read or wait for the network, beside a batch


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
    from PIL import Image

    step_yx = np.asarray(grid.step_yx)
    reach_yx = np.ceil(np.maximum(step_yx, 1.0)).astype(int) + 1
    start_yx = np.asarray(origin_yx) * step_yx  # exact, in 64ths
    first_yx = np.floor(start_yx).astype(int) - reach_yx
    last_yx = np.ceil(start_yx + side * step_yx).astype(int) + reach_yx
    size_hw = last_yx - first_yx
    if size_hw.prod() > _MOST_PX:
        raise errors.DataError(
            f"a tile is {size_hw[0]} x {size_hw[1]} px of its level: the slide has no "
            "coarser level; save it as a pyramid"
        )
    region = slides.read_region(
        slide, grid.level, tuple(first_yx.tolist()), tuple(size_hw.tolist())
    )
    top, left = start_yx - first_yx
    height, width = side * step_yx
    box = (left, top, left + width, top + height)
    resized = Image.fromarray(region).resize(
        (side, side), Image.Resampling.BILINEAR, box=box
    )
    return np.asarray(resized)


_MOST_PX = 2**28
