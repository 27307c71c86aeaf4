"""Slides of the formats that OpenSlide reads.

A handle that met one bad tile refuses all later reads: it is closed, and the next read
opens another. https://openslide.org/formats
"""

from collections import deque
from collections.abc import Iterator, Mapping
import contextlib
import errno
import itertools
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from cellrec_jax.data.pixels.colors import over_white
from cellrec_jax.data.pixels.slide_reader import (
    CACHE_BYTES,
    BadRegion,
    ForeignError,
    Reader,
    find_levels,
    one_line,
)
from cellrec_jax.errors import DataError

NAME = "openslide"
_NOT_READ = ("I/O error", os.strerror(errno.EMFILE))
"""What OpenSlide says where a file is there and fails."""
_BLOCK = 256  # px of a level that are blended alike
_MOST_BLOCK = 2048  # px of a side, of which a part is as good
_CENTER = tuple(f"hamamatsu.{axis}OffsetFromSlideCentre" for axis in "YX")
_BLENDED = 1 / 512  # px: what cairo does not take for a fraction


def open_reader(path: Path) -> Reader:
    """Opens a slide; `ForeignError` for a format it does not know, else `DataError`."""
    import openslide

    try:
        handle = openslide.OpenSlide(path)
        sizes_hw = [(height, width) for width, height in handle.level_dimensions]
        downsamples = handle.level_downsamples
        properties = handle.properties  # not all can be listed: of damaged names
    except openslide.OpenSlideUnsupportedFormatError as error:
        raise ForeignError(f"OpenSlide says: {one_line(error)}") from error
    except openslide.OpenSlideError as error:
        raise DataError(
            f"cannot read {path}: OpenSlide says: {one_line(error)}; copy it again, "
            "or export it as OME-TIFF"
        ) from error
    slide = _Slide(path, handle)
    numbers = find_levels(path, sizes_hw)
    levels = tuple(numbers.values())
    kind = properties.get(openslide.PROPERTY_NAME_VENDOR, "")

    def read(
        level: int, origin_yx: tuple[int, int], size_hw: tuple[int, int]
    ) -> np.ndarray:
        number = list(numbers)[level]
        by = downsamples[number]
        if by.is_integer():
            place_yx = [round(origin * by) for origin in origin_yx]
            return slide.read(number, place_yx, size_hw)
        region = np.empty((*size_hw, 3), np.uint8)
        spans_yx = [
            list(_spans(origin, size))
            for origin, size in zip(origin_yx, size_hw, strict=True)
        ]
        for (y, own_y, cut_y), (x, own_x, cut_x) in itertools.product(*spans_yx):
            place_yx = [round(y * by), round(x * by)]
            block = slide.read(number, place_yx, (cut_y.stop, cut_x.stop))
            region[own_y, own_x] = block[cut_y, cut_x]
        return region

    sizes = [
        _number(properties.get(name, ""))
        for name in (openslide.PROPERTY_NAME_MPP_Y, openslide.PROPERTY_NAME_MPP_X)
    ]
    return Reader(
        NAME,
        kind,
        levels,
        read,
        slide.close,
        ((f"OpenSlide ({kind})", (sizes[0], sizes[1])),) if all(sizes) else (),
        _number(properties.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER, "")),
        _bounds(properties, levels[0].size_hw),
        _center(properties),
        _notes([downsamples[number] for number in numbers]),
        tuple(_block_hw(properties, number) for number in numbers),
    )


def is_exact(origin: int, size: int, downsample: float) -> bool:
    """Whether OpenSlide shows a part of a level, along an axis in px, as it is stored.

    It takes places of level 0 alone, and blends neighbouring px where a block's is none
    of the level's.

    Example:
      >>> is_exact(700, 9, 4.0), is_exact(0, 256, 2.0005), is_exact(0, 257, 2.0005)
      (True, True, False)
    """
    return all(
        abs(round(start * downsample) / downsample - start) < _BLENDED
        for start, _, _ in _spans(origin, size)
    )


def _spans(origin: int, size: int) -> Iterator[tuple[int, slice, slice]]:
    """The blocks of a part of an axis: start, place in the part, place in the block.

    Always the same ones, so that px do not depend on which part is asked for.
    """
    for start in range(origin // _BLOCK * _BLOCK, origin + size, _BLOCK):
        first, last = max(start, origin), min(start + _BLOCK, origin + size)
        yield (
            start,
            slice(first - origin, last - origin),
            slice(first - start, last - start),
        )


class _Slide:
    """Handles of one slide, each lent to one thread at a time."""

    def __init__(self, path: Path, handle: Any) -> None:
        import openslide

        self._path = path
        self._cache = openslide.OpenSlideCache(CACHE_BYTES)
        handle.set_cache(self._cache)
        self._free = deque([handle])
        self._closed = False

    def read(
        self, number: int, place_yx: list[int], size_hw: tuple[int, int]
    ) -> np.ndarray:
        """OpenSlide's level `number` at a place of level 0; OSError if it is lost."""
        import openslide

        handle = self._borrow()
        try:
            image = handle.read_region(place_yx[::-1], number, size_hw[::-1])
        except openslide.OpenSlideError as error:
            handle.close()
            text = f"OpenSlide says: {one_line(error)}"
            if any(words in text for words in _NOT_READ):
                raise OSError(text) from error
            self._path.stat()  # an OSError where the file is lost
            raise BadRegion(text) from error
        except BaseException:
            handle.close()
            raise
        self._free.append(handle)
        if self._closed:
            self.close()
        return _to_rgb(np.asarray(image))

    def close(self) -> None:
        """Closes the handles; those that are lent when they come back."""
        self._closed = True
        with contextlib.suppress(IndexError):
            while True:
                self._free.pop().close()

    def _borrow(self) -> Any:
        """A handle; OSError where none can be opened, for once one could."""
        import openslide

        with contextlib.suppress(IndexError):
            return self._free.pop()
        try:
            handle = openslide.OpenSlide(self._path)
        except openslide.OpenSlideError as error:
            with self._path.open("rb") as file:  # which may say why
                file.read(1)
            raise OSError(f"OpenSlide says: {one_line(error)}") from error
        handle.set_cache(self._cache)
        return handle


def _to_rgb(pixels: np.ndarray) -> np.ndarray:
    """RGBA [h, w, 4] on white; transparent is what was not scanned."""
    color, alpha = pixels[..., :3], pixels[..., 3:]
    if alpha.size and alpha.min() < 255:
        return over_white(color, alpha)
    return np.ascontiguousarray(color)


def _block_hw(properties: Mapping[str, str], number: int) -> tuple[int, int]:
    """Height and width of the tiles of OpenSlide's level `number`, px."""
    names = (f"openslide.level[{number}].tile-{side}" for side in ("height", "width"))
    height, width = (int(_number(properties.get(name, ""))) for name in names)
    is_sane = min(height, width) > 0 and max(height, width) <= _MOST_BLOCK
    return (height, width) if is_sane else (_BLOCK, _BLOCK)


def _number(text: str) -> float:
    """A positive number, else 0."""
    try:
        return max(float(text), 0.0)
    except ValueError:
        return 0.0


def _bounds(
    properties: Mapping[str, str], size_hw: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """The scanned part inside of the slide; None where it is not said."""
    import openslide

    try:
        top, left, height, width = (
            int(float(properties[name]))
            for name in (
                openslide.PROPERTY_NAME_BOUNDS_Y,
                openslide.PROPERTY_NAME_BOUNDS_X,
                openslide.PROPERTY_NAME_BOUNDS_HEIGHT,
                openslide.PROPERTY_NAME_BOUNDS_WIDTH,
            )
        )
    except (LookupError, ValueError, OverflowError):
        return None
    bottom, right = min(top + height, size_hw[0]), min(left + width, size_hw[1])
    top, left = max(top, 0), max(left, 0)
    return (top, left, bottom, right) if top < bottom and left < right else None


def _center(properties: Mapping[str, str]) -> tuple[float, float] | None:
    """Middle of level 0 from that of the glass, nm; None where it is not said."""
    try:
        y, x = (float(properties[name]) for name in _CENTER)
    except (LookupError, ValueError):
        return None
    return (y, x) if math.isfinite(y) and math.isfinite(x) else None


def _notes(downsamples: list[float]) -> tuple[str, ...]:
    """Tells of levels whose px OpenSlide blends."""
    uneven = [i for i, by in enumerate(downsamples) if not by.is_integer()]
    if not uneven:
        return ()
    which = ", ".join(map(str, uneven))
    return (
        f"px of level {which} are blended by up to half a px of level 0: their "
        "downsampling is no whole number",
    )
