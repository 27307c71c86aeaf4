"""XML of CVAT, "CVAT for images 1.1": shapes of many images in one file.

Points (several in one element), boxes and ellipses (turned around their middle),
polygons and masks are read, by their label; continuous px. Images of a project are
named below their subset, as `images/` has them.

References:
  https://docs.cvat.ai/docs/manual/advanced/xml_format
"""

from collections import Counter
from collections.abc import Callable
from xml.etree.ElementTree import Element

from etils.epath import Path
import numpy as np

from cellrec_jax import polygons
from cellrec_jax.data.annotations.content import (
    NO_POINTS,
    Annotations,
    Shape,
    class_name,
    collect,
)
from cellrec_jax.data.annotations.xml_values import number
from cellrec_jax.data.xml_tree import read_xml
from cellrec_jax.errors import DataError
from cellrec_jax.polygons import Polygon

OTHERS = "polylines, cuboids, skeletons and tags left out"
_OTHERS = ("polyline", "cuboid", "skeleton", "tag")
_MOST_PIXELS = 2**28  # of a mask


def parse(file: Path) -> dict[str, Annotations]:
    """Name of an image -> its annotations; a `DataError` names what cannot be read.

    Names of projects are `SUBSET/NAME`.
    """
    tree = read_xml(file)
    if tree.tag != "annotations" or tree.find("track") is not None:
        raise DataError(
            f"{file}: no images with shapes; export it as 'CVAT for images 1.1'"
        )
    found: dict[str, Annotations] = {}
    for index, image in enumerate(tree.findall("image")):
        name = image.get("name") or ""
        where = f"{file}: image {name or index}"
        if subset := image.get("subset"):
            name = name and f"{subset}/{name}"
        if not name or name in found:
            raise DataError(f"{where} has no name, or that of another: rename it")
        height, width = (number(image, side, where) for side in ("height", "width"))
        size_hw = (int(height), int(width)) if height >= 1 and width >= 1 else None
        found[name] = _read(image, where, size_hw)
    if not found:
        raise DataError(f"{file}: lists no images; export it as 'CVAT for images 1.1'")
    return found


def _read(image: Element, where: str, size_hw: tuple[int, int] | None) -> Annotations:
    notes: Counter[str] = Counter()
    shapes = []
    for element in image:
        if element.tag in _OTHERS:
            notes[OTHERS] += 1
        elif element.tag == "points":
            label = class_name(element.get("label", ""), where)
            shapes.append(Shape(label, _points(element, where)))
        elif element.tag in _AREAS:
            label = class_name(element.get("label", ""), where)
            area = _AREAS[str(element.tag)](element, where)
            shapes.append(Shape(label, NO_POINTS, area))
    return collect(shapes, size_hw=size_hw, notes=notes)


def _points(element: Element, where: str) -> np.ndarray:
    """`x,y;x,y` as f64 [n, 2] yx."""
    pairs = [pair.split(",") for pair in (element.get("points") or "").split(";")]
    try:
        points_xy = np.array(pairs, np.float64)
    except ValueError as error:
        raise DataError(f"{where}: points that are no x,y;x,y") from error
    if points_xy.ndim != 2 or points_xy.shape[1] != 2:
        raise DataError(f"{where}: points that are no x,y;x,y")
    return points_xy[:, ::-1]


def _polygon(element: Element, where: str) -> tuple[Polygon, ...]:
    ring = _points(element, where)
    if not np.isfinite(ring).all():
        raise DataError(f"{where}: a polygon with a corner that is no number")
    return ((ring,),)


def _box(element: Element, where: str) -> tuple[Polygon, ...]:
    y0, x0, y1, x1 = (number(element, k, where) for k in ("ytl", "xtl", "ybr", "xbr"))
    (ring,) = polygons.rectangle(y0, x0, y1, x1)
    degrees = number(element, "rotation", where, 0.0)
    if degrees:
        ring = polygons.turned(ring, degrees, ((y0 + y1) / 2, (x0 + x1) / 2))
    return ((ring,),)


def _ellipse(element: Element, where: str) -> tuple[Polygon, ...]:
    y, x, height, width = (number(element, k, where) for k in ("cy", "cx", "ry", "rx"))
    degrees = number(element, "rotation", where, 0.0)
    return (polygons.ellipse((y, x), (height, width), degrees),)


def _mask(element: Element, where: str) -> tuple[Polygon, ...]:
    """Run lengths along the rows of a box, first of what is outside."""
    keys = ("top", "left", "height", "width")
    top, left, height, width = (int(number(element, key, where)) for key in keys)
    try:
        runs = [int(run) for run in (element.get("rle") or "").split(",")]
    except ValueError as error:
        raise DataError(f"{where}: a mask without run lengths") from error
    fits = min(runs) >= 0 and min(height, width) > 0 and sum(runs) == height * width
    if not fits or height * width > _MOST_PIXELS:
        raise DataError(f"{where}: a mask whose run lengths do not fill its box")
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    shift = np.array([top, left], np.float64)
    parts = polygons.outlines(inside)
    if not parts:
        raise DataError(f"{where}: a mask without px")
    return tuple(tuple(ring + shift for ring in part) for part in parts)


_AREAS: dict[str, Callable[[Element, str], tuple[Polygon, ...]]] = {
    "polygon": _polygon,
    "box": _box,
    "ellipse": _ellipse,
    "mask": _mask,
}
