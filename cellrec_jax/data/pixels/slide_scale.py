"""Parts of a slide at any scale, made of the level next above it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cellrec_jax.data.pixels import slides
from cellrec_jax.errors import DataError

STEPS = 64
"""Parts of a px that resampling counts in: sums of steps are exact in float32, so equal
px have equal values wherever a part begins. Rounds the scale by 0.8 % at most."""

_FINER = 1 / (2 * STEPS)  # by which a level may miss the scale
_LEAST_STEP, _GREATEST_STEP = 0.25, 16.0
_STRIP_PX = 2**23  # of a level, read at a time to be resampled


class Scale(NamedTuple):
    """How px of one size are made of a slide."""

    level: int
    """Of the slide, that is read."""
    step_yx: tuple[float, float]
    """Px of that level per px, in 64ths; 1 is not resampled."""
    native_yx: tuple[float, float]
    """Px of level 0 per px."""


def choose(
    levels: Sequence[slides.Level],
    native_yx: Sequence[float] | np.ndarray,
    advice: str,
) -> Scale:
    """The scale next to `native_yx`, px of level 0 per px.

    Reads the coarsest level that is no coarser than that, or level 0. DataError, with
    `advice`, for scales that no right pixel size gives: more than 4 px per px of level
    0, or less than 1/16 per px of the coarsest level.
    """
    native_yx = np.asarray(native_yx, np.float64)
    most = _GREATEST_STEP * max(max(one.downsample_yx) for one in levels)
    if not (native_yx.min() >= _LEAST_STEP and native_yx.max() <= most):
        raise DataError(f"such a scale cannot be meant; {advice}")
    level = max(
        i
        for i, one in enumerate(levels)
        if i == 0 or all(native_yx >= np.multiply(one.downsample_yx, 1 - _FINER))
    )
    downsample_yx = np.asarray(levels[level].downsample_yx)
    step_yx = np.maximum(np.rint(native_yx / downsample_yx * STEPS), 1) / STEPS
    native_y, native_x = (step_yx * downsample_yx).tolist()
    step_y, step_x = step_yx.tolist()
    return Scale(level, (step_y, step_x), (native_y, native_x))


def read(
    slide: slides.Slide,
    level: int,
    step_yx: tuple[float, float],
    origin_yx: Sequence[int],
    size_hw: tuple[int, int],
    bad: list[slides.BadBlock] | None = None,
) -> np.ndarray:
    """Reads a part, its origin and size in px of the scale; white beyond the slide.

    uint8 [h, w, 3]. Bilinear, antialiased, as training images are resized: each px is
    the same sum of the same px of the level in all parts that hold it. Errors as
    `slides.read_region`; where `bad` is given, damaged blocks are white and added to it
    instead.
    """
    if step_yx == (1.0, 1.0):
        return _region(slide, level, origin_yx, size_hw, bad)
    step_y, step_x = step_yx
    height, width = size_hw
    left, extent = origin_yx[1] * step_x, width * step_x  # exact, in 64ths
    rows = max(int(_STRIP_PX / (extent * step_y)), 1)
    whole = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        part = whole[top : top + rows]
        corner_yx = (origin_yx[0] + top) * step_y, left
        part_hw = len(part) * step_y, extent
        part[:] = _resampled(slide, level, step_yx, corner_yx, part_hw, part.shape, bad)
    return whole


def _region(
    slide: slides.Slide,
    level: int,
    origin_yx: Sequence[int],
    size_hw: Sequence[int],
    bad: list[slides.BadBlock] | None,
) -> np.ndarray:
    """A part of a level."""
    if bad is None:
        return slides.read_region(slide, level, origin_yx, size_hw)
    region, blocks = slides.read_around(slide, level, origin_yx, size_hw)
    bad += blocks
    return region


def _resampled(
    slide: slides.Slide,
    level: int,
    step_yx: tuple[float, float],
    corner_yx: tuple[float, float],
    size_hw: tuple[float, float],
    shape: tuple[int, ...],
    bad: list[slides.BadBlock] | None,
) -> np.ndarray:
    """A part of a level, of whose px corner and size are, made `shape`."""
    from PIL import Image

    reach_yx = np.ceil(np.maximum(step_yx, 1.0)).astype(int) + 1
    first_yx = np.floor(corner_yx).astype(int) - reach_yx
    last_yx = np.ceil(np.add(corner_yx, size_hw)).astype(int) + reach_yx
    read_hw = (last_yx - first_yx).tolist()
    region = _region(slide, level, first_yx.tolist(), read_hw, bad)
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
