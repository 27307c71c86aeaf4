"""What an annotation file says of one image: cells, and areas that are no cells.

Names say what an area is, as in QuPath: "Ignore*" is left out, "Region*" or "ROI*" was
looked at exhaustively; other areas are cells, unless they hold several cells.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
import math
import re
from typing import Any, NamedTuple

import numpy as np

from cellrec_jax import polygons
from cellrec_jax.data.text import composed
from cellrec_jax.errors import DataError
from cellrec_jax.polygons import Polygon

AREAS = "areas left out that hold cells and are named neither Ignore* nor Region*"
MARKS = "points named Ignore* or Region* left out: draw areas"

_IGNORE = re.compile(r"ignored?(?![a-z]).*", re.I | re.S)
_REGION = re.compile(r"(regions?|rois?)(?![a-z]).*", re.I | re.S)
_MOST_SIGNS = 128  # of a name
_MANY = 3  # cells that no cell holds


class Shape(NamedTuple):
    """What somebody drew, under one name."""

    name: str
    """Its class; "" for none."""
    points_yx: np.ndarray
    """f64 [n, 2] px, a cell each; [0, 2] of areas."""
    area: tuple[Polygon, ...] = ()
    """Parts of one area, which is a cell or is none."""
    score: float = math.nan
    is_cell: bool = False
    """Whether an area is known to be one."""
    trust: float = 1.0
    """As of `Record`."""
    id: str = ""
    """Of the object that was drawn."""


class Annotations(NamedTuple):
    """Cells and regions of an image, in px of its level 0."""

    points_yx: np.ndarray
    """f64 [N, 2]; of areas their centre."""
    names: tuple[str, ...]
    """N classes; "" for none."""
    boxes_yxyx: np.ndarray
    """f64 [N, 4] around areas; NaN for points."""
    scores: np.ndarray
    """f64 [N]; NaN where there is none."""
    ignore: tuple[Polygon, ...] = ()
    annotated: tuple[Polygon, ...] = ()
    """Where all cells are marked; none: everywhere."""
    size_hw: tuple[int, int] | None = None
    """Of the image, where the file says it."""
    notes: Counter[str] = Counter()  # noqa: RUF012
    """What was not read -> how often."""
    trust: np.ndarray | None = None
    """f64 [N], as of `Record`; None: all 1."""
    ids: tuple[str, ...] = ()
    """N, of objects; "" for none."""


def point(y: Any, x: Any) -> np.ndarray:
    """One point as [1, 2]."""
    return np.array([(y, x)], np.float64)


NO_POINTS = np.zeros((0, 2))


def collect(
    shapes: Iterable[Shape],
    *,
    size_hw: tuple[int, int] | None = None,
    notes: Counter[str] | None = None,
) -> Annotations:
    """Cells of what was drawn, in order, with the areas that names make regions."""
    notes = Counter() if notes is None else notes
    ignore: list[Polygon] = []
    annotated: list[Polygon] = []
    cells: list[Shape] = []
    for shape in shapes:
        if not is_region(shape.name):
            cells.append(shape)
        elif len(shape.points_yx):
            notes[MARKS] += len(shape.points_yx)
        elif is_ignored(shape.name):
            ignore += shape.area
        else:
            annotated += shape.area
    cells = _without_tissue(cells, notes)
    return _joined(cells)._replace(
        ignore=tuple(ignore), annotated=tuple(annotated), size_hw=size_hw, notes=notes
    )


def mapped(
    read: Annotations,
    scale_yx: Sequence[float] | np.ndarray = (1.0, 1.0),
    shift_yx: Sequence[float] | np.ndarray = (0.0, 0.0),
) -> Annotations:
    """All places times `scale_yx`, then plus `shift_yx`."""
    scale, shift = np.asarray(scale_yx, float), np.asarray(shift_yx, float)

    def moved(areas: tuple[Polygon, ...]) -> tuple[Polygon, ...]:
        return tuple(tuple(ring * scale + shift for ring in area) for area in areas)

    return read._replace(
        points_yx=read.points_yx * scale + shift,
        boxes_yxyx=read.boxes_yxyx * np.tile(scale, 2) + np.tile(shift, 2),
        ignore=moved(read.ignore),
        annotated=moved(read.annotated),
    )


def is_ignored(name: str) -> bool:
    """Whether areas of this name are left out, as "Ignore*" and "ignore: blur"."""
    return _IGNORE.fullmatch(name) is not None


def is_region(name: str) -> bool:
    """Whether a name is one of areas, not of cells: "Ignore*", "Region*" or "ROI*".

    Example:
      >>> [is_region(name) for name in ("Region 2", "ROI", "ignore", "Regional node")]
      [True, True, True, False]
    """
    return is_ignored(name) or _REGION.fullmatch(name) is not None


def class_name(value: Any, where: str) -> str:
    """A name in one line of composed signs; `DataError` for what is no name."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"{where}: class {value!r} is no name")
    name = " ".join(composed(str(value)).split())
    if len(name) > _MOST_SIGNS or not name.isprintable():
        raise DataError(
            f"{where}: class {name[:20]!r} ... of {len(name)} signs is no name: write "
            f"{_MOST_SIGNS} or fewer that can be printed"
        )
    return name


def _joined(cells: Sequence[Shape]) -> Annotations:
    """Arrays of cells, several of a shape with many points."""
    numbers = [1 if shape.area else len(shape.points_yx) for shape in cells]
    total = sum(numbers)
    points_yx, boxes_yxyx = np.zeros((total, 2)), np.full((total, 4), np.nan)
    at = 0
    for shape, number in zip(cells, numbers, strict=True):
        points_yx[at : at + number] = _middle(shape) if shape.area else shape.points_yx
        if shape.area:
            boxes_yxyx[at] = polygons.bounds(shape.area)
        at += number
    each = [shape for s, n in zip(cells, numbers, strict=True) for shape in [s] * n]
    scores, trust = (
        np.array([getattr(shape, name) for shape in each], np.float64)
        for name in ("score", "trust")
    )
    return Annotations(
        points_yx,
        tuple(shape.name for shape in each),
        boxes_yxyx,
        scores,
        trust=None if (trust == 1).all() else trust,
        ids=tuple(shape.id for shape in each),
    )


def _middle(shape: Shape) -> np.ndarray:
    """The centre of the largest part of an area; parts that touch are one."""
    if len(shape.area) == 1:
        return polygons.center(shape.area[0])
    parts = polygons.touching(shape.area)
    largest = max(parts, key=lambda part: sum(map(polygons.area, part)))
    return polygons.center(*largest)


def _without_tissue(cells: list[Shape], notes: Counter[str]) -> list[Shape]:
    """Leaves out areas that hold the centres of several others."""
    if all(shape.is_cell or not shape.area for shape in cells):
        return cells
    points_yx = _joined(cells).points_yx
    points_yx = points_yx[np.isfinite(points_yx).all(1)]
    points_yx = points_yx[np.argsort(points_yx[:, 0])]
    kept = []
    for shape in cells:
        if shape.is_cell or not shape.area or not _holds_many(shape.area, points_yx):
            kept.append(shape)
        else:
            notes[AREAS] += 1
    return kept


def _holds_many(area: tuple[Polygon, ...], points_yx: np.ndarray) -> bool:
    """Whether points [M, 2], sorted by y, inside are its own and several others."""
    y0, x0, y1, x1 = polygons.bounds(area)
    first, last = np.searchsorted(points_yx[:, 0], (y0, y1), "left")
    near_yx = points_yx[first:last]
    near_yx = near_yx[(near_yx[:, 1] >= x0) & (near_yx[:, 1] <= x1)]
    if len(near_yx) <= _MANY:
        return False
    near_yx = np.unique(near_yx.round(1), axis=0)  # what was drawn twice counts once
    return sum(int(polygons.inside(one, near_yx).sum()) for one in area) > _MANY
