"""One image seen several times, turned and at other scales, and its cells joined.

Test-time augmentation: what a network finds in most views is more often a cell than
what it finds in one, above all in images that are unlike its training's. For points
Radosavovic et al., Data distillation: towards omni-supervised learning, CVPR 2018, do
so with boxes and key points; the joining here is of ours.
"""

from collections.abc import Sequence
import dataclasses
from typing import NamedTuple

import numpy as np
from scipy import spatial

from cellrec_jax import cells
from cellrec_jax.cells import Cells
from cellrec_jax.metrics import suppression

TURNS: dict[int, tuple[tuple[int, bool], ...]] = {
    1: ((0, False),),
    2: ((0, False), (2, False)),
    4: tuple((turns, False) for turns in range(4)),
    8: tuple((turns, mirrored) for mirrored in (False, True) for turns in range(4)),
}
"""Number of views -> quarter turns, and whether it is mirrored after them."""
LEAST = 0.02
"""Scores below it say nothing of a cell; of many views they would be most."""
_REACH = 3.0  # of the kernel, in its standard deviations


class View(NamedTuple):
    """How an image is seen."""

    turns: int
    """Quarter turns as of `np.rot90`."""
    mirrored: bool
    """Left for right, after the turns."""
    scale: float
    """Px per px of the image as it is usually seen."""


def of(number: int, scales: Sequence[float]) -> tuple[View, ...]:
    """All views: `number` of `TURNS` at each scale.

    Example:
      >>> [tuple(view) for view in of(2, (1.0,))]
      [(0, False, 1.0), (2, False, 1.0)]
    """
    return tuple(View(*turn, scale) for scale in scales for turn in TURNS[number])


def turn(image: np.ndarray, view: View) -> np.ndarray:
    """An image [H, W, ...] as it is seen, not scaled."""
    turned = np.rot90(image, view.turns)
    return np.ascontiguousarray(turned[:, ::-1] if view.mirrored else turned)


def turned_hw(size_hw: tuple[int, int], view: View) -> tuple[int, int]:
    """Height and width of `turn`'s image."""
    return (size_hw[1], size_hw[0]) if view.turns % 2 else size_hw


def back(found: Cells, view: View, size_hw: tuple[int, int]) -> Cells:
    """Cells of `turn`'s image in px of the image, whose size is [h, w]."""
    boxes = found.boxes_yxyx
    points = _back(found.points_yx, view, size_hw)
    if boxes is not None:
        corners = _back(boxes.reshape(-1, 2), view, size_hw).reshape(-1, 2, 2)
        boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return dataclasses.replace(found, points_yx=points, boxes_yxyx=boxes)


def _back(points_yx: np.ndarray, view: View, size_hw: tuple[int, int]) -> np.ndarray:
    y, x = points_yx.T
    height, width = turned_hw(size_hw, view)
    if view.mirrored:
        x = width - x
    for _ in range(view.turns):
        y, x = x, height - y
        height, width = width, height
    return np.stack([y, x], axis=1)


def join(parts: Sequence[Cells], near_px: float) -> Cells:
    """The cells of one image that its V views agree on, best first.

    Scores of all views are smoothed by a Gaussian of standard deviation `near_px` and
    divided by V: the height of a peak is a cell's score, at most 1, and so the mean of
    what the views give where each has one point there; several of one view add up. A
    cell lies at the mean of the points within two standard deviations of the peak, by
    their scores and the kernel; its class is the likeliest by the same mean. Peaks are
    apart by those two.
    """
    every = cells.concatenate(parts)
    every = cells.select(every, every.scores >= LEAST)
    points_yx = every.points_yx.astype(np.float64)
    if not len(every):
        return every
    pairs = spatial.cKDTree(points_yx).query_pairs(
        _REACH * near_px, output_type="ndarray"
    )
    one, other = np.concatenate([pairs, pairs[:, ::-1]]).T
    squared = np.sum((points_yx[one] - points_yx[other]) ** 2, axis=1)
    kernel = np.exp(-squared / (2 * near_px**2))
    scores = every.scores.astype(np.float64)
    height = scores + _sum(kernel * scores[other], one, len(every))
    kept = suppression.suppress(points_yx, height, 2 * near_px)
    close = squared <= (2 * near_px) ** 2
    one, other = one[close], other[close]
    weights = kernel[close] * scores[other]
    whole = scores + _sum(weights, one, len(every))

    def mean(values: np.ndarray) -> np.ndarray:
        columns = [
            (scores * column + _sum(weights * column[other], one, len(every))) / whole
            for column in values.astype(np.float64).T
        ]
        return np.stack(columns, axis=1)[kept].astype(np.float32)

    probs, boxes = mean(every.class_probs), every.boxes_yxyx
    joined = Cells(
        mean(every.points_yx),
        np.minimum(height / len(parts), 1.0)[kept].astype(np.float32),
        probs.argmax(axis=1).astype(np.int32),
        probs,
        None if boxes is None else mean(boxes),
        every.class_names,
    )
    return cells.sort(joined)


def _sum(values: np.ndarray, index: np.ndarray, number: int) -> np.ndarray:
    return np.bincount(index, values, number)
