"""From the samples of a TIFF page to grey or RGB, by what its tags call them.

TIFF 6.0, sections 5, 16 (CMYK), 18 (alpha), 21 (YCbCr) and 23 (CIELab). Aperio's JPEG
2000 of compression 33003 holds YCbCr and 33005 RGB whatever the tags say, as OpenSlide
has it. https://github.com/openslide/openslide
"""

from collections.abc import Sequence
from typing import Any

from etils.epath import Path
import numpy as np

from cellrec_jax.data.pixels import colors
from cellrec_jax.errors import DataError

CHANNELS_GUESSED = "images whose three grey channels are taken as red, green and blue"
EXTRA_UNUSED = "images with a further channel without a meaning, not used"
PALETTE_8_BIT = "images whose palette holds 8 instead of 16 bits"

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _MASK, _CMYK, _YCBCR = range(7)
_CIELAB, _ICCLAB = 8, 9
_PREMULTIPLIED, _ALPHA = 1, 2  # values of the extra-samples tag
_INK_SET, _COEFFICIENTS, _REFERENCE = 332, 529, 532  # tags
_APERIO_YCBCR, _APERIO_RGB = 33003, 33005
_JPEG_2000 = (33004, 34712)
# Compressions whose decoders give RGB: the tag tells of what is inside.
_DECODED_TO_RGB = (6, 7, 33007, 34892, 50001, 50002, 52546, _APERIO_RGB)
_ITU_601 = (0.299, 0.587, 0.114)
_ROWS = 256
_FULL_RANGE = (0, 255, 128, 255, 128, 255)


def to_color(
    path: Path, page: Any, samples: np.ndarray, notes: list[str]
) -> np.ndarray:
    """Samples [H, W, S] as uint8 or uint16 [H, W, C]: grey or RGB, maybe with alpha.

    `page` is a `tifffile.TiffPage`. Colours that are not known, and samples that could
    be several things, are a `DataError`; what was left out is added to `notes`.
    """
    if samples.dtype.kind == "c":
        raise DataError(f"{path} holds complex numbers: save their size, as grey")
    kind, compression = int(page.photometric), int(page.compression)
    count = samples.shape[-1]
    if kind == _PALETTE and page.colormap is not None and count == 1:
        return _from_palette(page.colormap, samples[..., 0], notes)
    if kind in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _MASK):
        return _from_grey(path, page, samples, notes)
    if kind == _CMYK and count >= 4 and page.tags.valueof(_INK_SET, default=1) == 1:
        if count > 4:
            notes.append(EXTRA_UNUSED)
        return colors.cmyk_to_rgb(colors.to_unsigned(samples[..., :4], notes))
    if compression != _APERIO_YCBCR and (
        kind == _RGB or (kind == _YCBCR and compression in _DECODED_TO_RGB)
    ):
        return _with_alpha(path, page, samples, 3, notes)
    converted = _from_luma(page, samples)
    if converted is None:
        name = getattr(page.photometric, "name", page.photometric)
        raise DataError(
            f"{path} has {count} samples of {samples.dtype} in colours ({name}) that "
            "are not read: save it as grey or RGB"
        )
    return converted


def _from_luma(page: Any, samples: np.ndarray) -> np.ndarray | None:
    """YCbCr and L*a*b* of 8 bits [H, W, 3] as RGB; None for all else."""
    kind, compression = int(page.photometric), int(page.compression)
    if samples.dtype != np.uint8 or samples.shape[-1] != 3:
        return None
    if compression == _APERIO_YCBCR:
        return ycbcr_to_rgb(samples)
    if kind == _YCBCR and compression not in _JPEG_2000:
        return ycbcr_to_rgb(
            samples,
            _numbers(page, _COEFFICIENTS, _ITU_601),
            _numbers(page, _REFERENCE, _FULL_RANGE),
        )
    if kind in (_CIELAB, _ICCLAB):
        return lab_to_rgb(samples, signed=kind == _CIELAB)
    return None


def ycbcr_to_rgb(
    samples: np.ndarray,
    coefficients: Sequence[float] = _ITU_601,
    reference: Sequence[float] = _FULL_RANGE,
) -> np.ndarray:
    """YCbCr uint8 [H, W, 3] to RGB: luma `coefficients`, black and white of each."""
    black, white = np.array(reference, np.float32).reshape(3, 2).T
    spans = np.array([255, 127, 127], np.float32) / (white - black)
    of_red, of_green, of_blue = coefficients
    found = np.empty_like(samples)
    for top in range(0, len(samples), _ROWS):  # floats of all would be large
        rows = slice(top, top + _ROWS)
        luma, blue, red = np.moveaxis((samples[rows] - black) * spans, -1, 0)
        red = luma + red * (2 - 2 * of_red)
        blue = luma + blue * (2 - 2 * of_blue)
        green = (luma - of_blue * blue - of_red * red) / of_green
        rgb = np.stack([red, green, blue], axis=-1)
        found[rows] = np.floor(np.clip(rgb, 0, 255) + 0.5)
    return found


def lab_to_rgb(samples: np.ndarray, *, signed: bool) -> np.ndarray:
    """CIE L*a*b* (D50) uint8 [H, W, 3] to sRGB; a*, b* `signed` or plus 128."""
    from PIL import Image, ImageCms

    if not signed:
        samples = np.bitwise_xor(samples, np.array([0, 128, 128], np.uint8))
    height, width, _ = samples.shape
    lab = Image.frombytes("LAB", (width, height), samples.tobytes())
    profiles = (ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"))
    return np.asarray(ImageCms.profileToProfile(lab, *profiles, outputMode="RGB"))


def _from_palette(
    colormap: np.ndarray, index: np.ndarray, notes: list[str]
) -> np.ndarray:
    """Colours [H, W, 3] of 8 bits; maps [3, N] hold 16, but some writers' hold 8."""
    if colormap.max() < 256:
        if colormap.any():
            notes.append(PALETTE_8_BIT)
        return colormap.T[index].astype(np.uint8)
    return (colormap.T[index] >> 8).astype(np.uint8)


def _from_grey(
    path: Path, page: Any, samples: np.ndarray, notes: list[str]
) -> np.ndarray:
    count = samples.shape[-1]
    if page.samplesperpixel == 3:  # of three pages, `tiff_channels` tells
        notes.append(CHANNELS_GUESSED)
    pixels = _with_alpha(path, page, samples, 3 if count == 3 else 1, notes)
    if int(page.photometric) != _WHITE_IS_ZERO:
        return pixels
    num_colors = 1 if count == 2 else count
    full = np.iinfo(pixels.dtype).max
    return np.dstack([full - pixels[..., :num_colors], pixels[..., num_colors:]])


def _with_alpha(
    path: Path, page: Any, samples: np.ndarray, num_colors: int, notes: list[str]
) -> np.ndarray:
    """The colours and, if it is said to be one, the alpha (premultiplied: blended)."""
    count = samples.shape[-1]
    extra = tuple(page.extrasamples)[:1] if count == num_colors + 1 else ()
    if extra in ((_ALPHA,), (_PREMULTIPLIED,)):
        pixels = colors.to_unsigned(samples, notes)
        if extra == (_PREMULTIPLIED,):
            return colors.composite_on_white(pixels, premultiplied=True, notes=notes)
        return pixels
    if count == 4 and num_colors == 3:
        notes.append(EXTRA_UNUSED)
    elif count not in (1, num_colors):
        raise DataError(f"{path} has {count} channels: save it as grey or RGB")
    return colors.to_unsigned(samples[..., :num_colors], notes)


def _numbers(page: Any, tag: int, default: Sequence[float]) -> Sequence[float]:
    """A tag's numbers, which TIFF gives as pairs (numerator, denominator)."""
    values = np.asarray(page.tags.valueof(tag, default=()), np.float64)
    if values.size == len(default):
        return values.tolist()
    if values.size != 2 * len(default):
        return default
    top, bottom = values.reshape(-1, 2).T
    ratios = top / np.where(bottom == 0, np.nan, bottom)
    usable = np.isfinite(ratios).all() and (np.unique(ratios).size > 1)
    return ratios.tolist() if usable else default
