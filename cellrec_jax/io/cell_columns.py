"""Cells as columns that writers pass on, checked in bulk."""

from typing import NamedTuple

import numpy as np

LARGEST_PX = 2.0**31


class CellColumns(NamedTuple):
    """Cells, a row each; N of a chunk, or of a block of chunks."""

    numbers: np.ndarray
    """i64 [N], from 0 on in the order written."""
    points_yx: np.ndarray
    """f64 [N, 2] px."""
    scores: np.ndarray
    """f64 [N]."""
    labels: np.ndarray
    """i64 [N], class ids 0..K-1."""
    boxes_yxyx: np.ndarray
    """f64 [N, 4] px; [N, 0] where none are written."""
    class_probs: np.ndarray
    """f64 [N, K]; [N, 0] where none are written."""


def columns(
    first: int,
    points_yx: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    *,
    boxes_yxyx: np.ndarray | None = None,
    class_probs: np.ndarray | None = None,
) -> CellColumns:
    """Cells numbered from `first` on; ValueError if the arrays' lengths differ."""
    points_yx = np.asarray(points_yx, np.float64).reshape(-1, 2)
    num = len(points_yx)
    none = np.zeros((num, 0))
    boxes = none if boxes_yxyx is None else np.asarray(boxes_yxyx, np.float64)
    probs = none if class_probs is None else np.asarray(class_probs, np.float64)
    if not len(boxes) == len(probs) == num:
        raise ValueError(f"{num} points, {len(boxes)} boxes, {len(probs)} class_probs")
    return CellColumns(
        np.arange(first, first + num),
        points_yx,
        np.asarray(scores, np.float64).reshape(num),
        np.asarray(labels, np.int64).reshape(num),
        boxes,
        probs,
    )


def fault(cells: CellColumns, num_classes: int) -> str | None:
    """The number of the first cell that cannot be written, and why; or None."""
    boxes, labels = cells.boxes_yxyx, cells.labels
    with np.errstate(invalid="ignore"):
        far_point = ~(np.abs(cells.points_yx) < LARGEST_PX)
        far_box = ~(np.abs(boxes) < LARGEST_PX)
        turned = boxes[:, 2:] < boxes[:, :2]
    faults = {
        "its point is not finite, or far away": far_point.any(1),
        "its score is not finite": ~np.isfinite(cells.scores),
        f"its class is none of {num_classes}": (labels < 0) | (labels >= num_classes),
        "its box is not finite, or far away": far_box.any(1),
        "its box ends before it begins": turned.any(1),
        "a probability is not finite": ~np.isfinite(cells.class_probs).all(1),
    }
    found = [(int(bad.argmax()), what) for what, bad in faults.items() if bad.any()]
    if not found:
        return None
    row, what = min(found)
    return f"{cells.numbers[row]}: {what}"
