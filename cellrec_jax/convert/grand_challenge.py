"""grand-challenge.org, `json/ID.json`: points or boxes of an image, in px."""

from collections.abc import Iterable, Sequence
import re
from typing import Any

from etils.epath import Path
import orjson

from cellrec_jax.convert.cells import ImageCells, below, not_whole

HOLDS = frozenset({"points", "boxes", "classes", "scores"})

_VERSION = {"major": 1, "minor": 0}
_NUMBER = re.compile(r"[\s_-]\d+$")


def write(
    folder: Path, images: Iterable[ImageCells], class_names: Sequence[str]
) -> None:
    """Writes a file an image; the name of a cell is its class.

    Cells are numbered where a class ends in a number, which would be taken for theirs.
    """
    for cells in images:
        rows = [_row(cells, class_names, i) for i in range(len(cells.labels))]
        if cells.boxes_yxyx is None:
            for row, (y, x) in zip(
                rows, not_whole(cells.points_yx).tolist(), strict=True
            ):
                row["point"] = [x, y, 0]
            kind, key = "Multiple points", "points"
        else:
            for row, box in zip(rows, cells.boxes_yxyx.tolist(), strict=True):
                y0, x0, y1, x1 = box
                row["corners"] = [[x0, y0, 0], [x1, y0, 0], [x1, y1, 0], [x0, y1, 0]]
            kind, key = "Multiple 2D bounding boxes", "boxes"
        content = {"type": kind, "name": "cells", key: rows, "version": _VERSION}
        below(folder, "json", cells, ".json").write_bytes(orjson.dumps(content))


def _row(cells: ImageCells, class_names: Sequence[str], index: int) -> dict[str, Any]:
    name = class_names[cells.labels[index]]
    row: dict[str, Any] = {"name": f"{name} {index}" if _NUMBER.search(name) else name}
    score = cells.score(index)
    return row if score is None else {**row, "probability": score}
