"""Where on a slide there is tissue: a small mask, and which tiles touch it.

A px of the thumbnail is tissue where it is darker than glass by `LEAST_DENSITY`, or
coloured by `LEAST_CHROMA`; on dark slides (fluorescence) where it is brighter than the
ground. Low limits and a margin: what is pale is looked at rather than lost.
"""

from collections.abc import Sequence
import math
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from cellrec_jax.data.pixels import slides
from cellrec_jax.predict.slide.grid import Grid

LEAST_DENSITY = 0.04
"""Mean optical density over that of glass: 9 % darker."""
LEAST_CHROMA = 18
"""Difference of the largest and the smallest of three channels, of 255, over glass."""
DARK = 80
"""Grey value that the median of slides on dark ground (fluorescence) is below."""
_LEAST_GLASS, _GLASS_CHROMA = 225, 8  # else all of it may be tissue
_BRIGHTER = (4.0, 10.0)  # least and most values over a dark ground
_LEAST_PX = 12  # thumbnail px of a piece that is no dust: a speck is 9, smoothed
_LEAST_LIT_PX = 4  # the same on a dark ground, where one nucleus is all there is
_MARGIN_PX = 2  # thumbnail px around tissue
_UM = 8.0  # of a px of the thumbnail that tissue is looked for in
_SIDES_PX = (256, 3072)  # of that
_BLOCK_PX = 2**24  # px that are read at a time


class Mask(NamedTuple):
    """Parts of a slide."""

    inside: np.ndarray
    """bool [h, w]."""
    native_px: tuple[float, float]
    """Px of level 0 a px of the mask, (y, x)."""

    def holds(self, points_yx: np.ndarray) -> np.ndarray:
        """Whether points [M, 2], px of level 0, are inside; bool [M]."""
        places = np.floor(points_yx / np.asarray(self.native_px)).astype(np.int64)
        y, x = np.clip(places, 0, np.subtract(self.inside.shape, 1)).T
        return self.inside[y, x]


class Thumbnail(NamedTuple):
    """A slide made small."""

    image: np.ndarray
    """uint8 [h, w, 3]."""
    seen: np.ndarray
    """bool [h, w]; False where the file is damaged."""
    native_px: tuple[float, float]
    """Px of level 0 a px of it, (y, x)."""


def side_of(size_hw: Sequence[int], mpp: float) -> int:
    """Side of the thumbnail that tissue is looked for in, px: about 8 um each."""
    return int(np.clip(max(size_hw) * mpp / _UM, *_SIDES_PX))


def thumbnail(slide: slides.Slide, side_px: int) -> Thumbnail:
    """Means of squares of the coarsest level that has `side_px`, read in strips."""
    levels, level = slide.levels, _level_of(slide, side_px)
    height, width = levels[level].size_hw
    square = max(-(-max(height, width) // side_px), 1)
    rows, columns = -(-height // square), -(-width // square)
    image = np.full((rows, columns, 3), 255, np.uint8)
    seen = np.ones((rows, columns), bool)
    strip = max(_BLOCK_PX // (width * square), 1)
    for top in range(0, rows, strip):
        here = slice(top, min(top + strip, rows))
        size_hw = ((here.stop - top) * square, columns * square)
        region, bad = slides.read_around(slide, level, (top * square, 0), size_hw)
        _hide(seen, bad, (square, square))
        last = min(height - top * square, size_hw[0])  # beyond the slide it is white
        region[last:] = region[last - 1]
        region[:, width:] = region[:, width - 1 : width]
        shape = (size_hw[0] // square, square, columns, square, 3)
        image[here] = region.reshape(shape).mean((1, 3), dtype=np.float32).round()
    down_y, down_x = levels[level].downsample_yx
    return Thumbnail(image, seen, (square * down_y, square * down_x))


def drawn(slide: slides.Slide, side_px: int) -> Thumbnail:
    """A slide whose longer side is `side_px`, or all of its px if they are fewer.

    Means of whatever part of the next finer level a px covers, read in strips.
    """
    levels, level = slide.levels, _level_of(slide, side_px)
    height, width = levels[level].size_hw
    ratio = max(max(height, width) / side_px, 1.0)
    rows, columns = (max(round(side / ratio), 1) for side in (height, width))
    image = np.full((rows, columns, 3), 255, np.uint8)
    seen = np.ones((rows, columns), bool)
    strip = max(int(_BLOCK_PX / (width * height / rows)), 1)
    for top in range(0, rows, strip):
        bottom = min(top + strip, rows)
        low, high = (end * height / rows for end in (top, bottom))
        first = int(low)
        size_hw = (min(math.ceil(high), height) - first, width)
        region, bad = slides.read_around(slide, level, (first, 0), size_hw)
        _hide(seen, bad, (height / rows, width / columns))
        box = (0, low - first, width, min(high - first, size_hw[0]))
        shape = (columns, bottom - top)
        small = Image.fromarray(region).resize(shape, Image.Resampling.BOX, box)
        image[top:bottom] = np.asarray(small)
    native_hw = np.asarray(levels[0].size_hw) / (rows, columns)
    return Thumbnail(image, seen, (float(native_hw[0]), float(native_hw[1])))


def _hide(
    seen: np.ndarray, bad: Sequence[slides.BadBlock], level_px: Sequence[float]
) -> None:
    """Marks px of a thumbnail that damaged blocks touch; it has `level_px` a px."""
    for block in bad:
        ends = np.reshape(block.yxyx, (2, 2)) / level_px
        (top, left), (bottom, right) = np.floor(ends[0]), np.ceil(ends[1])
        seen[int(top) : int(bottom), int(left) : int(right)] = False


def _level_of(slide: slides.Slide, side_px: int) -> int:
    """The coarsest level whose longer side is `side_px` or more; else the finest."""
    sides = [max(level.size_hw) for level in slide.levels]
    return max(i for i, side in enumerate(sides) if i == 0 or side >= side_px)


def find(small: Thumbnail, margin_px: int = _MARGIN_PX) -> Mask:
    """The tissue of a thumbnail; what cannot be seen counts as tissue."""
    return Mask(inside(small.image, margin_px) | ~small.seen, small.native_px)


def inside(image: np.ndarray, margin_px: int = _MARGIN_PX) -> np.ndarray:
    """The tissue of a small image [h, w, 3] in 0..255, and a margin: bool [h, w]."""
    values = ndimage.uniform_filter(image.astype(np.float32), (3, 3, 0))
    least_px = _LEAST_PX
    if np.median(values) < DARK:
        light = values.max(-1)  # of the brightest stain: a mean of channels dims it
        ground = np.percentile(light, 5)  # most of it may be tissue
        low = light[light <= np.median(light)]
        spread = np.median(np.abs(low - ground))
        found = light > ground + np.clip(6 * spread, *_BRIGHTER)
        least_px = _LEAST_LIT_PX
    else:
        glass = np.percentile(values.reshape(-1, 3), 98, axis=0)
        if glass.min() < _LEAST_GLASS or np.ptp(glass) > _GLASS_CHROMA:
            glass = np.full(3, 240.0)
        density = np.log10(glass / np.clip(values, 1, glass)).mean(-1)
        relative = values / glass * 255
        chroma = relative.max(-1) - relative.min(-1)
        found = (density > LEAST_DENSITY) | (chroma > LEAST_CHROMA)
    pieces, number = ndimage.label(found, np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=number + 1)
    found &= sizes[pieces] >= least_px
    if margin_px:  # 0 would be as far as it goes
        found = ndimage.binary_dilation(found, np.ones((3, 3)), margin_px)
    return found


def everything(small: Thumbnail) -> Mask:
    """A mask of the whole slide."""
    return Mask(np.ones_like(small.seen), small.native_px)


def touched(mask: Mask, grid: Grid) -> np.ndarray:
    """Which tiles own a part of what is inside: bool [num_rows, num_columns]."""
    found = np.zeros((grid.num_rows, grid.num_columns), bool)
    per_y, per_x = np.divide(grid.native_yx, mask.native_px) * grid.own_px
    height, width = mask.inside.shape
    for row in range(grid.num_rows):
        top = min(int(row * per_y), height - 1)
        bottom = max(min(int(np.ceil((row + 1) * per_y)), height), top + 1)
        columns = np.asarray(mask.inside[top:bottom].any(axis=0))
        for column in range(grid.num_columns):
            left = min(int(column * per_x), width - 1)
            right = max(min(int(np.ceil((column + 1) * per_x)), width), left + 1)
            found[row, column] = columns[left:right].any()
    return found
