"""Reading image files of any usual kind into one array layout.

TIFF goes through tifffile, 16-bit PNG through imagecodecs (Pillow would cut its
colours to 8 bits), all else through Pillow. EXIF orientation is not applied:
annotations are in the frame of the stored pixels.
"""

import os
from pathlib import Path
import re
import threading

import numpy as np
from PIL import Image

from cellrec_jax.data.pixels import tiff
from cellrec_jax.data.pixels.colors import composite_on_white, to_channels, to_unsigned
from cellrec_jax.errors import DataError

IMAGE_ENDINGS = (
    ".png",
    ".jpg",
    ".jpeg",
    ".tif",
    ".tiff",
    ".bmp",
    ".webp",
    ".ppm",
    ".pgm",
    ".pnm",
)
MAX_PIXELS = 2**30
"""Largest H * W that is read: 3 GiB as 8-bit RGB. Larger files are slides or bombs."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PILLOW_LIMIT = threading.Lock()


def natural_key(text: str) -> tuple[tuple[str | int, ...], str]:
    """Sort key that puts 'a2' before 'a10'; ties fall back to the plain text.

    Example:
      >>> sorted(["12", "train/10", "train/2", "2"], key=natural_key)
      ['2', '12', 'train/2', 'train/10']
    """
    parts = re.split("([0-9]+)", text)
    # Digits stand at odd places, so keys never compare a number with a text.
    return tuple(int(p) if i % 2 else p for i, p in enumerate(parts)), text


def list_images(folder: str | Path, recursive: bool = False) -> list[Path]:
    """Lists the image files of a folder, naturally sorted; hidden files are skipped.

    Args:
      folder: where to look.
      recursive: also look into sub-folders, but not through symbolic links.

    Returns:
      Paths, `folder` included.

    Raises:
      DataError: if the folder does not exist.
    """
    return list_files(folder, IMAGE_ENDINGS, recursive)


def list_files(
    folder: str | Path, endings: tuple[str, ...], recursive: bool = False
) -> list[Path]:
    """Lists files by ending (lower case, with dot), as `list_images` does."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: check the path")
    found = []
    for directory, subfolders, names in os.walk(folder):
        if not recursive:
            subfolders.clear()
        subfolders[:] = [s for s in subfolders if not s.startswith((".", "__"))]
        found += [
            Path(directory, name)
            for name in names
            if name.lower().endswith(endings) and not name.startswith(".")
        ]
    return sorted(found, key=lambda p: natural_key(p.relative_to(folder).as_posix()))


def load_image(path: str | Path, channels: int = 3) -> np.ndarray:
    """Reads one image file.

    Grey becomes equal channels; transparency is composited on white; palettes and
    CMYK become RGB; the first page of a TIFF counts. 8 and 16 bits are kept; other
    number types become uint16 as `colors.to_unsigned` says.

    Args:
      path: the file; its size may be at most `MAX_PIXELS`.
      channels: 3 for RGB or 1 for grey (ITU-R 601 luma of colour images).

    Returns:
      uint8 or uint16 [H, W, channels].

    Raises:
      DataError: if the file is missing, truncated, too large or no image.
    """
    return to_channels(_read(Path(path)), channels)


def load_mask(path: str | Path) -> np.ndarray:
    """Reads an image file as bool [H, W]: True where any colour is not 0.

    Fully transparent pixels are False, whatever their colour.

    Raises:
      DataError: as `load_image`.
    """
    pixels = _read(Path(path), keep_alpha=True)
    if pixels.shape[-1] in (2, 4):
        return (pixels[..., :-1] != 0).any(-1) & (pixels[..., -1] != 0)
    return (pixels != 0).any(-1)


def _read(path: Path, keep_alpha: bool = False) -> np.ndarray:
    """Returns uint8 or uint16 [H, W, 1 | 3], or [..., 2 | 4] with alpha kept."""
    try:
        with path.open("rb") as file:
            head = file.read(26)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"cannot read {path}: {reason}") from error
    if not head:
        raise DataError(f"{path} is empty (0 bytes): restore the file or remove it")
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            pixels = tiff.read_first_page(path, MAX_PIXELS)
        elif head.startswith(_PNG_SIGNATURE) and head[24] == 16:
            pixels = _read_png16(path, head)
        else:
            pixels = _read_pillow(path)
    except (DataError, MemoryError):
        raise
    # Decoders raise every kind of error on damaged files (SyntaxError, struct.error,
    # zlib.error, IndexError, their own): all of them mean the same to the user.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"cannot read {path}: {reason}; the file is damaged or no image"
        ) from error
    if 0 in pixels.shape:
        raise DataError(f"{path} has no pixels: remove it")
    return pixels if keep_alpha else composite_on_white(pixels)


def _open_pillow(path: Path) -> Image.Image:
    """Reads the header only, without Pillow's own, lower limit of pixels.

    That limit is global; it is put back at once, so decoding is not serialised.
    """
    with _PILLOW_LIMIT:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _read_pillow(path: Path) -> np.ndarray:
    with _open_pillow(path) as image:
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
