"""Which of three TIFF pages are red, green and blue: their colours in the metadata."""

from typing import Any

from etils.epath import Path
import numpy as np

from cellrec_jax.data.pixels.tiff_colors import CHANNELS_GUESSED
from cellrec_jax.errors import DataError

_RGB = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def color_order(
    path: Path, file: Any, image_number: int
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Page numbers of red, green and blue, and notes on what was guessed.

    ImageJ gives channels look-up tables, OME-XML colours. None, or one for all, is
    taken for the usual order, with a note; any but red, green and blue a `DataError`.
    """
    colors = _of_ome(file.ome_metadata, image_number) if file.is_ome else _of_luts(file)
    if len(set(colors)) <= 1:
        return (0, 1, 2), (CHANNELS_GUESSED,)
    if sorted(colors) != sorted(_RGB):
        texts = ", ".join("#{:02x}{:02x}{:02x}".format(*color) for color in colors)
        raise DataError(
            f"{path} has three channels in the colours {texts}, not red, green and "
            "blue: save as RGB what is to be seen, or one channel a file"
        )
    return tuple(colors.index(color) for color in _RGB), ()


def _of_luts(file: Any) -> list[tuple[int, ...]]:
    """The brightest colour of each table [3, 256] that ImageJ wrote."""
    tables = (file.imagej_metadata or {}).get("LUTs", []) if file.is_imagej else []
    return [tuple(np.asarray(table)[:, -1].tolist()) for table in tables]


def _of_ome(text: str, image_number: int) -> list[tuple[int, ...]]:
    """Colours of an image's channels: OME-XML writes RGBA as a signed 32-bit number."""
    from defusedxml.ElementTree import fromstring

    try:
        images = list(fromstring(text).findall(".//{*}Pixels"))
        channels = images[image_number].findall("{*}Channel")
        values = [int(channel.attrib["Color"]) & 0xFFFFFFFF for channel in channels]
    except (ValueError, SyntaxError, LookupError):  # no colours, or damaged XML
        return []
    return [(v >> 24, v >> 16 & 255, v >> 8 & 255) for v in values]
