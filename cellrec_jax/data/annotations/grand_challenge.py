"""JSON of grand-challenge.org: "Multiple points" and the like, an image a file.

A cell's class is its own name without a number, or the file's where that says only what
it is. OCELOT puts the cells of many images into one file, named "image_3" by the number
of the image, with the class as third coordinate.

References:
  https://comic.github.io/grand-challenge.org/components.html
  https://github.com/lunit-io/ocelot23algo
"""

from collections.abc import Iterable, Sequence
import math
import re
from typing import Any

from etils.epath import Path
import numpy as np

from cellrec_jax.data.annotations.content import (
    NO_POINTS,
    Annotations,
    Shape,
    class_name,
    collect,
    point,
)
from cellrec_jax.data.json_file import read_json
from cellrec_jax.errors import DataError

_ITEMS = {
    "Multiple points": ("points", "point"),
    "Multiple polygons": ("polygons", "path_points"),
    "Multiple 2D bounding boxes": ("boxes", "corners"),
}
_SINGLE = {
    "Point": ("point", "Multiple points"),
    "Polygon": ("path_points", "Multiple polygons"),
    "2D bounding box": ("corners", "Multiple 2D bounding boxes"),
}
_GENERAL = ("", "point", "points", "polygon", "box", "boxes", "annotation", "roi")
_NUMBER = re.compile(r"[\s_-]+\d+$")
_IMAGE = re.compile(r"image_(\d{1,7})")
_FAULTS = (KeyError, TypeError, ValueError, IndexError, OverflowError)
_FARTHEST = 1e9


def parse(file: Path) -> Annotations:
    """Reads the cells of one image; numbers as they stand, px or millimetres.

    A `DataError` names the item that cannot be read.
    """
    content = read_json(file)
    kind, items = _items(content, file)
    general = _plain(content.get("name"), f"{file}")
    key = _ITEMS[kind][1]
    shapes = []
    for index, item in enumerate(items):
        where = f"{file}: {kind.lower()}, item {index}"
        try:
            name = _plain(item.get("name"), where)
            name = general if name.lower() in _GENERAL else name
            name = "" if name.lower() in _GENERAL else name
            shapes.append(_shape(name, item[key], _probability(item), key))
        except (AttributeError, *_FAULTS) as error:
            raise DataError(f"{where} cannot be read ({_reason(error)})") from error
    return collect(shapes)


def parse_stack(file: Path) -> dict[int, Annotations]:
    """Number of an image -> its cells, of a file as OCELOT's; classes are numbers."""
    kind, items = _items(read_json(file), file)
    if kind != "Multiple points":
        raise DataError(f"{file}: OCELOT has 'Multiple points', here are {kind!r}")
    shapes: dict[int, list[Shape]] = {}
    for index, item in enumerate(items):
        where = f"{file}: item {index}"
        try:
            match = _IMAGE.fullmatch(str(item["name"]))
            x, y, label = item["point"]
            if match is None or float(label) != int(label):
                raise ValueError("named image_NUMBER, with x, y and a class number")
            shape = _shape(str(int(label)), [x, y], _probability(item), "point")
            shapes.setdefault(int(match[1]), []).append(shape)
        except _FAULTS as error:
            raise DataError(f"{where} cannot be read ({_reason(error)})") from error
    return {number: collect(found) for number, found in shapes.items()}


def _items(content: Any, file: Path) -> tuple[str, Sequence[Any]]:
    """What kind of things a file has, and these."""
    kind = content.get("type") if isinstance(content, dict) else None
    if kind in _SINGLE:
        content, kind = {_ITEMS[_SINGLE[kind][1]][0]: [content]}, _SINGLE[kind][1]
    if kind not in _ITEMS or not isinstance(content.get(_ITEMS[kind][0]), list):
        raise DataError(
            f"{file}: no grand-challenge JSON of {', '.join(_ITEMS)} (type {kind!r})"
        )
    return kind, content[_ITEMS[kind][0]]


def _plain(name: Any, where: str) -> str:
    """A name without the number at its end."""
    return "" if name is None else _NUMBER.sub("", class_name(name, where))


def _probability(item: dict[str, Any]) -> float:
    value = item.get("probability")
    return math.nan if value is None else float(value)


def _shape(name: str, places: Any, score: float, key: str) -> Shape:
    if key == "point":
        x, y = (float(value) for value in places[:2])
        if math.isinf(x) or math.isinf(y):
            raise ValueError("a coordinate that is no number")
        return Shape(name, point(y, x), score=score)
    return Shape(name, NO_POINTS, ((_ring(places),),), score)


def _ring(places: Iterable[Sequence[float]]) -> np.ndarray:
    ring: np.ndarray = np.array([place[:2] for place in places], np.float64)
    if ring.ndim != 2 or not (np.abs(ring) < _FARTHEST).all():
        raise ValueError("an outline without numbers")
    return ring[:, ::-1]


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"no {text}" if isinstance(error, KeyError) else text
