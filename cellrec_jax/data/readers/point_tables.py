"""What JSON and CSV points have in common: rows, classes, and the set made of them."""

from collections import Counter
from collections.abc import Callable, Mapping
import re
from typing import NamedTuple

from etils.epath import Path
import numpy as np

from cellrec_jax import geometry
from cellrec_jax.data.classes import Classes, classes_from_values, read_label_map
from cellrec_jax.data.readers import units
from cellrec_jax.data.readers.clean import points_from_xy
from cellrec_jax.data.readers.folder import folder_source
from cellrec_jax.data.readers.layout import Pairs
from cellrec_jax.data.record import Record, Source
from cellrec_jax.errors import DataError

LABEL_MAP = "label_map.yaml"
UNREAD = "tables with columns or keys that are not read"

_NUM_SHOWN = 6
_WHOLE = re.compile(r"-?\d{1,9}")


class Table(NamedTuple):
    """Cells of one file as they stand there."""

    places_xy: np.ndarray
    """f64 [N, 2] points (x, y) or [N, 4] boxes (x0, y0, x1, y1), continuous; px. NaN
    where a number is missing."""
    classes: list[str] | None
    """N names or whole numbers; None if the file has no classes."""
    rows: list[str]
    """N places such as "line 3", for messages."""
    unread: tuple[str, ...] = ()
    """Names of what is not read."""
    class_key: str = ""
    """Normal name of the column or key that holds the class, where there is a name."""
    has_header: bool = True
    """Whether the file names its columns."""


class _Facts(NamedTuple):
    """What is kept of a table that was read, of which there may be many."""

    path: Path
    table: Table
    """Its first row."""
    classes: frozenset[str]
    extent: units.Extent
    first_values: frozenset[float]
    """Of its first column."""
    counts_rows: bool
    """Whether these are 0, 1, 2 ... or 1, 2, 3 ..."""
    num_rows: int


def open_tables(
    name: str,
    root: Path,
    pairs: Pairs,
    read_table: Callable[[Path], Table],
    to_classes: Callable[[set[str], set[str]], Classes] | None = None,
    groups: Mapping[str, str] | None = None,
) -> Source:
    """Makes a set of images with one table of cells each, read by `read_table`.

    All are read once; without `label_map.yaml` in `root`, `to_classes` names the
    classes, of (their values, the names of what holds them). `groups` maps ids to
    slide or patient. A `DataError`:
    unreadable files, classes or boxes in some files only, columns in another order,
    coordinates that are no px.
    """
    facts = [_facts(path, read_table(path)) for path in pairs.annotations.values()]
    has_boxes = _have_boxes(facts)
    _check_columns(facts)
    units.check_set([found.extent for found in facts], pairs.images, str(root))
    label_map = root / LABEL_MAP
    if label_map.is_file():
        classes = read_label_map(label_map)
    elif to_classes:
        class_keys = {found.table.class_key for found in facts if found.classes}
        classes = to_classes(_find_values(facts), class_keys)
    else:
        classes = classes_from_values(_find_values(facts))

    def read(image_id: str, image: np.ndarray, _: Counter[str]) -> Record:
        path = pairs.annotations[image_id]
        table = read_table(path)
        labels = _to_labels(table, classes, path)
        if not has_boxes:
            points_yx = points_from_xy(table.places_xy)
            return Record(image_id, image, points_yx, labels)
        corners = table.places_xy.reshape(-1, 2, 2)[..., ::-1].reshape(-1, 4)
        with np.errstate(over="ignore"):  # 1e300 becomes inf, which `clean` drops
            boxes = corners.astype(np.float32)
        points_yx = geometry.box_centers(boxes)
        return Record(image_id, image, points_yx, labels, boxes_yxyx=boxes)

    return folder_source(
        name,
        classes.names,
        pairs.images,
        pairs.files_of,
        read,
        root,
        groups=groups,
        repairs=_count_unread(facts),
    )


def _facts(path: Path, table: Table) -> _Facts:
    count, width = table.places_xy.shape
    with np.errstate(all="ignore"):
        centers = table.places_xy.reshape(count, width // 2, 2).mean(1)
    first = table.places_xy[:, 0]
    counts_rows = bool((first == np.arange(len(first)) + (first[:1] == 1)).all())
    head = table._replace(places_xy=table.places_xy[:1], rows=[])
    return _Facts(
        path,
        head._replace(classes=None if table.classes is None else []),
        frozenset(table.classes or ()),
        units.extent(centers),
        frozenset(first.tolist()),
        counts_rows,
        len(first),
    )


def _count_unread(facts: list[_Facts]) -> dict[str, int]:
    names = dict.fromkeys(name for found in facts for name in found.table.unread)
    if not names:
        return {}
    shown = ", ".join([*names][:_NUM_SHOWN]) + ", ..." * (len(names) > _NUM_SHOWN)
    number = sum(bool(found.table.unread) for found in facts)
    return {f"{UNREAD} ({shown})": number}


def _have_boxes(facts: list[_Facts]) -> bool:
    """Whether the cells of a set have boxes: all or none."""
    first: dict[bool, Path] = {}
    for found in facts:
        if found.num_rows:
            first.setdefault(found.table.places_xy.shape[1] == 4, found.path)
    if len(first) > 1:
        raise DataError(
            f"{first[True]} has boxes but {first[False]} has points: give all cells "
            "the same columns"
        )
    return True in first


def _check_columns(facts: list[_Facts]) -> None:
    """`DataError` where x,y,class without a header are something else."""
    plain = [
        f for f in facts if not f.table.has_header and f.classes and f.num_rows > 1
    ]
    if sum(found.num_rows for found in plain) < 3:
        return
    path = plain[0].path
    if all(found.counts_rows for found in plain):
        raise DataError(
            f"{path}: the first column counts the rows, so columns are not x,y,class: "
            "write them so, or add a header line such as number,x,y"
        )
    values = frozenset().union(*(found.classes for found in plain))
    num_first = len(frozenset().union(*(found.first_values for found in plain)))
    numbers = [int(value) for value in values if _WHOLE.fullmatch(value)]
    if len(numbers) < len(values) or len(values) < max(3, num_first + 1):
        return
    if max(numbers) > len(values):
        raise DataError(
            f"{path}: the third column has {len(values)} values, the first only "
            f"{num_first}, so columns are not x,y,class: write them so, or add a "
            "header line such as class,x,y"
        )


def _find_values(facts: list[_Facts]) -> set[str]:
    values: set[str] = set()
    with_classes: Path | None = None
    without: Path | None = None
    for found in facts:
        if found.table.classes is not None:
            with_classes = found.path
            values.update(found.classes)
        elif found.num_rows:
            without = found.path
    if with_classes and without:
        raise DataError(
            f"{with_classes} has classes but {without} has none: give all cells a class"
        )
    return values


def _to_labels(table: Table, classes: Classes, path: Path) -> np.ndarray:
    if table.classes is None:
        if len(classes.names) > 1 and len(table.places_xy):
            raise DataError(
                f"{path} has no classes, but the set has {', '.join(classes.names)}: "
                "give each cell its class"
            )
        return np.zeros(len(table.places_xy), np.int32)
    rows = zip(table.classes, table.rows, strict=True)
    labels = [classes.to_label(value, f"{path} {row}") for value, row in rows]
    return np.array(labels, np.int32)
