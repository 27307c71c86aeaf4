"""Slides that are TIFF files, read by tifffile.

OME-TIFF and plain pyramids, which OpenSlide does not open; and of what it opens those
whose pixels are the same here: JPEG tiles take a fifth of its time.
https://github.com/cgohlke/tifffile
"""

import contextlib
from pathlib import Path
from typing import Any, NamedTuple

from etils import epath
import numpy as np

from cellrec_jax.data.pixels import (
    orientation,
    pixel_size,
    slide_mpp,
    slide_tiles,
    tiff,
)
from cellrec_jax.data.pixels.slide_openslide import is_exact
from cellrec_jax.data.pixels.slide_reader import (
    BadRegion,
    ForeignError,
    Reader,
    find_levels,
    one_line,
)
from cellrec_jax.errors import DataError

NAME = "tifffile"
_MANY_PX = 2**26
_TRIED_KINDS = ("aperio", "generic-tiff", "philips")
_TRIED_TILES = 3  # of a level; the fullest may be damaged
_JPEG_OR_APERIO = (*slide_tiles.JPEG, 33003, 33005)
_YCBCR = 6
_GREY = (0, 1)  # photometric: white or black is 0
_COLORS = (*_GREY, 2, 3)  # RGB, palette


class UnsupportedError(DataError):
    """A TIFF that this reader does not read; another may."""


class _Found(NamedTuple):
    reader: Reader
    tiles: slide_tiles.TiledPages
    turned: bool
    """By its orientation tag, by which OpenSlide would turn each tile in its place."""


def open_reader(path: Path) -> Reader:
    """Opens a slide; `ForeignError` for what is no TIFF, else `DataError` and why."""
    return _open(path).reader


def instead_of(slide: Reader, path: Path) -> Reader:
    """The same slide by this reader, if it shows the same pixels.

    Args:
      slide: an open slide of OpenSlide's; closed if another one is returned.
      path: its file.

    Raises:
      DataError: the file holds what OpenSlide shows wrongly: 16 bits as 8, the first
        of several channels.
    """
    if slide.kind not in _TRIED_KINDS:
        return slide
    try:
        found = _open(path)
    except (UnsupportedError, ForeignError):
        return slide
    except DataError:
        slide.close()
        raise
    better, worse = found.reader, slide
    if not found.turned and not _shows_the_same(slide, found):
        better, worse = worse, better
    worse.close()
    return better._replace(
        kind=slide.kind,
        stated_mpp=slide.stated_mpp + found.reader.stated_mpp,
        objective=slide.objective or found.reader.objective,
        bounds_yxyx=slide.bounds_yxyx,
    )


def is_tiled(path: Path) -> bool:
    """Whether a TIFF's image is tiled and has levels or is large, and can be read.

    False too for files that are damaged, or not read as slides.
    """
    with contextlib.suppress(Exception), tiff.opened(epath.Path(path)) as file:
        _, first, *others = _image_and_pages(path, file)
        large = first.imagelength * first.imagewidth > _MANY_PX
        return bool(first.is_tiled and (others or large))
    return False  # damaged files raise any


def is_as_of_scanners(path: Path) -> bool:
    """Whether a TIFF is tiled or OME-TIFF, of any size, and can be read as a slide."""
    with contextlib.suppress(Exception), tiff.opened(epath.Path(path)) as file:
        _, first, *_ = _image_and_pages(path, file)
        return bool(first.is_tiled or file.is_ome)
    return False  # damaged files raise any


def _open(path: Path) -> _Found:
    """Every failure is a `DataError`, `ForeignError` and `UnsupportedError` with it."""
    import tifffile

    stack = contextlib.ExitStack()
    try:
        with stack:
            file = stack.enter_context(tiff.opened(epath.Path(path)))
            return _found(path, file, stack)
    except DataError:
        raise
    except tifffile.TiffFileError as error:
        raise ForeignError(f"tifffile says: {one_line(error)}") from error
    except Exception as error:  # damaged files raise any
        raise UnsupportedError(
            f"cannot read {path}: {one_line(error)}; the file is damaged, copy or "
            "export it again"
        ) from error


def _found(path: Path, file: Any, stack: contextlib.ExitStack) -> _Found:
    """The slide of a file, which `stack` would close and the reader will."""
    image, *pages = _image_and_pages(path, file)
    numbers = find_levels(path, [(p.imagelength, p.imagewidth) for p in pages])
    tiles = slide_tiles.TiledPages(path, file, [pages[number] for number in numbers])
    tag = orientation.known(pages[0].tags.valueof(orientation.TAG))
    turned = tag != orientation.AS_STORED
    notes = ("it is shown as stored, not as its orientation tag says",)
    stated = tuple(pixel_size.stated(file, pages[0], image.number))
    objective = slide_mpp.objective_of_tiff(file, pages[0])
    reader = Reader(
        NAME,
        "",
        tuple(numbers.values()),
        tiles.read,
        stack.pop_all().close,
        stated,
        objective,
        notes=notes if turned else (),
        blocks_hw=tuple(slide_tiles.tile_size(page) for page in tiles.pages),
    )
    return _Found(reader, tiles, turned)


def _image_and_pages(path: Path, file: Any) -> tuple[Any, ...]:
    """The image of `tiff.find` and its `tifffile.TiffPage`s, checked, finest first."""
    if not file.series:
        raise UnsupportedError(f"{path} is truncated: copy or export it again")
    image = tiff.find(epath.Path(path), file)
    if image.channels is not None:
        raise DataError(f"{path} has its colours on three pages: export it as RGB")
    series = file.series[image.number]
    pages = [image.page]
    if series.size == image.page.size:  # else one file of a set
        pages += [level.keyframe for level in series.levels[1:]]
    for page in pages:
        _check_pixels(path, page)
        _check_tiles(path, page)
    return image, *pages


def _check_pixels(path: Path, page: Any) -> None:
    """Only 8-bit RGB and grey, in compressions that are known."""
    if page.dtype != np.uint8 or page.bitspersample != 8:
        bits = page.dtype or f"{page.bitspersample} bits"
        raise DataError(
            f"{path} holds numbers of {bits}, no colours of 8 bits: fluorescence is "
            "not read as a slide, export what is to be seen as 8-bit RGB"
        )
    kind, compression = int(page.photometric), int(page.compression)
    num_colors = slide_tiles.num_colors(page)
    if kind in _GREY and not num_colors:
        raise DataError(
            f"{path} has {page.samplesperpixel} channels that are no RGB: export what "
            "is to be seen as 8-bit RGB"
        )
    known = kind in _COLORS or (kind == _YCBCR and compression in _JPEG_OR_APERIO)
    if not known or not num_colors:
        name = getattr(page.photometric, "name", page.photometric)
        raise UnsupportedError(
            f"{path} has {page.samplesperpixel} samples a px in colours ({name}) that "
            "are not read of slides: export it as 8-bit RGB"
        )
    if compression not in slide_tiles.COMPRESSIONS:
        name = getattr(page.compression, "name", compression)
        raise UnsupportedError(
            f"{path} has tiles compressed in a way ({name}) that is not read: export "
            "it as OME-TIFF with JPEG"
        )


def _check_tiles(path: Path, page: Any) -> None:
    """Tiles of a sane size that are all there; of count 0 they are white."""
    tile_bytes = np.prod(slide_tiles.tile_size(page), dtype=float)
    tile_bytes *= page.samplesperpixel
    if not 0 < tile_bytes <= slide_tiles.MOST_TILE_BYTES:
        raise DataError(
            f"{path} has tiles or strips of {tile_bytes:,.0f} bytes, of which one is "
            "all that is decoded at a time: export it as OME-TIFF with tiles"
        )
    if not tiff.is_all_there(page):
        raise DataError(f"{path} is truncated: copy or export it again")


def _shows_the_same(slide: Reader, found: _Found) -> bool:
    """Whether the fullest tiles of level 0 and of a lower level are read alike."""
    pages, levels = found.tiles.pages, found.reader.levels
    sizes = [level.size_hw for level in levels]
    if slide.levels[0] != levels[0] or {one.size_hw for one in slide.levels} - {*sizes}:
        return False
    if slide.kind == "aperio" and not all(map(all, (p.databytecounts for p in pages))):
        return False  # OpenSlide makes missing tiles of finer ones
    return all(
        _level_shows_the_same(slide, level, found, sizes.index(one.size_hw))
        for level, one in enumerate(slide.levels[:2])
    )


def _level_shows_the_same(
    slide: Reader, level: int, found: _Found, own_level: int
) -> bool:
    """`level` is OpenSlide's number; tiles that both find damaged are passed over."""
    page, size_hw = found.tiles.pages[own_level], slide.levels[level].size_hw
    tile_h, tile_w = slide_tiles.tile_size(page)
    rows, columns = slide_tiles.grid_size(page)
    ratios = [
        whole / own for whole, own in zip(slide.levels[0].size_hw, size_hw, strict=True)
    ]
    by = sum(ratios) / 2  # as OpenSlide has it
    exact_y = [is_exact(row * tile_h, tile_h, by) for row in range(rows)]
    exact_x = [is_exact(column * tile_w, tile_w, by) for column in range(columns)]
    counts = np.array(page.databytecounts[: rows * columns]).reshape(rows, columns)
    counts = np.where(np.outer(exact_y, exact_x), counts, -1)
    for index in np.argsort(-counts, axis=None)[:_TRIED_TILES]:
        row, column = divmod(int(index), columns)
        if counts[row, column] < 0:
            break
        origin = row * tile_h, column * tile_w
        shape = min(tile_h, size_hw[0] - origin[0]), min(tile_w, size_hw[1] - origin[1])
        shown = _read(slide, level, origin, shape)
        own = _read(found.reader, own_level, origin, shape)
        if shown is not None and own is not None:
            return np.array_equal(shown, own)
        if shown is not own:
            return False
    return False


def _read(
    reader: Reader, level: int, origin_yx: tuple[int, int], size_hw: tuple[int, int]
) -> np.ndarray | None:
    """A region; None where it is damaged."""
    try:
        return reader.read(level, origin_yx, size_hw)
    except BadRegion:
        return None
