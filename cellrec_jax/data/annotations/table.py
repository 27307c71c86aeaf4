"""One table of the cells of many images: QuPath's measurements, or predictions.

A column names the image; px (`x,y`, `Centroid X px`, corners) or micrometres
(`Centroid X um`), a class and a score are read, the rest is not. Tabs, commas or
semicolons. Whole numbers throughout are clicks on pixels, but of centroids. Rows of
several points (`Num points`), which have their middle alone, are refused.
"""

from collections.abc import Iterable, Iterator, Sequence
import math
from typing import NamedTuple

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
from cellrec_jax.data.readers.columns import (
    find_columns,
    normal_name,
    read_rows,
    to_corners,
    um_columns,
    unguarded,
)
from cellrec_jax.data.text import decode_head, read_text
from cellrec_jax.errors import DataError

_IMAGES = ("image", "image_name", "file_name", "filename", "file", "image_id", "slide")
_SCORES = ("score", "detection_probability", "probability", "confidence")
_TYPES = ("object_type",)
_NUMBERS = ("num_points",)
_DETECTED = ("detection", "cell", "pathdetectionobject", "pathcellobject")
_ANNOTATED = ("annotation", "pathannotationobject")
_NO_CELLS = ("root", "root object (image)", "tile", "tma core", "tmacore", "image")
_OWN = ("image", "x", "y", "score", "class")


class Cells(NamedTuple):
    """What a table says of its images."""

    images: dict[str, Annotations]
    """In px, or in um where `in_um`."""
    in_um: bool


class _Places(NamedTuple):
    """Numbers of the columns that are read."""

    image: int
    place: tuple[int, ...]
    form: str
    """As of `columns.Columns`, or "um"."""
    kind: int | None
    score: int | None
    object_type: int | None
    num_points: int | None


def is_table(file: Path) -> bool:
    """Whether the header of a file names an image and places."""
    try:
        with file.open("rb") as stream:
            head = stream.read(8192)
    except OSError:
        return False
    # What is not UTF-8 is one too, for `parse` to refuse.
    texts = decode_head(head), head.decode("latin-1")
    return any(_is_header(text.partition("\n")[0], str(file)) for text in texts)


def parse(file: Path) -> Cells:
    """Reads a table; a `DataError` names the line that cannot be read."""
    rows = read_rows(read_text(file).split("\n"), str(file))
    header = next(rows, [])
    places = _find(header, str(file))
    if places is None:
        raise DataError(
            f"{file}: no columns of an image and of x and y (image,x,y,class)"
        )
    lines = [(i, row) for i, row in enumerate(rows, 2) if any(map(str.strip, row))]
    lines = [*_of_cells(lines, places)]
    values = _numbers(lines, places, file)
    is_own = tuple(map(normal_name, header[: len(_OWN)])) == _OWN
    is_centroid = "centroid" in normal_name(header[places.place[0]])
    finite = values[np.isfinite(values)]
    if places.form == "point" and not (is_own or is_centroid):
        if (finite == np.floor(finite)).all():
            values = geometry.pixel_to_point(values)
    elif places.form not in ("point", "um"):
        values = to_corners(values, places.form)
    shapes: dict[str, list[Shape]] = {}
    for (number, row), place in zip(lines, values, strict=True):
        name = unguarded(row[places.image].strip())
        if not name:
            raise DataError(f"{file} line {number}: no image is named")
        shapes.setdefault(name, []).append(_shape(row, place, places, file, number))
    images = {name: collect(found) for name, found in shapes.items()}
    return Cells(images, places.form == "um")


def _is_header(line: str, where: str) -> bool:
    try:
        return _find(next(read_rows([line], where), []), where) is not None
    except DataError:
        return False


def _find(header: Sequence[str], where: str) -> _Places | None:
    """Which columns are read; None where there is no image or no place."""
    names = [normal_name(name) for name in header]

    def first(options: Iterable[str]) -> int | None:
        return next((names.index(one) for one in options if one in names), None)

    image, in_um = first(_IMAGES), um_columns(header)
    try:
        columns = find_columns(header, where)
    except DataError:
        if in_um is None:
            raise
        columns = None
    if image is None or (columns is None and in_um is None):
        return None
    place: tuple[int, ...] = in_um or ()
    form, kind = "um", first(("classification", "class"))
    if columns is not None:
        place, form = tuple(map(names.index, columns.place)), columns.form
        kind = first(columns.classes[:1])
    return _Places(
        image, place, form, kind, first(_SCORES), first(_TYPES), first(_NUMBERS)
    )


def _of_cells(
    lines: Sequence[tuple[int, list[str]]], places: _Places
) -> Iterator[tuple[int, list[str]]]:
    """Rows of cells; annotations count where there is no detection."""
    column = places.object_type
    if column is None:
        yield from lines
        return
    kinds = [
        row[column].strip().lower() if len(row) > column else "" for _, row in lines
    ]
    has_detections = any(kind in _DETECTED for kind in kinds)
    for line, kind in zip(lines, kinds, strict=True):
        if kind not in _NO_CELLS and not (has_detections and kind in _ANNOTATED):
            yield line


def _numbers(
    lines: Sequence[tuple[int, list[str]]], places: _Places, file: Path
) -> np.ndarray:
    """f64 [N, 2 or 4]; NaN where nothing is written."""
    values = np.full((len(lines), len(places.place)), math.nan)
    for i, (number, row) in enumerate(lines):
        if len(row) <= max(*places.place, places.image):
            raise DataError(f"{file} line {number}: too few columns")
        for axis, column in enumerate(places.place):
            try:
                values[i, axis] = (
                    float(row[column]) if row[column].strip() else math.nan
                )
            except ValueError as error:
                raise DataError(
                    f"{file} line {number}: '{row[column]}' is not a number"
                ) from error
    return values


def _shape(
    row: Sequence[str], place: np.ndarray, places: _Places, file: Path, number: int
) -> Shape:
    where = f"{file} line {number}"

    def cell(column: int | None) -> str:
        return row[column].strip() if column is not None and column < len(row) else ""

    score, num_points = _number(cell(places.score)), _number(cell(places.num_points))
    if num_points > 1:
        raise DataError(
            f"{where}: {num_points:g} points, of which a table has the middle alone: "
            "export GeoJSON"
        )
    name = class_name(unguarded(cell(places.kind)), where)
    if len(place) == 2:
        return Shape(name, place[None, ::-1].copy(), score=score)
    x0, y0, x1, y1 = place
    area = (polygons.rectangle(y0, x0, y1, x1),)
    return Shape(name, NO_POINTS, area, score, is_cell=True)


def _number(text: str) -> float:
    """NaN for what is no number."""
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
