"""Which columns of a table, or keys of a JSON object, hold a cell's place and class."""

from collections.abc import Iterator, Sequence
import csv
import functools
import re
from typing import NamedTuple

import numpy as np

from cellrec_jax.errors import DataError

_X_Y = (
    ("x", "y"),
    ("cx", "cy"),
    ("xc", "yc"),
    ("x_center", "y_center"),
    ("center_x", "center_y"),
    ("x_px", "y_px"),
    ("centroid_x", "centroid_y"),
    ("centroid_x_px", "centroid_y_px"),
)
_FIRST_CORNERS = (
    ("xmin", "ymin"),
    ("x_min", "y_min"),
    ("left", "top"),
    ("bx", "by"),  # of ImageJ
)
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
)
_MICRO = "\N{MICRO SIGN}"
_IN_UM = re.compile(rf"(^|_)x_({_MICRO}m|um|microns?|micromet\w+)$")
_FORMULA = ("'=", "'+", "'-", "'@")
_DECIMAL_COMMA = re.compile(r"(\s*[-+]?\d+),(\d+\s*)")
_SIZES = (("width", "height"), ("w", "h"))
_CLASSES = (
    *("class", "label", "label_id", "class_name", "type", "cell_type", "celltype"),
    *("category", "category_name", "category_id", "classification", "cell_class"),
    *("class_id", "label_name", "class_label", "phenotype", "counter"),
)


class Columns(NamedTuple):
    """Normal names (see `normal_name`) of what is read."""

    place: tuple[str, ...]
    """x, y; or four of a box."""
    form: str
    """"point", "corners", "first corner and size" or "center and size"."""
    classes: tuple[str, ...]
    """What holds the class, the first where there are several; () for none."""

    def unread(self, names: Sequence[str]) -> list[str]:
        """The names that are not read."""
        used = {*self.place, *self.classes[:1]}
        return [name for name in names if name and normal_name(name) not in used]


def read_rows(lines: Sequence[str], place: str) -> Iterator[list[str]]:
    """Rows of cells, parted by the sign that the first line has most of: , ; or tab.

    Where it is no comma, decimal commas become points. `DataError` names `place`.
    """
    first = next(filter(str.strip, lines), "")
    delimiter = max(",;\t", key=first.count)
    try:
        for row in csv.reader(lines, delimiter=delimiter):
            yield row if delimiter == "," else [*map(_with_point, row)]
    except csv.Error as error:
        raise DataError(f"{place} is no table ({error})") from error


@functools.lru_cache(maxsize=1024)
def normal_name(name: str) -> str:
    """Lower case, with single underscores for all that is no letter or digit.

    Example:
      >>> normal_name(" Cell-Type ")
      'cell_type'
    """
    name = name.strip().lower().replace("\N{GREEK SMALL LETTER MU}", _MICRO)
    return re.sub(rf"[^0-9a-z{_MICRO}]+", "_", name).strip("_")


def find_columns(
    names: Sequence[str], place: str, classes_first: Sequence[str] = ()
) -> Columns | None:
    """The columns of a table by the names in its header; None without x and y.

    A `DataError` that names `place`: `x,y` beside `width,height`, which may be a
    corner or the centre; columns in micrometres; one of those that are read twice.
    """
    found = _find_columns(names, place, classes_first)
    normal = [normal_name(name) for name in names]
    for name in (*found.place, *found.classes[:1]) if found else ():
        if normal.count(name) > 1:
            raise DataError(f"{place}: two columns are called '{name}': rename one")
    return found


def _with_point(cell: str) -> str:
    match = _DECIMAL_COMMA.fullmatch(cell)
    return f"{match[1]}.{match[2]}" if match else cell


def _find_columns(
    names: Sequence[str], place: str, classes_first: Sequence[str]
) -> Columns | None:
    """The same, however often."""
    known = {normal_name(name) for name in names}
    order = dict.fromkeys((*classes_first, *_CLASSES))
    classes = tuple(name for name in order if name in known)
    boxes = [(corners, "corners") for corners in _CORNERS]
    for form, pairs in (
        ("first corner and size", _FIRST_CORNERS),
        ("center and size", _X_Y[1:]),
    ):
        boxes += [((*pair, *size), form) for size in _SIZES for pair in pairs]
    for columns, form in boxes:
        if known.issuperset(columns):
            return Columns(columns, form, classes)
    pair = next((pair for pair in _X_Y if known.issuperset(pair)), None)
    size = next((size for size in _SIZES if known.issuperset(size)), None)
    if pair and size:
        raise DataError(
            f"{place}: {','.join((*pair, *size))} may be a box by its corner or by its "
            f"centre: name x and y xmin,ymin or cx,cy, or leave out {','.join(size)}"
        )
    in_um = next((name for name in names if _IN_UM.search(normal_name(name))), None)
    if not pair and in_um:
        raise DataError(
            f"{place}: column '{in_um}' is in micrometres: export px of the image, as "
            "x,y"
        )
    return Columns(pair, "point", classes) if pair else None


def um_columns(names: Sequence[str]) -> tuple[int, int] | None:
    """Places of the columns x and y in micrometres; None where there are none."""
    normal = [normal_name(name) for name in names]
    for index, name in enumerate(normal):
        if match := _IN_UM.search(name):
            partner = f"{name[: match.start()]}{match[1]}y_{match[2]}"
            if partner in normal:
                return index, normal.index(partner)
    return None


def unguarded(text: str) -> str:
    """Text of a cell without the apostrophe that keeps it from being a formula."""
    return text[1:] if text.startswith(_FORMULA) else text


def to_corners(values: np.ndarray, form: str) -> np.ndarray:
    """Boxes [N, 4] of a form other than "point" as x0, y0, x1, y1."""
    first, second = values[:, :2], values[:, 2:]
    if form == "first corner and size":
        return np.concatenate([first, first + second], axis=1)
    if form == "center and size":
        return np.concatenate([first - second / 2, first + second / 2], axis=1)
    return values
