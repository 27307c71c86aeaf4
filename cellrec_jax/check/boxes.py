"""Sizes of cells that are far from those of their class, and boxes drawn twice."""

from collections.abc import Iterator, Sequence

import numpy as np

from cellrec_jax.check.facts import Facts
from cellrec_jax.check.rules import Finding, finding

LEAST_CELLS = 20
"""Of a class, to know its size."""
MOST_IOU = 0.7
"""Boxes with a larger intersection over union are one cell."""

_DEVIATIONS = 6.0  # of the logarithm of sizes, robust
_LEAST_RATIO = 2.5  # to the median, where sizes vary little
_EDGE_PX = 1.0


def twice(facts: Facts, class_names: Sequence[str]) -> Iterator[Finding]:
    """Pairs of boxes of an image that overlap nearly whole, told at the second."""
    if facts.boxes_yxyx is None:
        return
    boxes = facts.boxes_yxyx.astype(np.float64)
    for second in range(1, len(boxes)):
        found = overlaps(boxes[second], boxes[:second])
        for first in np.flatnonzero(found > MOST_IOU).tolist():
            one, other = (class_names[facts.labels[i]] for i in (first, second))
            text = f"overlaps another box by {found[first]:.2f} (IoU), {other}"
            if one != other:
                text += f" and {one}"
            yield finding("box-twice", facts.image_id, text, box_yxyx=boxes[second])


def overlaps(box_yxyx: np.ndarray, boxes_yxyx: np.ndarray) -> np.ndarray:
    """Intersection over union of a box [4] with others [N, 4], [N] in [0, 1]."""
    low = np.maximum(box_yxyx[:2], boxes_yxyx[:, :2])
    high = np.minimum(box_yxyx[2:], boxes_yxyx[:, 2:])
    shared = np.clip(high - low, 0, None).prod(1)
    areas = (boxes_yxyx[:, 2:] - boxes_yxyx[:, :2]).prod(1)
    both: np.ndarray = shared / ((box_yxyx[2:] - box_yxyx[:2]).prod() + areas - shared)
    return both


def sizes(images: Sequence[Facts], class_names: Sequence[str]) -> Iterator[Finding]:
    """Cells whose size is far from their class's median.

    By `_DEVIATIONS` robust standard deviations of the logarithm, and by a factor of
    `_LEAST_RATIO`. Boxes at the edge of an image may be small, as it cuts them.
    """
    known = [one for one in images if one.sizes_px is not None]
    if not known:
        return
    everything = np.concatenate([np.asarray(one.sizes_px) for one in known])
    labels = np.concatenate([one.labels for one in known])
    limits = {}
    for label in range(len(class_names)):
        of_class = np.log(everything[(labels == label) & (everything > 0)])
        if len(of_class) >= LEAST_CELLS:
            median = np.median(of_class)
            spread = 1.4826 * np.median(np.abs(of_class - median))
            limits[label] = median, max(_DEVIATIONS * spread, np.log(_LEAST_RATIO))
    for one in known:
        yield from _odd_sizes(one, limits, class_names)


def _odd_sizes(
    facts: Facts, limits: dict[int, tuple[float, float]], class_names: Sequence[str]
) -> Iterator[Finding]:
    assert facts.sizes_px is not None  # for mypy
    cut = _at_edge(facts)
    for index, size in enumerate(facts.sizes_px.tolist()):
        label = int(facts.labels[index])
        if label not in limits or size <= 0:
            continue
        median, most = limits[label]
        off = np.log(size) - median
        if abs(off) <= most or (off < 0 and cut[index]):
            continue
        word = "large" if off > 0 else "small"
        text = (
            f"{size:.0f} px across, {np.exp(abs(off)):.1f} times too {word} for "
            f"{class_names[label]} ({np.exp(median):.0f} px)"
        )
        boxes = facts.boxes_yxyx
        where = {"point_yx": facts.points_yx[index]}
        if boxes is not None:
            where = {"box_yxyx": boxes[index]}
        yield finding("cell-size", facts.image_id, text, **where)


def _at_edge(facts: Facts) -> np.ndarray:
    """Whether the edge of the image may cut a cell, bool [N]."""
    height, width = facts.size_hw
    if facts.boxes_yxyx is not None:
        low, high = facts.boxes_yxyx[:, :2], facts.boxes_yxyx[:, 2:]
        last = np.subtract((height, width), _EDGE_PX)
        return np.asarray(((low <= _EDGE_PX) | (high >= last)).any(axis=1))
    assert facts.sizes_px is not None  # for mypy
    reach = np.median(facts.sizes_px) if len(facts.sizes_px) else 0.0
    low, high = facts.points_yx, np.subtract((height, width), facts.points_yx)
    return np.asarray(((low < reach) | (high < reach)).any(axis=1))
