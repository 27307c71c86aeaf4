"""Reading image files of any usual kind into one array layout.

What a file is goes by its content, not by its name. TIFF goes through tifffile, 16-bit
PNG through imagecodecs (Pillow would cut its colours to 8 bits), all else through
Pillow. Images come as they are shown, turned as the orientation tag of EXIF or TIFF
says: so do viewers and tools for annotation.
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
from cellrec_jax.data.pixels.files import ENDINGS_OF, IMAGE_ENDINGS
from cellrec_jax.errors import DataError

MAX_PIXELS = 2**30
"""Largest H * W that is read: 3 GiB as 8-bit RGB. Larger files are slides or bombs."""
TURNED = "images turned as their orientation tag says"
OTHER_ENDING = "images whose content is not what the end of their name says"
FRAMES_UNUSED = "images with further pictures in their file, not used"

_T = TypeVar("_T")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_FORMATS = (*(name for name in ENDINGS_OF if name != "TIFF"), "DIB", "GIF")
_BITS = {"1": 1, "F": 32, **dict.fromkeys(("I", "I;16", "I;16B", "I;16L"), 16)}
_PNG_EXIF = {"exif", "Raw profile type exif"}
_PILLOW_LIMIT = threading.Lock()


class Sizes(NamedTuple):
    """Height and width of a file in px, before and after its orientation tag."""

    stored_hw: tuple[int, int]
    shown_hw: tuple[int, int]
    """What `load_image` returns."""
    orientation: int
    """1 to 8 as in EXIF; 1 is as stored. See `orientation.turn_points`."""


class Header(NamedTuple):
    """What is known of an image file without its pixels."""

    sizes: Sizes
    mpp: float = 0.0
    """Micrometres per px, 0 unknown; see `pixel_size`."""
    notes: tuple[str, ...] = ()
    """What was turned, left out or guessed: a line for each kind, as "images ..."."""
    channels: int = 0
    """As they are stored, alpha among them; 1 of a palette."""
    bits: int = 0
    """Of each of them, as stored."""
    mpp_source: str = ""
    """Which place of the file says `mpp`."""


class Picture(NamedTuple):
    """An image as shown, and what is to be told of it."""

    pixels: np.ndarray
    """uint8 or uint16 [H, W, C], C-contiguous."""
    header: Header
    """Its notes tell of the pixels too."""


def load(path: str | PurePath, channels: int = 3) -> Picture:
    """Reads one image file as uint8 or uint16 [H, W, channels].

    Grey becomes equal channels; transparency is composited on white; palettes, CMYK and
    what `tiff_colors` knows become RGB; of a TIFF its largest page counts. Number types
    other than 8 and 16 bits become uint16 as `colors.to_unsigned` says. 1 channel is
    the luma. A file that is missing, truncated, no image, a stack or film, or above
    `MAX_PIXELS` is a `DataError`.
    """
    found = _checked(Path(path), _decode)
    notes = list(found.header.notes)
    pixels = composite_on_white(found.pixels, notes=notes)
    header = found.header._replace(notes=tuple(notes))
    return Picture(to_channels(pixels, channels), header)


def load_image(path: str | PurePath, channels: int = 3) -> np.ndarray:
    """The pixels of `load` alone."""
    return load(path, channels).pixels


def load_mask(path: str | PurePath) -> np.ndarray:
    """Reads an image file as bool [H, W]: True where it is visible and not black."""
    pixels = _checked(Path(path), _decode).pixels
    if pixels.shape[-1] in (2, 4):
        shown = pixels[..., -1] != 0
        lit = (pixels[..., :-1] != 0).any(-1)
        return lit & shown if shown.any() else lit  # as `load`: such alpha is none
    return (pixels != 0).any(-1)


def header(path: str | PurePath) -> Header:
    """What an image file says of itself, without its pixels; errors as `load`."""
    return _checked(Path(path), _header)


def sizes(path: str | PurePath) -> Sizes:
    """Sizes of an image file from its header alone; errors as `load`.

    Annotations that state `stored_hw`, where the two sizes differ, are in the frame of
    the stored pixels: `orientation.turn_points` and `turn_boxes` bring them here.
    """
    return header(path).sizes


def read_size(path: str | PurePath) -> tuple[int, int]:
    """Height and width of an image file in px as shown, from its header alone."""
    return sizes(path).shown_hw


def mpp(path: str | PurePath) -> float:
    """Micrometres per px that an image file gives, 0 unknown; see `pixel_size`.

    Sizes that are passed over are in the notes of `header`.
    """
    return header(path).mpp


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
        reason = _reason(error)
        if isinstance(error, NotImplementedError) or "not supported" in reason:
            raise DataError(
                f"{path} is of a kind that is not read ({reason}): save it as PNG or "
                "as plain TIFF"
            ) from error
        raise DataError(
            f"cannot read {path}: {reason}; the file is damaged or no image"
        ) from error


def _reason(error: Exception) -> str:
    what = str(error).partition(" <_io")[0]  # Pillow ends with the stream's name
    return " ".join(what.split()) or type(error).__name__


def _header(path: Path, head: bytes) -> Header:
    if head.startswith(_TIFF_SIGNATURES):
        return _of_tiff(path, tiff.read_header(path, MAX_PIXELS))
    with path.open("rb") as stream, _open_pillow(stream) as image:
        return _of_pillow(path, head, image)


def _decode(path: Path, head: bytes) -> Picture:
    """Pixels with alpha, if there is one: [H, W, 1 to 4]."""
    if head.startswith(_TIFF_SIGNATURES):
        pixels, found = tiff.read(path, MAX_PIXELS)
        header = _of_tiff(path, found)
    else:
        with path.open("rb") as stream, _open_pillow(stream) as image:
            notes: list[str] = []
            header = _of_pillow(path, head, image)
            if head.startswith(_PNG_SIGNATURE) and head[24] == 16:
                pixels = _read_png16(path)
            else:
                pixels = _read_pillow(image, notes)
            header = header._replace(notes=(*header.notes, *notes))
    if 0 in pixels.shape:
        raise DataError(f"{path} has no pixels: remove it")
    return Picture(orientation.turn(pixels, header.sizes.orientation), header)


def _of_tiff(path: Path, found: tiff.Header) -> Header:
    header = _make_header(path, "TIFF", found.stored_hw, found.orientation)
    notes = (*header.notes, *found.notes)
    return Header(
        header.sizes, found.mpp, notes, found.channels, found.bits, found.mpp_source
    )


def _of_pillow(path: Path, head: bytes, image: Image.Image) -> Header:
    """Of an image of which Pillow has read the header."""
    tiff.check_size(path, image.height, image.width, MAX_PIXELS)
    num_frames = getattr(image, "n_frames", 1)
    if num_frames > 1 and image.format != "MPO":
        raise DataError(
            f"{path} is a film of {num_frames} pictures: save one picture a file"
        )
    turned = orientation.AS_STORED
    # Pillow would decode a whole PNG to look for EXIF behind its pixels.
    if image.format != "PNG" or image.info.keys() & _PNG_EXIF:
        turned = orientation.known(image.getexif().get(orientation.TAG))
    kind = {"MPO": "JPEG", "DIB": "BMP"}.get(image.format or "", image.format or "")
    header = _make_header(path, kind, (image.height, image.width), turned)
    unused = (FRAMES_UNUSED,) if num_frames > 1 else ()
    bits = head[24] if image.format == "PNG" else _BITS.get(image.mode, 8)
    return header._replace(
        notes=(*header.notes, *unused), channels=len(image.getbands()), bits=bits
    )


def _make_header(
    path: Path, kind: str, stored_hw: tuple[int, int], turned: int
) -> Header:
    sizes = Sizes(stored_hw, orientation.shown_size(stored_hw, turned), turned)
    ending = path.suffix.lower()
    notes = [
        (TURNED, turned != orientation.AS_STORED),
        (
            OTHER_ENDING,
            ending in IMAGE_ENDINGS and ending not in ENDINGS_OF.get(kind, ()),
        ),
    ]
    return Header(sizes, notes=tuple(note for note, holds in notes if holds))


def _open_pillow(stream: IO[bytes]) -> Image.Image:
    """Reads the header only; Pillow's global limit of pixels is put back at once."""
    with _PILLOW_LIMIT:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(stream, formats=_FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _read_pillow(image: Image.Image, notes: list[str]) -> np.ndarray:
    image.load()
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return to_unsigned(np.asarray(image), notes)[..., None]
    has_alpha = image.mode in ("LA", "La", "RGBA", "RGBa", "PA")
    if has_alpha or "transparency" in image.info:
        return np.asarray(image.convert("RGBA"))
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))[..., None]
    return np.asarray(image.convert("RGB"))


def _read_png16(path: Path) -> np.ndarray:
    import imagecodecs

    pixels = imagecodecs.png_decode(path.read_bytes())
    return pixels[..., None] if pixels.ndim == 2 else pixels
