"""Tables of cells, by column names: CSV, Parquet or GeoJSON, of this program or QuPath.

A table has columns x, y (px) and class, and maybe image, x_um and `kept`; rows that are
not kept are no cells. In GeoJSON an annotation with an area is a region, not a cell,
and so is no point of a `trust` of -1, as `cellrec corrections` writes known background.
"""

from collections.abc import Iterator, Sequence
import csv
import gzip
import os
from pathlib import Path
from typing import Any, NamedTuple

from etils import epath
import numpy as np

from cellrec_jax import errors
from cellrec_jax.data.annotations import qupath
from cellrec_jax.io import table

ENDINGS = (".csv", ".csv.gz", ".parquet", ".geojson", ".geojson.gz")
_BLOCK = 2**16  # rows that are in memory as text
_COLUMNS = ("x", "y", "class")


class Table(NamedTuple):
    """Cells of one image or several, N in all."""

    images: np.ndarray
    """str [N]; empty texts where the table names no image."""
    points_yx: np.ndarray
    """f64 [N, 2] px."""
    classes: np.ndarray
    """str [N]."""
    mpp: float
    """Micrometres per px as columns in um have it; 0 is unknown."""


def ending_of(path: str | os.PathLike[str]) -> str:
    """One of `ENDINGS`, or "" for what is no table."""
    name = Path(path).name.lower()
    return max((one for one in ENDINGS if name.endswith(one)), key=len, default="")


def read(path: Path) -> Table:
    """Reads a table; DataError if it is missing, damaged or lacks a column."""
    ending = ending_of(path)
    if ending.startswith(".geojson"):
        found = qupath.parse(epath.Path(path), areas_are_cells=False)
        classes, points_yx = np.array(found.names, str).reshape(-1), found.points_yx
        if found.trust is not None:
            is_cell = found.trust >= 0
            classes, points_yx = classes[is_cell], points_yx[is_cell]
        _check_finite(points_yx, path)
        return Table(np.full(len(classes), ""), points_yx, classes, 0.0)
    columns = _parquet(path) if ending == ".parquet" else _csv(path)
    x, y = (np.asarray(columns[name], np.float64) for name in ("x", "y"))
    points_yx = np.stack([y, x], axis=1)
    _check_finite(points_yx, path)
    kept = np.asarray(columns.get(table.KEPT, np.ones(len(x)))).astype(int) > 0
    classes = np.asarray(columns["class"], str)
    images = np.asarray(columns.get("image", np.full(len(x), "")), str)
    mpp = _mpp(points_yx, columns.get("x_um"))
    return Table(images[kept], points_yx[kept], classes[kept], mpp)


def _check_finite(points_yx: np.ndarray, path: Path) -> None:
    if not np.isfinite(points_yx).all():
        raise errors.DataError(f"{path}: a cell has no finite x and y")


def _mpp(points_yx: np.ndarray, x_um: Any) -> float:
    """Um over px of the cell farthest to the right, to 5 digits as tables round."""
    if x_um is None or not len(points_yx):
        return 0.0
    last = int(np.argmax(points_yx[:, 1]))
    told = x_um[last]
    if told in (None, "") or not points_yx[last, 1] > 0:
        return 0.0
    return float(f"{float(told) / points_yx[last, 1]:.5g}")


def _csv(path: Path) -> dict[str, Any]:
    opened: Any = gzip.open if path.name.endswith(".gz") else open
    try:
        with opened(
            path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=""
        ) as file:
            rows = csv.reader(file)
            head = next(rows, [])
            places = _places(path, head)
            parts = list(_blocks(rows, places, len(head)))
    except (OSError, EOFError, ValueError, csv.Error) as error:
        raise _unread(path, error) from error
    return {
        name: [value for part in parts for value in part[i]]
        if name in ("image", "class", "x_um")
        else np.concatenate([np.zeros(0), *(part[i] for part in parts)])
        for i, name in enumerate(places)
    }


def _blocks(
    rows: Iterator[list[str]], places: dict[str, int], width: int
) -> Iterator[list[Any]]:
    """Columns of some rows at a time; texts once in memory, numbers as arrays."""
    known: dict[str, str] = {}
    block: list[list[str]] = []

    def columns() -> list[Any]:
        found: list[Any] = []
        for name, place in places.items():
            values = [row[place] for row in block]
            if name in ("image", "class"):
                values = [known.setdefault(one, _plain(one)) for one in values]
            texts = name in ("image", "class", "x_um")
            found.append(values if texts else np.array(values, np.float64))
        return found

    for row in rows:
        if len(row) != width:
            raise ValueError(f"a row of {len(row)} cells under {width} columns")
        block.append(row)
        if len(block) == _BLOCK:
            yield columns()
            block.clear()
    yield columns()


def _plain(text: str) -> str:
    """Without the apostrophe that keeps spreadsheets from seeing a formula."""
    guarded = text[:1] == "'" and text[1:2] in ("=", "+", "-", "@", "\t", "\r")
    return text[1:] if guarded else text


def _places(path: Path, head: Sequence[str]) -> dict[str, int]:
    if missing := [name for name in _COLUMNS if name not in head]:
        raise errors.DataError(
            f"{path}: no column {', '.join(missing)}; give a table of `cellrec predict`"
        )
    wanted = (*_COLUMNS, "image", "x_um", table.KEPT)
    return {name: list(head).index(name) for name in wanted if name in head}


def _parquet(path: Path) -> dict[str, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise errors.ConfigError(
            f"{path}: Parquet needs pyarrow: pip install 'cellrec_jax[parquet]'"
        ) from error
    try:
        with path.open("rb") as file:
            places = _places(path, parquet.ParquetFile(file).schema_arrow.names)
            found = parquet.read_table(file, columns=list(places))
    except (OSError, pa.ArrowException) as error:
        raise _unread(path, error) from error
    return {
        name: found[name].to_pylist()
        if name in ("image", "class", "x_um")
        else found[name].to_numpy()
        for name in places
    }


def _unread(path: Path, error: Exception) -> errors.DataError:
    reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    return errors.DataError(f"{path}: cannot be read as a table of cells ({reason})")
