"""XML of Aperio ImageScope, and of HALO: regions in layers, in px of level 0.

A layer's name, or its description, is the class; layers without one are told apart by
their colour, where there are several. Negative regions are ignored. A region of one
vertex is a point.
"""

from collections import Counter
from collections.abc import Iterator
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

LINES = "arrows, rulers and lines left out"

_RECTANGLE = ("1", "rectangle")
_ELLIPSE = ("2", "ellipse")
_LINES = ("3", "4", "arrow", "ruler", "line", "open")
_DESCRIPTIONS = ("description", "class", "name")


def parse(file: Path) -> Annotations:
    """Reads a file; a `DataError` names the region that cannot be read."""
    tree = read_xml(file)
    if tree.tag != "Annotations":
        raise DataError(f"{file}: no annotations of ImageScope (<{tree.tag}>)")
    layers = [
        (_name(layer, f"{file}: layer {index}"), layer)
        for index, layer in enumerate(tree.findall("Annotation"), 1)
        if layer.find("Regions/Region") is not None
    ]
    colors = {layer.get("LineColor") for name, layer in layers if not name}
    notes: Counter[str] = Counter()
    shapes: list[Shape] = []
    for index, (name, layer) in enumerate(layers, 1):
        kind = name or (_color(layer) if len(colors) > 1 else "")
        shapes += _shapes(layer, kind, f"{file}: layer {name or index}", notes)
    return collect(shapes, notes=notes)


def _name(layer: Element, where: str) -> str:
    """Name of a layer, or the first of its attributes that describes it."""
    texts = [layer.get("Name") or ""]
    for attribute in layer.iterfind("Attributes/Attribute"):
        if (attribute.get("Name") or "").lower() in _DESCRIPTIONS:
            texts.append(attribute.get("Value") or "")
    return class_name(next((text for text in texts if text.strip()), ""), where)


def _color(layer: Element) -> str:
    """A layer's colour, written blue, green, red in one number, as #rrggbb."""
    text = layer.get("LineColor") or ""
    value = int(text) % 2**24 if text.isdecimal() else 0
    red, green, blue = value % 256, value // 256 % 256, value // 65536
    return f"#{red:02x}{green:02x}{blue:02x}"


def _shapes(
    layer: Element, kind: str, where: str, notes: Counter[str]
) -> Iterator[Shape]:
    for index, region in enumerate(layer.iterfind("Regions/Region"), 1):
        place = f"{where}, region {region.get('Id') or index}"
        form = (region.get("Type") or "0").lower()
        corners = [
            [number(vertex, key, place) for key in "YX"]
            for vertex in region.iterfind("Vertices/*")
            if vertex.tag in ("Vertex", "V")
        ]
        if form in _LINES or (len(corners) == 2 and form not in _RECTANGLE + _ELLIPSE):
            notes[LINES] += 1
            continue
        if not corners:
            raise DataError(f"{place} has no vertices")
        ring = np.array(corners, np.float64)
        name = "Ignore*" if region.get("NegativeROA") == "1" else kind
        if len(ring) == 1:
            yield Shape(name, ring)
        else:
            yield Shape(name, NO_POINTS, (_area(form, ring),))


def _area(form: str, ring: np.ndarray) -> Polygon:
    """Two corners span a rectangle or an ellipse; more go around the area."""
    if form in _ELLIPSE:
        low, high = ring.min(0), ring.max(0)
        return polygons.ellipse((low + high) / 2, (high - low) / 2)
    if len(ring) == 2:
        return polygons.rectangle(*ring.min(0), *ring.max(0))
    return (ring,)
