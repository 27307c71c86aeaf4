"""What JSON and CSV points have in common: rows, classes, and the set made of them."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from etils.epath import Path
import numpy as np

from cellrec_jax.data.classes import Classes, classes_from_values, read_label_map
from cellrec_jax.data.readers.clean import points_from_xy
from cellrec_jax.data.readers.folder import folder_source
from cellrec_jax.data.readers.layout import Pairs
from cellrec_jax.data.record import Record, Source
from cellrec_jax.errors import DataError

LABEL_MAP = "label_map.yaml"


class Table(NamedTuple):
    """Points of one file as they stand there."""

    points_xy: np.ndarray
    """f64 [N, 2] px; NaN where a coordinate is missing."""
    classes: list[str] | None
    """N names or whole numbers; None if the file has no classes."""
    places: list[str]
    """N places such as "line 3", for messages."""


def open_tables(
    name: str,
    root: Path,
    pairs: Pairs,
    read_table: Callable[[Path], Table],
    to_classes: Callable[[set[str]], Classes] = classes_from_values,
) -> Source:
    """Makes a set of images with one table of points each, read by `read_table`.

    Without `label_map.yaml` in `root` all are read once and `to_classes` names the
    classes. Unreadable files, or classes in some files only, are a `DataError`.
    """
    label_map = root / LABEL_MAP
    if label_map.is_file():
        classes = read_label_map(label_map)
    else:
        classes = to_classes(_find_values(pairs.annotations, read_table))

    def read(image_id: str, image: np.ndarray, _: Counter[str]) -> Record:
        path = pairs.annotations[image_id]
        table = read_table(path)
        return Record(
            image_id=image_id,
            image=image,
            points_yx=points_from_xy(table.points_xy),
            labels=_to_labels(table, classes, path),
        )

    return folder_source(name, classes.names, pairs.images, pairs.files_of, read, root)


def _find_values(
    annotations: dict[str, Path], read_table: Callable[[Path], Table]
) -> set[str]:
    values: set[str] = set()
    with_classes: Path | None = None
    without: Path | None = None
    for path in annotations.values():
        table = read_table(path)
        if table.classes is not None:
            with_classes = path
            values.update(table.classes)
        elif len(table.points_xy):
            without = path
    if with_classes and without:
        raise DataError(
            f"{with_classes} has classes but {without} has none: give all cells a class"
        )
    return values


def _to_labels(table: Table, classes: Classes, path: Path) -> np.ndarray:
    if table.classes is None:
        if len(classes.names) > 1 and len(table.points_xy):
            raise DataError(
                f"{path} has no classes, but the set has {', '.join(classes.names)}: "
                "give each cell its class"
            )
        return np.zeros(len(table.points_xy), np.int32)
    rows = zip(table.classes, table.places, strict=True)
    labels = [classes.to_label(value, f"{path} {place}") for value, place in rows]
    return np.array(labels, np.int32)
