"""Micrometres per pixel as TIFF files say it: OME-XML, ImageJ, Aperio, resolution tags.

PNG and JPEG are not asked: their resolution is that of a screen or printer.
"""

from collections.abc import Iterator
import math
import re
from typing import Any, NamedTuple

LEAST_MPP, GREATEST_MPP = 0.02, 20.0
"""Sizes of a pixel that microscopes and slide scanners have, um."""
SAME = 0.01
"""Relative difference of two sizes that are one, as rounded."""

NOT_MEANT = "images whose {} says {} um per px, which no microscope has: not used"
TWO_SIZES = "images with two pixel sizes ({}): none is used"

_MICROMETRES = {
    **dict.fromkeys(("µm", "μm", "um", "micron", "microns", "micrometer"), 1.0),
    **{"\\u00B5m": 1.0, "pm": 1e-6, "Å": 1e-4, "nm": 1e-3, "mm": 1e3, "cm": 1e4},
    **{"dm": 1e5, "m": 1e6, "in": 25400.0, "inch": 25400.0},
}
_TIFF_UNITS = {2: 25400.0, 3: 1e4, 4: 1e3, 5: 1.0}  # 4 and 5 are of later writers
_APERIO = re.compile(r"^Aperio.*\|\s*MPP\s*=\s*([0-9]+\.?[0-9]*)", re.DOTALL)


class PixelSize(NamedTuple):
    """Of one image file."""

    mpp: float
    """Micrometres per px, 4 digits; 0 where unknown."""
    notes: tuple[str, ...] = ()
    """What the file says and is not used."""
    source: str = ""
    """Which place says it, the best of several."""


def chosen(own_mpp: float, given: float, *, for_all: bool) -> float:
    """Um per px of an image whose file says `own_mpp`; 0 is unknown, or not given.

    What the user gave is of files that do not say it, or, `for_all`, of all.
    """
    return given if given and (for_all or not own_mpp) else own_mpp


def pixel_size(file: Any, page: Any, image_number: int) -> PixelSize:
    """Of a page of a `tifffile.TiffFile`; `image_number` of OME-XML."""
    notes, sizes = [], {}
    for source, (size_y, size_x) in stated(file, page, image_number):
        alike = math.isclose(size_y, size_x, rel_tol=SAME)
        if alike and LEAST_MPP <= size_x <= GREATEST_MPP:
            sizes[source] = math.sqrt(size_y * size_x)
        else:
            text = f"{size_x:.4g}" if alike else f"{size_y:.4g} x {size_x:.4g}"
            notes.append(NOT_MEANT.format(source, text))
    if not sizes:
        return PixelSize(0.0, tuple(notes))
    source, first = next(iter(sizes.items()))
    if not all(math.isclose(size, first, rel_tol=SAME) for size in sizes.values()):
        texts = ", ".join(f"{size:.4g} by {source}" for source, size in sizes.items())
        return PixelSize(0.0, (*notes, TWO_SIZES.format(texts)))
    return PixelSize(float(f"{first:.4g}"), tuple(notes), source)


def stated(
    file: Any, page: Any, image_number: int
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Places that say it and um per px (y, x), the better place first; as they say."""
    if file.is_ome and (size := _of_ome(file.ome_metadata, image_number)):
        yield "OME-XML", size
    if found := _APERIO.search(page.description or ""):
        yield "Aperio header", (float(found[1]), float(found[1]))
    tags = [page.tags.valueof(name) for name in ("YResolution", "XResolution")]
    per_unit = [_ratio(tag) for tag in tags]
    unit = _TIFF_UNITS.get(page.resolutionunit)
    if file.is_imagej:
        unit = _MICROMETRES.get(str((file.imagej_metadata or {}).get("unit")), unit)
    # 1 px per unit is what writers put there that know nothing.
    if unit and all(per_unit) and per_unit != [1.0, 1.0]:
        yield "TIFF resolution", (unit / per_unit[0], unit / per_unit[1])


def _ratio(tag: Any) -> float:
    """A rational; 0 where it is missing or no number."""
    top, bottom = tag if isinstance(tag, tuple) and len(tag) == 2 else (tag or 0, 1)
    return float(top / bottom) if bottom else 0.0


def _of_ome(text: str, image_number: int) -> tuple[float, float] | None:
    """Physical size (y, x) of an image of OME-XML, um; None where it has none."""
    from defusedxml.ElementTree import fromstring

    try:
        nodes = fromstring(text).findall(".//{*}Pixels")
        given = list(nodes)[image_number].attrib
        size_y, size_x = (
            float(given[f"PhysicalSize{axis}"])
            * _MICROMETRES[given.get(f"PhysicalSize{axis}Unit", "um")]
            for axis in "YX"
        )
    except (ValueError, SyntaxError, LookupError):  # SyntaxError: damaged XML
        return None
    return size_y, size_x
