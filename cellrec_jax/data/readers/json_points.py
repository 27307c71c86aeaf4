"""Points in JSON: `images/K.png` with `json/K.json`, or K.json beside the image.

Lists of `{"x": 12, "y": 7, "label_id": 1}`; the class, a name or number, is in
`label_id`, `label`, `class`, `category`, `type` and the like, or missing everywhere.
Where all are 1 and 2, in one of the first three, they mean positive and negative, as in
BCData. Boxes have the keys that `csv_points` takes as columns; keys that are not read
are named.
"""

import json
import math
from typing import Any

from etils.epath import Path
import numpy as np

from cellrec_jax.data.classes import Classes, classes_from_values
from cellrec_jax.data.readers import foreign
from cellrec_jax.data.readers.columns import (
    Columns,
    find_columns,
    normal_name,
    to_corners,
)
from cellrec_jax.data.readers.layout import (
    find_pairs,
    has_images,
    holds,
    holds_beside,
    index_files,
)
from cellrec_jax.data.readers.point_tables import Table, open_tables
from cellrec_jax.data.record import Source
from cellrec_jax.data.text import read_text
from cellrec_jax.errors import DataError

NAME = "json_points"
_IMAGE_FOLDERS = ("images", "")
_ENDINGS = (".json",)
_CLASSES_FIRST = ("label_id", "label", "class")
_X_Y = Columns(("x", "y"), "point", _CLASSES_FIRST)
_KI67 = Classes(("positive", "negative"), {"1": 0, "2": 1})


def matches(root: Path) -> bool:
    """Whether images have JSON files in `json` or beside them, of no other program."""
    if holds(root, ["json"], _ENDINGS):
        return has_images(root, _IMAGE_FOLDERS) and _is_plain(root, ["json"])
    beside = holds_beside(root, _IMAGE_FOLDERS, _ENDINGS)
    return beside and _is_plain(root, _IMAGE_FOLDERS)


def _is_plain(root: Path, folders: tuple[str, ...] | list[str]) -> bool:
    """Whether the first of the files is not of another program."""
    try:
        files = [
            f for name in folders for f in index_files(root, name, _ENDINGS).values()
        ]
        return foreign.kind_of(files[0]) is None
    except (OSError, DataError):
        return False


def open_source(root: Path) -> Source:
    """Opens a folder of images with points in JSON; reads all files for the classes."""
    root = Path(root)
    pairs = find_pairs(root, _IMAGE_FOLDERS, ["json"], _ENDINGS, beside=True)
    return open_tables(NAME, root, pairs, read_table, _to_classes)


def _to_classes(values: set[str], keys: set[str]) -> Classes:
    is_ki67 = values and values <= {"1", "2"} and keys.issubset(_CLASSES_FIRST)
    return _KI67 if is_ki67 else classes_from_values(values)


def read_table(path: Path) -> Table:
    """Reads one file; other than described above it is a `DataError`."""
    try:
        # Not orjson: NaN, which some programs write, is to be dropped, not refused.
        items = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON ({error})") from error
    if not isinstance(items, list):
        foreign.refuse(path)
        raise DataError(f"{path}: expected a list of objects with x and y")
    places = [f"item {number}" for number in range(1, len(items) + 1)]
    for place, item in zip(places, items, strict=True):
        if not isinstance(item, dict):
            raise DataError(f"{path} {place}: expected an object with x and y")
    names = dict.fromkeys(key for item in items for key in item)
    columns = find_columns([*names], str(path), _CLASSES_FIRST)
    if columns is None and items:
        foreign.refuse(path)
    columns = columns or _X_Y
    places_xy = np.full((len(items), len(columns.place)), np.nan)
    values = []
    for i, item in enumerate(items):
        normal = {normal_name(key): value for key, value in item.items()}
        where = f"{path} {places[i]}"
        places_xy[i] = [_coordinate(normal, key, where) for key in columns.place]
        values.append(_class_value(normal, columns.classes, where))
    classes = [value for value in values if value is not None]
    if classes and len(classes) < len(items):
        place = places[values.index(None)]
        raise DataError(f"{path} {place}: no class, but other cells have one")
    if columns.form != "point":
        places_xy = to_corners(places_xy, columns.form)
    unread, class_key = columns.unread([*names]), next(iter(columns.classes), "")
    return Table(places_xy, classes or None, places, tuple(unread), class_key)


def _coordinate(item: dict[str, Any], key: str, where: str) -> float:
    value = item.get(key, "missing")
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{where}: '{key}' is {value!r}, not a number")
    try:
        return float(value)
    except OverflowError:  # a whole number of over 308 digits
        return math.inf


def _class_value(item: dict[str, Any], keys: tuple[str, ...], where: str) -> str | None:
    value = next((item[key] for key in keys if item.get(key) is not None), None)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise DataError(f"{where}: class {value!r} is no name and no whole number")
    return str(value)
