"""XML of ASAP: dots, point sets, polygons and splines, in px of level 0.

The group is the class; of splines the corners are taken.

References:
  https://github.com/computationalpathologygroup/ASAP
"""

from collections import Counter
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from etils.epath import Path
import numpy as np

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

OTHERS = "measurements and other annotations of ASAP left out"

_POINTS = ("dot", "pointset")
_AREAS = ("polygon", "rectangle", "spline")


def parse(file: Path) -> Annotations:
    """Reads a file; a `DataError` names the annotation that cannot be read."""
    tree = read_xml(file)
    if tree.tag != "ASAP_Annotations":
        raise DataError(f"{file}: no annotations of ASAP (<{tree.tag}>)")
    notes: Counter[str] = Counter()
    return collect(_shapes(tree, file, notes), notes=notes)


def _shapes(tree: Element, file: Path, notes: Counter[str]) -> Iterator[Shape]:
    for index, element in enumerate(tree.iterfind("Annotations/Annotation")):
        where = f"{file}: annotation {element.get('Name') or index}"
        kind = (element.get("Type") or "").lower()
        if kind not in (*_POINTS, *_AREAS):
            notes[OTHERS] += 1
            continue
        group = class_name(element.get("PartOfGroup", ""), where)
        name = "" if group.lower() == "none" else group
        points_yx = _corners(element, where)
        if kind in _POINTS:
            yield Shape(name, points_yx)
        else:
            yield Shape(name, NO_POINTS, ((points_yx,),))


def _corners(element: Element, where: str) -> np.ndarray:
    """Coordinates in their order, f64 [n, 2] yx; none are a `DataError`."""
    found = element.findall("Coordinates/Coordinate")
    if not found:
        raise DataError(f"{where} has no coordinates")
    if all(one.get("Order") for one in found):
        found.sort(key=lambda one: number(one, "Order", where))
    return np.array([[number(one, key, where) for key in "YX"] for one in found])
