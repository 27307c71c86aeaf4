"""Points in CSV: `x,y[,class]`, one file an image, with or without a header.

Files lie in `labels`, `points` or `csv`, or beside the images; separated by commas,
semicolons or tabs. A header may order the columns, and may name boxes, continuous px:
`xmin,ymin,xmax,ymax`, `xmin,ymin,width,height` or `cx,cy,width,height`. Columns that
are not read are named. `label_map.yaml` (lines `0: name`) may name the classes.
"""

import math

from etils.epath import Path
import numpy as np

from cellrec_jax.data.readers.columns import (
    Columns,
    find_columns,
    normal_name,
    read_rows,
    to_corners,
    unguarded,
)
from cellrec_jax.data.readers.layout import find_pairs, has_images, holds, holds_beside
from cellrec_jax.data.readers.point_tables import Table, open_tables
from cellrec_jax.data.record import Source
from cellrec_jax.data.text import read_text
from cellrec_jax.errors import DataError

NAME = "csv_points"
_IMAGE_FOLDERS = ("images", "")
_FOLDERS = ("labels", "points", "csv")
_ENDINGS = (".csv",)
_PLAIN = Columns(("x", "y"), "point", ("class",))
_Line = tuple[int, list[str]]


def matches(root: Path) -> bool:
    """Whether there are images with CSV files in a known folder or beside them."""
    if holds(root, _FOLDERS, _ENDINGS):
        return has_images(root, _IMAGE_FOLDERS)
    return holds_beside(root, _IMAGE_FOLDERS, _ENDINGS)


def open_source(root: Path) -> Source:
    """Opens a folder of images with points or boxes in CSV."""
    root = Path(root)
    pairs = find_pairs(root, _IMAGE_FOLDERS, _FOLDERS, _ENDINGS, beside=True)
    return open_tables(NAME, root, pairs, read_table)


def read_table(path: Path) -> Table:
    """Reads one file; an empty one has no cells. Faults are a `DataError`."""
    text = read_text(path)
    rows = enumerate(read_rows(text.splitlines(), str(path)), 1)
    lines = [(i, [cell.strip() for cell in row]) for i, row in rows]
    lines = [(i, row) for i, row in lines if any(row)]
    if not lines:
        return Table(np.zeros((0, 2)), None, [])
    header = lines[0][1]
    columns = find_columns(header, str(path))
    if columns is not None:
        names = [normal_name(name) for name in header]
        table = _read_rows(path, lines[1:], columns, names)
        return table._replace(unread=tuple(columns.unread(header)))
    _check_no_header(path, header)
    names = _plain_names(path, lines)
    columns = _PLAIN if len(names) > 2 else _PLAIN._replace(classes=())
    return _read_rows(path, lines, columns, names)._replace(has_header=False)


def _check_no_header(path: Path, row: list[str]) -> None:
    """`DataError` for a first row that is a header, or begins with a class."""
    if _to_number(row[0]) is not None:
        return
    if len(row) > 2 and all(_to_number(cell) is not None for cell in row[1:]):
        raise DataError(
            f"{path}: rows begin with '{row[0]}': add a header line such as class,x,y"
        )
    raise DataError(f"{path}: the header '{','.join(row)}' names no columns x and y")


def _plain_names(path: Path, lines: list[_Line]) -> list[str]:
    """Names of the columns of a table without a header."""
    count = len(lines[0][1])
    if count not in (2, 3):
        raise DataError(
            f"{path}: {count} columns without a header; write x,y or x,y,class, or add "
            "a header line with these names"
        )
    if count == 3:
        for number, row in lines:
            value = _to_number(row[2]) if len(row) > 2 else None
            if value is not None and not value.is_integer():
                raise DataError(
                    f"{path} line {number}: '{row[2]}' is no class; if the third "
                    "column is a score, add a header line x,y,score"
                )
    return ["x", "y", "class"][:count]


def _read_rows(
    path: Path, lines: list[_Line], columns: Columns, names: list[str]
) -> Table:
    indices = [names.index(name) for name in columns.place]
    class_column = names.index(columns.classes[0]) if columns.classes else None
    values = np.full((len(lines), len(indices)), np.nan)
    classes, places = [], [f"line {number}" for number, _ in lines]
    for i, (number, row) in enumerate(lines):
        if len(row) <= max(*indices, class_column or 0):
            raise DataError(
                f"{path} line {number}: too few columns in '{','.join(row)}'"
            )
        for axis, column in enumerate(indices):
            value = _to_number(row[column]) if row[column] else math.nan
            if value is None:
                raise DataError(
                    f"{path} line {number}: '{row[column]}' is not a number"
                )
            values[i, axis] = value
        if class_column is not None:
            classes.append(_class_value(path, number, row[class_column]))
    if columns.form != "point":
        values = to_corners(values, columns.form)
    return Table(values, None if class_column is None else classes, places)


def _class_value(path: Path, number: int, text: str) -> str:
    if not text:
        raise DataError(f"{path} line {number}: no class, but there is a class column")
    value = _to_number(text)
    # Tables that went through a spreadsheet hold 2.0 for class 2.
    if value is not None and value.is_integer():
        return str(int(value))
    return unguarded(text)


def _to_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
