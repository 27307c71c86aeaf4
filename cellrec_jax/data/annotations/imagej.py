"""ImageJ's regions: `.roi`, a `.zip` of the ROI manager, XML of Cell Counter.

Points are cells, and so are rectangles, ovals and outlines. Of a multi-point the
counter is the class, of others the group. Whole numbers are the middle of a pixel for
points, its corner for areas.

References:
  https://github.com/imagej/ImageJ, ij/io/RoiDecoder.java; useLineSubpixelConvention
"""

from collections import Counter
import io
import struct
from typing import NamedTuple
import zipfile
import zlib

from etils.epath import Path
import numpy as np

from cellrec_jax import geometry, polygons
from cellrec_jax.data.annotations.content import (
    NO_POINTS,
    Annotations,
    Shape,
    class_name,
    collect,
)
from cellrec_jax.data.annotations.xml_values import value
from cellrec_jax.data.xml_tree import read_xml
from cellrec_jax.errors import DataError
from cellrec_jax.polygons import Polygon

LINES = "lines, angles, texts and composed regions of ImageJ left out"

_POLYGON, _RECTANGLE, _OVAL, _FREEHAND, _TRACED, _POINT = 0, 1, 2, 7, 8, 10
_SUB_PIXEL = 128
_HEADER = 64
_SECOND = 52  # bytes of the second header that are read
_MOST_BYTES = 2**28  # of a region, and of all in a file
_MOST_REGIONS = 10**6


def parse(file: Path) -> Annotations:
    """Reads `.roi`, `.zip` or `.xml`; a `DataError` names the region at fault."""
    ending = file.suffix.lower()
    if ending == ".xml":
        return _parse_counts(file)
    notes: Counter[str] = Counter()
    try:
        data = file.read_bytes()
        regions = _unzipped(data) if ending == ".zip" else [(file.name, data)]
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{file}: not readable ({error})") from error
    shapes: list[Shape] = []
    for name, region in regions:
        try:
            shapes += _shapes(region, notes)
        except (ValueError, struct.error) as error:
            raise DataError(
                f"{file}: {name} is no region of ImageJ, or a damaged one ({error})"
            ) from error
    return collect(shapes, notes=notes)


def _parse_counts(file: Path) -> Annotations:
    """XML of Cell Counter: markers by type, at whole pixels."""
    tree = read_xml(file)
    if tree.tag != "CellCounter_Marker_File":
        raise DataError(f"{file}: no markers of Cell Counter (<{tree.tag}>)")
    shapes = []
    for kind in tree.iterfind("Marker_Data/Marker_Type"):
        number = (kind.findtext("Type") or "").strip()
        name = (kind.findtext("Name") or "").strip()
        plain = name if name and name != f"Type {number}" else number
        where = f"{file}: type {number or name}"
        places = [
            [value(marker.findtext(f"Marker{axis}"), where) for axis in "YX"]
            for marker in kind.iterfind("Marker")
        ]
        if places:
            points_yx = geometry.pixel_to_point(np.array(places))
            shapes.append(Shape(class_name(plain, where), points_yx))
    return collect(shapes)


def _unzipped(data: bytes) -> list[tuple[str, bytes]]:
    """Name and bytes of each region of a file of the ROI manager."""
    with zipfile.ZipFile(io.BytesIO(data)) as stored:
        members = [one for one in stored.infolist() if one.filename.endswith(".roi")]
        total = sum(one.file_size for one in members)
        if not members or len(members) > _MOST_REGIONS or total > _MOST_BYTES:
            raise ValueError(f"{len(members)} regions of {total} bytes")
        return [(one.filename, stored.read(one)) for one in members]


class _Region(NamedTuple):
    """One region, (y, x) as stored."""

    kind: int
    is_composed: bool
    box_yxyx: tuple[float, float, float, float]
    corners_yx: np.ndarray
    counters: np.ndarray | None
    group: int


def _shapes(data: bytes, notes: Counter[str]) -> list[Shape]:
    region = _decoded(data)
    name = str(region.group) if region.group else ""
    if region.is_composed:
        notes[LINES] += 1
        return []
    if region.kind == _POINT:
        points_yx = geometry.pixel_to_point(region.corners_yx)
        if region.counters is None:
            return [Shape(name, points_yx)]
        kinds = np.unique(region.counters)
        return [Shape(str(one), points_yx[region.counters == one]) for one in kinds]
    area: Polygon
    y0, x0, y1, x1 = region.box_yxyx
    if region.kind == _RECTANGLE:
        area = polygons.rectangle(*region.box_yxyx)
    elif region.kind == _OVAL:
        middle, radii = ((y0 + y1) / 2, (x0 + x1) / 2), ((y1 - y0) / 2, (x1 - x0) / 2)
        area = polygons.ellipse(middle, radii)
    elif region.kind in (_POLYGON, _FREEHAND, _TRACED) and len(region.corners_yx) > 2:
        area = (region.corners_yx,)
    else:
        notes[LINES] += 1
        return []
    return [Shape(name, NO_POINTS, (area,))]


def _decoded(data: bytes) -> _Region:
    """Reads the bytes of a region; ValueError or struct.error for others."""
    if data[:4] != b"Iout":
        raise ValueError("it does not begin with Iout")
    version, kind = struct.unpack(">hB", data[4:7])
    top, left, bottom, right, number = struct.unpack(">hhhhH", data[8:18])
    size, composed, options, second = struct.unpack(">i14xi10xh8xi", data[18:64])
    number = number or (size if kind == _POINT else 0)
    box = (float(top), float(left), float(bottom), float(right))
    is_fine = bool(options & _SUB_PIXEL) and version >= 222
    if is_fine and version >= 223 and kind in (_RECTANGLE, _OVAL):
        x, y, width, height = struct.unpack(">4f", data[18:34])
        box = (y, x, y + height, x + width)
    if not 0 <= number <= len(data) // 4:
        raise ValueError(f"{number} corners")
    at = _HEADER + 4 * number * is_fine
    kind_of_number = ">f4" if is_fine else ">i2"
    corners_xy = np.zeros((0, 2))
    if number:
        flat = np.frombuffer(data, kind_of_number, 2 * number, at).astype(np.float64)
        corners_xy = flat.reshape(2, number).T + (0 if is_fine else (left, top))
    if not (np.abs(corners_xy) < 1e9).all() or not np.isfinite(box).all():
        raise ValueError("a corner that is no number")
    counters, group = _counters(data, second, number if kind == _POINT else 0)
    return _Region(kind, composed > 0, box, corners_xy[:, ::-1], counters, group)


def _counters(data: bytes, second: int, number: int) -> tuple[np.ndarray | None, int]:
    """Counter of each point, or None, and the group, of the second header."""
    if not 0 < second <= len(data) - _SECOND:
        return None, 0
    group = data[second + 30]
    (offset,) = struct.unpack(">i", data[second + 48 : second + 52])
    if not number or not 0 < offset <= len(data) - 4 * number:
        return None, group
    return np.frombuffer(data, ">u4", number, offset) & 0xFF, group
