"""The one image of a TIFF file, of whatever else it holds beside; slides fit too.

That is the largest page, or three of one size that are its colours. A stack of planes
is refused: nobody can know which one was annotated.
"""

from collections.abc import Iterator
import contextlib
import logging
import math
from typing import Any, NamedTuple

from etils.epath import Path
import numpy as np

from cellrec_jax.data.pixels import orientation, pixel_size, tiff_channels, tiff_colors
from cellrec_jax.errors import DataError

_BUFFER = 2**24  # bytes read at a time; tifffile's own choice is 2**28
PAGES_UNUSED = "images with other pages in their file (thumbnail, label ...), not used"


class Header(NamedTuple):
    """What a TIFF file says of its image."""

    stored_hw: tuple[int, int]
    orientation: int
    mpp: float
    """Micrometres per px, 0 unknown."""
    notes: tuple[str, ...]
    """What is left out or guessed, one line a kind."""
    channels: int
    bits: int
    """Of each of them."""
    mpp_source: str
    """Which place says it; see `pixel_size`."""


class Image(NamedTuple):
    """Where the image of a file is."""

    page: Any
    """`tifffile.TiffPage`: the image, or the first of its channels."""
    number: int
    """Which of the file's series."""
    channels: Any
    """The `tifffile.TiffPageSeries` of three pages that are its colours, or None."""
    order: tuple[int, ...]
    """Which of the three are red, green and blue."""
    notes: tuple[str, ...]


def check_size(path: Path, height: int, width: int, max_pixels: int) -> None:
    """Raises DataError if an image has more than `max_pixels` pixels."""
    if height * width > max_pixels:
        raise DataError(
            f"{path} is {height} x {width} px, more than {max_pixels:,}: cut it into "
            "tiles (or replace it, if it should be small)"
        )


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Opens a `tifffile.TiffFile`."""
    import tifffile

    # Its own lines, many for one fault: who reads tells of damage.
    tifffile.logger().setLevel(logging.CRITICAL)
    with path.open("rb") as stream, tifffile.TiffFile(stream) as file:
        yield file


def read(path: Path, max_pixels: int) -> tuple[np.ndarray, Header]:
    """Reads the image: planar or interleaved, colours of `tiff_colors`, any numbers.

    uint8 or uint16 [H, W, C], as stored: C = 1 grey, 2 with alpha, 3 RGB, 4 with alpha.
    Stacks, and too many pixels or channels, are a `DataError`; damaged files raise
    whatever tifffile does.
    """
    with opened(path) as file:
        image = find(path, file)
        header = _header(path, file, image, max_pixels)
        if image.channels is None:
            samples = _samples_last(
                image.page.asarray(buffersize=_BUFFER), image.page.axes
            )
        else:
            samples = _samples_last(image.channels.asarray(), image.channels.axes)
            samples = samples[..., list(image.order)]
        notes = list(header.notes)
        pixels = tiff_colors.to_color(path, image.page, samples, notes)
        return pixels, header._replace(notes=tuple(notes))


def read_header(path: Path, max_pixels: int) -> Header:
    """The same without the pixels; errors as `read`."""
    with opened(path) as file:
        return _header(path, file, find(path, file), max_pixels)


def check_one_plane(path: Path) -> None:
    """`DataError` for a file of several planes, where its first page is to be all."""
    with opened(path) as file:
        image = find(path, file)
        if image.channels is not None:
            raise _stack(path, image.channels)


def find(path: Path, file: Any) -> Image:
    """The image of a file: its largest series, which must be of one plane."""
    if file.is_ome and len(file.pages) == 1:
        # One of several files of a set, of which its series would be all.
        return Image(file.pages.first, 0, None, (), ())
    number, series = max(enumerate(file.series), key=lambda s: (_area(s[1]), -s[0]))
    num_alike = sum(s.shape == series.shape for s in file.series) if file.is_ome else 1
    if num_alike > 1:  # fields of view; elsewhere they would be one series
        raise DataError(f"{path} holds {num_alike} images of one size: save one a file")
    notes = (PAGES_UNUSED,) if len(file.series) > 1 else ()
    page, num_planes = series.keyframe, _num_planes(series)
    if num_planes <= 1:
        return Image(page, number, None, (), notes)
    sizes = dict(zip(series.axes, series.shape, strict=True))
    if num_planes != 3 or sizes.get("C") != 3 or page.samplesperpixel > 1:
        raise _stack(path, series)
    order, guessed = tiff_channels.color_order(path, file, number)
    return Image(page, number, series, order, (*notes, *guessed))


def _area(series: Any) -> int:
    return int(series.keyframe.imagelength * series.keyframe.imagewidth)


def _num_planes(series: Any) -> int:
    """Pages, or the slices of a volume that is one page; colours are no planes."""
    page = series.keyframe
    return int(series.size // max(page.size, 1) * page.imagedepth)


def _stack(path: Path, series: Any) -> DataError:
    shape = " x ".join(map(str, series.shape))
    return DataError(
        f"{path} is a stack of {_num_planes(series)} planes ({series.axes} {shape}): "
        "save one plane a file, or its colours as RGB"
    )


def _header(path: Path, file: Any, image: Image, max_pixels: int) -> Header:
    """Checks that the image is not too large and all there."""
    page = image.page
    height, width = page.imagelength, page.imagewidth
    check_size(path, height, width, max_pixels)
    parts = [page] if image.channels is None else image.channels.pages
    if not all(part is not None and is_all_there(part) for part in parts):
        raise DataError(f"{path} is truncated: copy or export it again")
    size = pixel_size.pixel_size(file, page, image.number)
    turned = orientation.known(page.tags.valueof(orientation.TAG))
    notes = (*image.notes, *size.notes)
    channels = page.samplesperpixel if image.channels is None else len(parts)
    kind = channels, page.bitspersample, size.source
    return Header((height, width), turned, size.mpp, notes, *kind)


def is_all_there(page: Any) -> bool:
    """Whether no strip or tile is missing, which tifffile would fill with zeros."""
    end = page.parent.filehandle.size
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    complete = len(segments) >= math.prod(page.chunked)
    return complete and all(offset + count <= end for offset, count in segments)


def _samples_last(pixels: np.ndarray, axes: str) -> np.ndarray:
    """Turns axes such as 'YX', 'SYX' or 'CYX' into [H, W, S]; others have one plane."""
    axes = axes if "S" in axes else axes.replace("C", "S")
    for i in reversed([i for i, axis in enumerate(axes) if axis not in "YXS"]):
        pixels = pixels.take(0, axis=i)
    axes = "".join(axis for axis in axes if axis in "YXS")
    if "S" not in axes:
        pixels, axes = pixels[..., None], axes + "S"
    return pixels.transpose([axes.index(axis) for axis in "YXS"])
