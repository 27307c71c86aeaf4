"""Reading image files of any usual kind into one array layout.

TIFF goes through tifffile, 16-bit PNG through imagecodecs (Pillow would cut its
colours to 8 bits), all else through Pillow. Images come as they are shown, turned as
the orientation tag of EXIF or TIFF says: so do viewers and tools for annotation.
"""

from collections.abc import Callable
from pathlib import PurePath
import threading
from typing import IO, NamedTuple, TypeVar

from etils.epath import Path
import numpy as np
from PIL import Image

from cellrec_jax.data.pixels import orientation, tiff
from cellrec_jax.data.pixels.colors import composite_on_white, to_channels, to_unsigned
from cellrec_jax.errors import DataError

MAX_PIXELS = 2**30
"""Largest H * W that is read: 3 GiB as 8-bit RGB. Larger files are slides or bombs."""

_T = TypeVar("_T")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_EXIF = {"exif", "Raw profile type exif"}
_PILLOW_LIMIT = threading.Lock()


def load_image(path: str | PurePath, channels: int = 3) -> np.ndarray:
    """Reads one image file as uint8 or uint16 [H, W, channels].

    Grey becomes equal channels; transparency is composited on white; palettes and
    CMYK become RGB; the first page of a TIFF counts. Number types other than 8 and 16
    bits become uint16 as `colors.to_unsigned` says. 1 channel is the luma. A file that
    is missing, truncated, no image or above `MAX_PIXELS` is a `DataError`.
    """
    return to_channels(_read(Path(path)), channels)


def load_mask(path: str | PurePath) -> np.ndarray:
    """Reads an image file as bool [H, W]: True where it is visible and not black."""
    pixels = _read(Path(path), keep_alpha=True)
    if pixels.shape[-1] in (2, 4):
        return (pixels[..., :-1] != 0).any(-1) & (pixels[..., -1] != 0)
    return (pixels != 0).any(-1)


class Sizes(NamedTuple):
    """Height and width of a file in px, before and after its orientation tag."""

    stored_hw: tuple[int, int]
    shown_hw: tuple[int, int]
    """What `load_image` returns."""
    orientation: int
    """1 to 8 as in EXIF; 1 is as stored. See `orientation.turn_points`."""


def sizes(path: str | PurePath) -> Sizes:
    """Sizes of an image file from its header alone; errors as `load_image`.

    Annotations that state `stored_hw`, where the two sizes differ, are in the frame of
    the stored pixels: `orientation.turn_points` and `turn_boxes` bring them here.
    """
    return _checked(Path(path), _sizes)


def read_size(path: str | PurePath) -> tuple[int, int]:
    """Height and width of an image file in px as shown, from its header alone."""
    return sizes(path).shown_hw


def _read(path: Path, keep_alpha: bool = False) -> np.ndarray:
    """Returns uint8 or uint16 [H, W, 1 | 3], or [..., 2 | 4] with alpha kept."""
    pixels = _checked(path, _decode)
    return pixels if keep_alpha else composite_on_white(pixels)


def _checked(path: Path, read: Callable[[Path, bytes], _T]) -> _T:
    """What `read` makes of a file and its first bytes; every failure is a DataError."""
    try:
        with path.open("rb") as file:
            head = file.read(26)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"cannot read {path}: {reason}") from error
    if not head:
        raise DataError(f"{path} is empty (0 bytes): restore the file or remove it")
    try:
        return read(path, head)
    except (DataError, MemoryError):
        raise
    # Decoders raise every kind of error on damaged files (SyntaxError, struct.error,
    # zlib.error, IndexError, their own): all of them mean the same to the user.
    except Exception as error:
        what = str(error).partition(" <_io")[0]  # Pillow ends with the stream's name
        reason = " ".join(what.split()) or type(error).__name__
        raise DataError(
            f"cannot read {path}: {reason}; the file is damaged or no image"
        ) from error


def _sizes(path: Path, _: bytes) -> Sizes:
    if _is_tiff(path):
        stored_hw, turned = tiff.read_size(path, MAX_PIXELS)
    else:
        with path.open("rb") as stream, _open_pillow(stream) as image:
            tiff.check_size(path, image.height, image.width, MAX_PIXELS)
            stored_hw, turned = (image.height, image.width), _orientation(image)
    return Sizes(stored_hw, orientation.shown_size(stored_hw, turned), turned)


def _orientation(image: Image.Image) -> int:
    """Of an image that Pillow has opened; a PNG's, only if it is before the pixels."""
    if image.format == "PNG" and not image.info.keys() & _PNG_EXIF:
        return orientation.AS_STORED  # Pillow would decode it all to look behind
    return orientation.known(image.getexif().get(orientation.TAG))


def _decode(path: Path, head: bytes) -> np.ndarray:
    if _is_tiff(path):
        pixels = tiff.read_first_page(path, MAX_PIXELS)
    elif head.startswith(_PNG_SIGNATURE) and head[24] == 16:
        pixels = _read_png16(path, head)
    else:
        pixels = _read_pillow(path)
    if 0 in pixels.shape:
        raise DataError(f"{path} has no pixels: remove it")
    return orientation.turn(pixels, _sizes(path, head).orientation)


def _is_tiff(path: Path) -> bool:
    return path.suffix.lower() in (".tif", ".tiff")


def _open_pillow(stream: IO[bytes]) -> Image.Image:
    """Reads the header only; Pillow's global limit of pixels is put back at once."""
    with _PILLOW_LIMIT:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(stream)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _read_pillow(path: Path) -> np.ndarray:
    with path.open("rb") as stream, _open_pillow(stream) as image:
        tiff.check_size(path, image.height, image.width, MAX_PIXELS)
        image.load()
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            return to_unsigned(np.asarray(image))[..., None]
        has_alpha = image.mode in ("LA", "La", "RGBA", "RGBa", "PA")
        if has_alpha or "transparency" in image.info:
            return np.asarray(image.convert("RGBA"))
        if image.mode in ("1", "L"):
            return np.asarray(image.convert("L"))[..., None]
        return np.asarray(image.convert("RGB"))


def _read_png16(path: Path, head: bytes) -> np.ndarray:
    import imagecodecs

    width, height = (int.from_bytes(head[i : i + 4], "big") for i in (16, 20))
    tiff.check_size(path, height, width, MAX_PIXELS)
    pixels = imagecodecs.png_decode(path.read_bytes())
    return pixels[..., None] if pixels.ndim == 2 else pixels
