"""Where a COCO annotation lies: boxes, points, polygons and run lengths."""

from collections.abc import Iterable
import itertools
import math
from typing import Any

Box = tuple[float, float, float, float]
"""(y0, x0, y1, x1), px."""


def place(row: dict[str, Any]) -> tuple[Box, bool] | None:
    """A box and True, or a point without extent and False; None for neither.

    `bbox` counts first, then `point` and `keypoints`, then `segmentation`.
    """
    x, y, width, height = numbers(row.get("bbox"), 4) or (0.0, 0.0, 0.0, 0.0)
    box = (y, x, y + height, x + width)
    if width or height:
        return box, True
    point = numbers(row.get("point"), 2) or _first_keypoint(row.get("keypoints"))
    if point is not None:
        return (point[1], point[0], point[1], point[0]), False
    outline = row.get("segmentation")
    found = _of_runs(outline) if isinstance(outline, dict) else _of_polygons(outline)
    if found is not None:
        return found, True
    return (box, True) if numbers(row.get("bbox"), 4) else None


def numbers(values: Any, count: int | None = None) -> list[float] | None:
    """The values as floats, or None if they are no `count` finite numbers."""
    if not isinstance(values, list) or (count is not None and len(values) != count):
        return None
    try:
        if all(isinstance(v, int | float) and math.isfinite(v) for v in values):
            return [float(v) for v in values]
    except OverflowError:  # a whole number of over 308 digits
        pass
    return None


def _first_keypoint(keypoints: Any) -> list[float] | None:
    """The first (x, y) of COCO's flat x, y, visibility triples that is labelled."""
    values = numbers(keypoints) or []
    labelled = (
        values[i : i + 2] for i in range(0, len(values) - 2, 3) if values[i + 2]
    )
    return next(labelled, None)


def _of_polygons(polygons: Any) -> Box | None:
    corners = [numbers(p) for p in polygons] if isinstance(polygons, list) else []
    if not corners or not all(polygon and len(polygon) % 2 == 0 for polygon in corners):
        return None
    flat = [value for polygon in corners for value in polygon or ()]
    xs, ys = flat[::2], flat[1::2]
    return (min(ys), min(xs), max(ys), max(xs))


def _of_runs(outline: dict[str, Any]) -> Box | None:
    """Encloses the pixels of a mask as run lengths, down the columns."""
    size = numbers(outline.get("size"), 2)
    counts = outline.get("counts")
    runs = _decoded_runs(counts) if isinstance(counts, str) else numbers(counts)
    if not size or not runs or min(runs) < 0 or min(size) < 1:
        return None
    height, width = map(int, size)
    if sum(runs) != height * width:
        return None
    ends = list(itertools.accumulate(map(int, runs)))
    spans = [(a, b - 1) for a, b in zip(ends[::2], ends[1::2], strict=False) if a < b]
    return _of_spans(spans, height) if spans else None


def _of_spans(spans: Iterable[tuple[int, int]], height: int) -> Box:
    """Encloses pixels numbered down the columns, from first to last of each span."""
    tops, lefts, bottoms, rights = [], [], [], []
    for first, last in spans:
        left, right = first // height, last // height
        tops.append(first % height if left == right else 0)
        bottoms.append(last % height if left == right else height - 1)
        lefts.append(left)
        rights.append(right)
    low, high = (min(tops), min(lefts)), (max(bottoms) + 1, max(rights) + 1)
    return (float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def _decoded_runs(text: str) -> list[float] | None:
    """COCO's compressed run lengths: five bits a sign, from the third as differences.

    The format is that of `maskApi.c` of the COCO API.
    """
    runs: list[int] = []
    value = shift = 0
    for sign in text:
        bits = ord(sign) - 48
        if not 0 <= bits < 64:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return [float(run) for run in runs] if not shift else None
