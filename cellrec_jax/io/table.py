"""Tables for spreadsheets: detections, and one row an image. CSV, UTF-8.

(x, y) in px of the image as given: the centre of the first pixel is (0.5, 0.5).
"""

from collections.abc import Iterable, Mapping, Sequence
import csv
import os
from typing import Any

import numpy as np

from cellrec_jax.io import atomic

DETECTION_COLUMNS = ("image", "x", "y", "score", "class")


def detection_rows(
    image_id: str,
    points_yx: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
) -> list[dict[str, Any]]:
    """Rows of an image for `write_detections`: dicts with keys `DETECTION_COLUMNS`.

    In the order given; coordinates to 0.001 px, scores to 1e-6.
    """
    return [
        {
            "image": image_id,
            "x": round(float(x), 3),
            "y": round(float(y), 3),
            "score": round(float(score), 6),
            "class": class_names[int(label)],
        }
        for (y, x), score, label in zip(points_yx, scores, labels, strict=True)
    ]


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
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            if row.keys() != set(columns):
                raise ValueError(f"row {dict(row)} lacks or adds to {list(columns)}")
            writer.writerow([row[column] for column in columns])
