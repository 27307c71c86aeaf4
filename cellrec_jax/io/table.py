"""Tables for spreadsheets: detections, and one row an image. CSV, UTF-8.

Names of files that are not UTF-8 keep their bytes. (x, y) in px of the image as given:
the centre of the first pixel is (0.5, 0.5).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import contextlib
import csv
import os
from pathlib import Path
from typing import IO, Any

import numpy as np

from cellrec_jax import errors
from cellrec_jax.io import atomic

DETECTION_COLUMNS = ("image", "x", "y", "score", "class")
KEPT = "kept"
"""Column of tables that hold what is no cell, too: 1 for cells, else 0."""
_TEXT: Mapping[str, Any] = {
    "encoding": "utf-8",
    "errors": "surrogateescape",
    "newline": "",
}


def columns_of(*, kept: bool) -> tuple[str, ...]:
    """Columns of a table of detections, with `KEPT` or without."""
    return (*DETECTION_COLUMNS, KEPT) if kept else DETECTION_COLUMNS


def detection_rows(
    image_id: str,
    points_yx: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    kept: np.ndarray | None = None,
) -> list[dict[str, Any]]:
    """Rows of an image for `write_detections`: dicts with keys `DETECTION_COLUMNS`.

    In the order given; coordinates to 0.001 px, scores to 1e-6. Of `kept`, bool [M],
    the column `KEPT`.
    """
    rows = [
        {
            "image": image_id,
            "x": round(float(x), 3),
            "y": round(float(y), 3),
            "score": round(float(score), 6),
            "class": class_names[int(label)],
        }
        for (y, x), score, label in zip(points_yx, scores, labels, strict=True)
    ]
    if kept is not None:
        return [row | {KEPT: int(k)} for row, k in zip(rows, kept, strict=True)]
    return rows


def write_detections(
    path: str | os.PathLike[str], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Writes detections of images, whole or not at all; none give the header alone."""
    write_rows(path, rows, DETECTION_COLUMNS)


def write_rows(
    path: str | os.PathLike[str],
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
) -> None:
    """Writes a table, whole or not at all.

    Rows have exactly the keys `columns` (else ValueError); None is an empty cell.
    """
    with (
        atomic.atomic_path(path) as temporary,
        temporary.open("w", **_TEXT) as file,
    ):
        _write(file, [dict(zip(columns, columns, strict=True)), *rows], columns)


def read_rows(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """Rows of a table, column -> text; none where there is no file."""
    with _read(path) as rows:
        columns = next(rows, [])
        return [dict(zip(columns, row, strict=True)) for row in rows]


def append_rows(
    path: str | os.PathLike[str],
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
) -> None:
    """Adds rows as of `write_rows`, and the header before the first.

    RunError if the disk is full or read-only; part of the rows may be there then.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a", **_TEXT) as file:
            header = [] if file.tell() else [dict(zip(columns, columns, strict=True))]
            _write(file, [*header, *rows], columns)
    except OSError as error:
        raise errors.RunError(
            f"cannot write {path}: {error.strerror}; free some space or choose another "
            "folder, then start again: finished images are kept"
        ) from error


def count_by_image(path: str | os.PathLike[str]) -> Counter[str] | None:
    """Rows an image of a table of detections; None if there is none, or another one."""
    try:
        with _read(path) as rows:
            head = tuple(next(rows, ()))
            if head not in (columns_of(kept=False), columns_of(kept=True)):
                return None
            return Counter(row[0] for row in rows if len(row) == len(head))
    except csv.Error:
        return None


def keep_images(
    path: str | os.PathLike[str],
    kept: Callable[[str], bool],
    columns: Sequence[str] = DETECTION_COLUMNS,
) -> None:
    """Drops the rows of other images, and rows that a stopped run left unfinished."""
    with _read(path) as rows:
        next(rows, None)
        whole = (row for row in rows if len(row) == len(columns) and kept(row[0]))
        named = (dict(zip(columns, row, strict=True)) for row in whole)
        write_rows(path, named, columns)


@contextlib.contextmanager
def _read(path: str | os.PathLike[str]) -> Iterator[Iterator[list[str]]]:
    """Rows of a table; none where there is no file."""
    if not Path(path).exists():
        yield iter(())
        return
    with Path(path).open(**_TEXT) as file:
        yield csv.reader(file)


def _write(
    file: IO[str], rows: Iterable[Mapping[str, Any]], columns: Sequence[str]
) -> None:
    writer = csv.writer(file, lineterminator="\n")
    for row in rows:
        if row.keys() != set(columns):
            raise ValueError(f"row {dict(row)} lacks or adds to {list(columns)}")
        writer.writerow([row[column] for column in columns])
