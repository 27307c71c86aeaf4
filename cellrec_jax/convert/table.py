"""One table of all images, `cells.csv`: as detections.csv of predictions, and corners.

Images without cells are not in it.
"""

from collections.abc import Iterable, Sequence
import csv
import io

from etils.epath import Path

from cellrec_jax.convert.cells import ImageCells, centers, guarded, texts

HOLDS = frozenset({"points", "boxes", "classes", "scores"})

_CORNERS = ("x0", "y0", "x1", "y1")


def write(
    folder: Path, images: Iterable[ImageCells], class_names: Sequence[str]
) -> None:
    """Writes the table; corners where cells have boxes."""
    with (
        (folder / "cells.csv").open("wb") as data,
        io.TextIOWrapper(data, encoding="utf-8", newline="") as stream,
    ):
        rows = csv.writer(stream, lineterminator="\n")
        has_header = False
        for cells in images:
            has_boxes = cells.boxes_yxyx is not None
            if not has_header:
                more = _CORNERS if has_boxes else ()
                rows.writerow(("image", "x", "y", "score", "class", *more))
                has_header = True
            boxes = cells.boxes_yxyx
            for index, (y, x) in enumerate(centers(cells)):
                score = cells.score(index)
                corners = () if boxes is None else texts(boxes[index, [1, 0, 3, 2]])
                kind = guarded(class_names[cells.labels[index]])
                found = "" if score is None else score
                rows.writerow(
                    (guarded(cells.name), *texts((x, y)), found, kind, *corners)
                )
