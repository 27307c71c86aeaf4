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
_STRIP = 1 << 14  # points whose neighbours are in memory at a time


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
    if not len(every):
        return every
    points_yx = every.points_yx.astype(np.float64)
    scores = every.scores.astype(np.float64)[:, None]
    tree = spatial.cKDTree(points_yx)
    whole = np.arange(len(every))
    height = _smoothed(tree, whole, scores, near_px, _REACH)[:, 0]
    kept = np.flatnonzero(suppression.suppress(points_yx, height, 2 * near_px))
    boxes = every.boxes_yxyx
    known = [points_yx, every.class_probs, *([] if boxes is None else [boxes])]
    values = scores * np.concatenate([np.ones_like(scores), *known], axis=1)
    sums = _smoothed(tree, kept, values, near_px, 2.0)
    means = (sums[:, 1:] / sums[:, :1]).astype(np.float32)
    points, probs, corners = np.split(means, [2, 2 + every.class_probs.shape[1]], 1)
    joined = Cells(
        points,
        np.minimum(height[kept] / len(parts), 1.0).astype(np.float32),
        probs.argmax(axis=1).astype(np.int32),
        probs,
        None if boxes is None else corners,
        every.class_names,
    )
    return cells.sort(joined)


def _smoothed(
    tree: spatial.cKDTree,
    rows: np.ndarray,
    values: np.ndarray,
    near_px: float,
    reach: float,
) -> np.ndarray:
    """Values [M, C] of a tree's points by a Gaussian, summed at `rows` [N]; [N, C].

    `reach` in standard deviations, which are `near_px`. In strips, so that memory does
    not grow with the pairs of an image.
    """
    sums = np.empty((len(rows), values.shape[1]))
    by_y = np.argsort(tree.data[rows, 0], kind="stable")
    for start in range(0, len(rows), _STRIP):
        strip = by_y[start : start + _STRIP]
        index, other, squared = suppression.near_pairs(
            tree, rows[strip], reach * near_px
        )
        kernel = np.exp(-squared / (2 * near_px**2))
        kernel[squared > (reach * near_px) ** 2] = 0
        for number, column in enumerate(values.T):
            weights = kernel * column[other]
            sums[strip, number] = np.bincount(index, weights, len(strip))
    return sums
