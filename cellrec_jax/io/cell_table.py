"""Cells of a slide as a table that is written while they are found: CSV or Parquet.

The columns are those of a table of detections, and more. (x, y) in px of the slide from
where the caller has its (0, 0): the centre of the px that begins there is (0.5, 0.5).
CSV is for spreadsheets: numbers are rounded, and a text that they would take for a
formula gets an apostrophe. Parquet keeps numbers as they are, and what is known of the
slide.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import csv
import io
import os
from typing import Any

import numpy as np
import orjson

from cellrec_jax import errors
from cellrec_jax.io import atomic, cell_columns, streams, table
from cellrec_jax.io.cell_columns import CellColumns

METADATA = b"cellrec_jax"
"""Key of a Parquet file's metadata, a JSON object."""
_BLOCK = 2**16  # rows of a row group
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def columns_of(class_names: Sequence[str], *, boxes: bool) -> tuple[str, ...]:
    """Columns of a table: px first, um next; probabilities of two classes or more."""
    probs = [f"p_{name}" for name in class_names] if len(class_names) > 1 else []
    corners = ("x0", "y0", "x1", "y1") if boxes else ()
    return (*table.DETECTION_COLUMNS, "class_id", "x_um", "y_um", *probs, *corners)


@contextlib.contextmanager
def open_cells(
    path: str | os.PathLike[str],
    image_id: str,
    class_names: Sequence[str],
    *,
    mpp: float | None = None,
    boxes: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> Iterator[Callable[..., None]]:
    """Gives `add(points_yx, scores, labels, class_probs=None, boxes_yxyx=None)`.

    Cells come in chunks of any size: points [N, 2] in px, scores [N], class ids 0..K-1
    [N], probabilities [N, K] if K > 1, boxes [N, 4] in px if `boxes`. The file is
    there, whole, when the block ends well, and not at all after an error; equal cells
    give equal bytes.

    Args:
      path: ends in `.csv`, `.csv.gz` or `.parquet`.
      image_id: what "image" holds.
      class_names: K names.
      mpp: um a px; where it is unknown, "x_um" and "y_um" are empty.
      boxes: whether there are columns for them.
      metadata: JSON, of the Parquet file, under `METADATA`; CSV has no place for it.

    Raises:
      ConfigError: an unknown ending, or Parquet without pyarrow.
      DataError: a cell is not of finite numbers, or of an unknown class.
      RunError: the file cannot be written.
    """
    names = tuple(class_names)
    num_added = 0
    with (
        _writer(path, image_id, names, mpp, boxes, metadata or {}) as write,
        streams.in_blocks(_BLOCK, lambda *block: write(CellColumns(*block))) as pass_on,
    ):

        def add(
            points_yx: np.ndarray,
            scores: np.ndarray,
            labels: np.ndarray,
            class_probs: np.ndarray | None = None,
            boxes_yxyx: np.ndarray | None = None,
        ) -> None:
            nonlocal num_added
            cells = cell_columns.columns(
                num_added,
                points_yx,
                scores,
                labels,
                boxes_yxyx=boxes_yxyx if boxes else None,
                class_probs=class_probs if len(names) > 1 else None,
            )
            widths = (cells.class_probs.shape[1], cells.boxes_yxyx.shape[1])
            if widths != (len(names) * (len(names) > 1), 4 * boxes):
                raise ValueError(f"probabilities and corners of a cell: {widths}")
            if (fault := cell_columns.fault(cells, len(names))) is not None:
                raise errors.DataError(f"cannot write {path}: cell {fault}")
            num_added += len(cells.scores)
            pass_on(*cells)

        yield add


def _writer(
    path: str | os.PathLike[str],
    image_id: str,
    class_names: tuple[str, ...],
    mpp: float | None,
    boxes: bool,
    metadata: Mapping[str, Any],
) -> contextlib.AbstractContextManager[Callable[[CellColumns], None]]:
    if os.fspath(path).endswith((".csv", ".csv.gz")):
        return _csv(path, image_id, class_names, mpp, boxes)
    if os.fspath(path).endswith(".parquet"):
        return _parquet(path, image_id, class_names, mpp, boxes, metadata)
    raise errors.ConfigError(
        f"{path}: a table of cells ends in .csv, .csv.gz or .parquet"
    )


@contextlib.contextmanager
def _csv(
    path: str | os.PathLike[str],
    image_id: str,
    class_names: tuple[str, ...],
    mpp: float | None,
    boxes: bool,
) -> Iterator[Callable[[CellColumns], None]]:
    """Gives `write` of a block, to CSV."""
    image = _line([_guarded(image_id)])
    kinds = [_line([_guarded(name), label]) for label, name in enumerate(class_names)]
    with streams.streamed_file(path) as stream:

        def write(cells: CellColumns) -> None:
            points_xy = cells.points_yx[:, ::-1]
            left = _lines(np.round(points_xy, 3), np.round(cells.scores, 6)[:, None])
            um = (
                [","] * len(left)
                if mpp is None
                else _lines(np.round(points_xy * mpp, 3))
            )
            corners_xy = (
                cells.boxes_yxyx[:, [1, 0, 3, 2]] if boxes else cells.boxes_yxyx
            )
            right = _lines(np.round(cells.class_probs, 6), np.round(corners_xy, 3))
            kind = [kinds[label] for label in cells.labels.tolist()]
            parts = [left, kind, um, *([right] if right else [])]
            rows = (",".join((image, *row)) for row in zip(*parts, strict=True))
            stream.write(_encoded("".join(f"{row}\n" for row in rows)))

        stream.write(_encoded(_line(columns_of(class_names, boxes=boxes)) + "\n"))
        yield write


@contextlib.contextmanager
def _parquet(
    path: str | os.PathLike[str],
    image_id: str,
    class_names: tuple[str, ...],
    mpp: float | None,
    boxes: bool,
    metadata: Mapping[str, Any],
) -> Iterator[Callable[[CellColumns], None]]:
    """Gives `write` of a block, a row group, to Parquet."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise errors.ConfigError(
            f"{path}: Parquet needs pyarrow: pip install 'cellrec_jax[parquet]', or "
            "choose .csv"
        ) from error
    text = pa.dictionary(pa.int32(), pa.string())
    kinds = {
        "image": text,
        "class": text,
        "class_id": pa.int32(),
        "score": pa.float32(),
    }
    names = columns_of(class_names, boxes=boxes)
    fields = [
        (name, kinds.get(name, pa.float32() if name[:2] == "p_" else pa.float64()))
        for name in names
    ]
    schema = pa.schema(fields, {METADATA: orjson.dumps(dict(metadata))})
    image = pa.array([os.fsencode(image_id).decode(errors="replace")])

    def write(cells: CellColumns) -> None:
        num = len(cells.scores)
        points_xy = cells.points_yx[:, ::-1]
        labels = pa.array(cells.labels, pa.int32())
        um = [None, None] if mpp is None else (points_xy * mpp).T
        corners = cells.boxes_yxyx[:, [1, 0, 3, 2]].T if boxes else ()
        columns = [
            pa.DictionaryArray.from_arrays(pa.array(np.zeros(num, np.int32)), image),
            *points_xy.T,
            cells.scores,
            pa.DictionaryArray.from_arrays(labels, pa.array(class_names)),
            labels,
            *um,
            *cells.class_probs.T,
            *corners,
        ]
        arrays = [
            pa.nulls(num, kind) if column is None else pa.array(column, kind)
            for column, (_, kind) in zip(columns, fields, strict=True)
        ]
        with atomic.naming(path):
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema), _BLOCK)

    with atomic.pending_path(path) as temporary:
        with atomic.naming(path):
            writer = parquet.ParquetWriter(temporary, schema, compression="zstd")
        try:
            yield write
        except BaseException:
            with contextlib.suppress(OSError):  # the first error is the one to tell
                writer.close()
            raise
        with atomic.naming(path):
            writer.close()


def _guarded(text: str) -> str:
    """With an apostrophe where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _line(values: Sequence[Any]) -> str:
    """Cells of CSV, quoted where they must be."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(values)
    return buffer.getvalue()


def _lines(*matrices: np.ndarray) -> list[str]:
    """Numbers f64 [N, *] as N times cells of CSV; none where there are no columns."""
    values = np.concatenate(matrices, axis=1)
    if not values.size:
        return []
    # JSON of numbers is CSV of numbers, and the fastest there is.
    text = orjson.dumps(values + 0.0, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return text[2:-2].split("],[")


def _encoded(text: str) -> bytes:
    """As in `table`: names of files that are not UTF-8 keep their bytes."""
    return text.encode("utf-8", "surrogateescape")
