"""Points in CSV: `x,y[,class]`, one file an image, with or without a header.

Files lie in `labels`, `points` or `csv`, or beside the images; separated by commas,
semicolons or tabs. A header may order the columns. `label_map.yaml` (lines `0: name`)
may name the classes.
"""

import csv
import math

from etils.epath import Path
import numpy as np

from cellrec_jax.data.classes import read_text
from cellrec_jax.data.readers.layout import find_pairs, has_images, holds, holds_beside
from cellrec_jax.data.readers.point_tables import Table, open_tables
from cellrec_jax.data.record import Source
from cellrec_jax.errors import DataError

NAME = "csv_points"
_IMAGE_FOLDERS = ("images", "")
_FOLDERS = ("labels", "points", "csv")
_ENDINGS = (".csv",)
_CLASS_COLUMNS = ("class", "label", "label_id", "class_name", "type")


def matches(root: Path) -> bool:
    """Whether there are images with CSV files in a known folder or beside them."""
    if holds(root, _FOLDERS, _ENDINGS):
        return has_images(root, _IMAGE_FOLDERS)
    return holds_beside(root, _IMAGE_FOLDERS, _ENDINGS)


def open_source(root: Path) -> Source:
    """Opens a folder of images with points in CSV."""
    root = Path(root)
    pairs = find_pairs(root, _IMAGE_FOLDERS, _FOLDERS, _ENDINGS, beside=True)
    return open_tables(NAME, root, pairs, read_table)


def read_table(path: Path) -> Table:
    """Reads one file; an empty one has no points. Faults are a `DataError`."""
    text = read_text(path)
    first_line = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=first_line.count)
    try:
        rows = list(csv.reader(text.splitlines(), delimiter=delimiter))
    except csv.Error as error:
        raise DataError(f"{path} is no CSV file ({error})") from error
    lines = [(i, [cell.strip() for cell in row]) for i, row in enumerate(rows, 1)]
    lines = [(i, row) for i, row in lines if any(row)]
    if not lines:
        return Table(np.zeros((0, 2)), None, [])
    columns = _find_columns(path, lines[0][1])
    if columns is None:
        columns = _plain_columns(path, lines)
    else:
        lines = lines[1:]
    return _read_rows(path, lines, columns)


def _find_columns(path: Path, row: list[str]) -> tuple[int, int, int | None] | None:
    """Indices of x, y and class by a header row; None if the row is no header."""
    names = [name.lower() for name in row]
    if "x" in names and "y" in names:
        found = [names.index(name) for name in _CLASS_COLUMNS if name in names]
        return names.index("x"), names.index("y"), found[0] if found else None
    if _to_number(row[0]) is None:
        raise DataError(
            f"{path}: the header '{','.join(row)}' names no columns x and y"
        )
    return None


def _plain_columns(
    path: Path, lines: list[tuple[int, list[str]]]
) -> tuple[int, int, int | None]:
    count = len(lines[0][1])
    if count not in (2, 3):
        raise DataError(
            f"{path}: {count} columns without a header; write x,y or x,y,class, or add "
            "a header line with these names"
        )
    if count == 2:
        return 0, 1, None
    for number, row in lines:
        value = _to_number(row[2]) if len(row) > 2 else None
        if value is not None and not value.is_integer():
            raise DataError(
                f"{path} line {number}: '{row[2]}' is no class; if the third column is "
                "a score, add a header line x,y,score"
            )
    return 0, 1, 2


def _read_rows(
    path: Path,
    lines: list[tuple[int, list[str]]],
    columns: tuple[int, int, int | None],
) -> Table:
    x_column, y_column, class_column = columns
    points_xy = np.full((len(lines), 2), np.nan)
    classes, places = [], [f"line {number}" for number, _ in lines]
    for i, (number, row) in enumerate(lines):
        if len(row) <= max(x_column, y_column, class_column or 0):
            raise DataError(
                f"{path} line {number}: too few columns in '{','.join(row)}'"
            )
        for axis, column in enumerate((x_column, y_column)):
            value = _to_number(row[column]) if row[column] else math.nan
            if value is None:
                raise DataError(
                    f"{path} line {number}: '{row[column]}' is not a number"
                )
            points_xy[i, axis] = value
        if class_column is not None:
            classes.append(_class_value(path, number, row[class_column]))
    return Table(points_xy, None if class_column is None else classes, places)


def _class_value(path: Path, number: int, text: str) -> str:
    if not text:
        raise DataError(f"{path} line {number}: no class, but there is a class column")
    value = _to_number(text)
    # Tables that went through a spreadsheet hold 2.0 for class 2.
    return str(int(value)) if value is not None and value.is_integer() else text


def _to_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
