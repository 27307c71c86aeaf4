"""The first page of a TIFF file as plain colour channels; slides are not meant."""

from collections.abc import Iterator
import contextlib
import math
from typing import Any

from etils.epath import Path
import numpy as np

from cellrec_jax.data.pixels import orientation
from cellrec_jax.data.pixels.colors import cmyk_to_rgb, composite_on_white, to_unsigned
from cellrec_jax.errors import DataError

_MIN_IS_WHITE, _PALETTE, _CMYK = 0, 3, 5  # values of the TIFF photometric tag
_PREMULTIPLIED_ALPHA, _ALPHA = 1, 2  # values of the TIFF extra-samples tag


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

    with path.open("rb") as stream, tifffile.TiffFile(stream) as file:
        yield file


def read_first_page(path: Path, max_pixels: int) -> np.ndarray:
    """Reads page 0: planar or interleaved, palette, CMYK, inverted grey, any numbers.

    uint8 or uint16 [H, W, C]: C = 1 grey, 2 with alpha, 3 RGB, 4 with alpha. Too many
    pixels or channels are a `DataError`; damaged files raise whatever tifffile does.
    """
    with opened(path) as file:
        page = file.pages.first
        _check(path, page, max_pixels)
        pixels = _channels_last(page.asarray(), page.axes)
        return _to_color(path, page, pixels)


def read_size(path: Path, max_pixels: int) -> tuple[tuple[int, int], int]:
    """Height and width of page 0 in px, and its orientation; errors as there."""
    with opened(path) as file:
        page = file.pages.first
        tag = page.tags.get(orientation.TAG)
        stored_hw = _check(path, page, max_pixels)
        return stored_hw, orientation.known(tag.value if tag else None)


def check_one_plane(path: Path) -> None:
    """`DataError` for a volume or film, in sets where page 0 must be the only image."""
    with opened(path) as file:
        series = file.series[0]
        sizes = zip(series.axes, series.shape, strict=True)
        num_planes = math.prod(size for axis, size in sizes if axis not in "YXS")
    if num_planes > 1:
        raise DataError(
            f"{path} is a stack of {num_planes} planes: save one plane a file"
        )


def _check(path: Path, page: Any, max_pixels: int) -> tuple[int, int]:
    """Height and width of a page that is not too large and all there."""
    sizes = dict(zip(page.axes, page.shape, strict=True))
    height, width = sizes.get("Y", 0), sizes.get("X", 0)
    check_size(path, height, width, max_pixels)
    # tifffile fills strips that lie behind the end of the file with zeros.
    end = page.parent.filehandle.size
    segments = zip(page.dataoffsets, page.databytecounts, strict=True)
    if any(offset + count > end for offset, count in segments):
        raise DataError(f"{path} is truncated: copy or export it again")
    return height, width


def _channels_last(pixels: np.ndarray, axes: str) -> np.ndarray:
    """Turns axes such as 'YX', 'SYX' or 'ZYXS' into [H, W, S], first of all others."""
    for i in reversed([i for i, axis in enumerate(axes) if axis not in "YXS"]):
        pixels = pixels.take(0, axis=i)
    axes = "".join(axis for axis in axes if axis in "YXS")
    if "S" not in axes:
        pixels, axes = pixels[..., None], axes + "S"
    return pixels.transpose([axes.index(axis) for axis in "YXS"])


def _to_color(path: Path, page: Any, pixels: np.ndarray) -> np.ndarray:
    if page.photometric == _PALETTE and page.colormap is not None:
        # Colour maps are 16-bit by definition; almost all hold 8-bit colours.
        return (page.colormap.T[pixels[..., 0]] >> 8).astype(np.uint8)
    pixels = to_unsigned(pixels)
    if page.photometric == _MIN_IS_WHITE:
        pixels = np.iinfo(pixels.dtype).max - pixels
    count = pixels.shape[-1]
    if page.photometric == _CMYK and count >= 4:
        return cmyk_to_rgb(pixels[..., :4])
    extra = tuple(page.extrasamples)
    if count in (2, 4) and extra[:1] == (_PREMULTIPLIED_ALPHA,):
        return composite_on_white(pixels, premultiplied=True)
    if count in (1, 3) or (count in (2, 4) and extra[:1] == (_ALPHA,)):
        return pixels
    if count == 4:
        return pixels[..., :3]
    raise DataError(f"{path} has {count} channels: save it as grey or RGB")
