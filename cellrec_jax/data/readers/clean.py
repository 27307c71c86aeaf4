"""Makes every record that leaves a reader valid, and counts what it repaired."""

from collections import Counter
from collections.abc import Callable, Sequence
import dataclasses

import numpy as np

from cellrec_jax import geometry
from cellrec_jax.data import transforms
from cellrec_jax.data.record import Record
from cellrec_jax.errors import DataError

POINTS_NAN = "points that are not numbers dropped"
POINTS_OUTSIDE = "points outside the image dropped"
POINTS_DUPLICATE = "duplicated points dropped"
BOXES_DEGENERATE = "boxes without area dropped"
BOXES_INVERTED = "inverted boxes put right"
BOXES_CLIPPED = "boxes clipped to the image"

_Note = Callable[[str, np.ndarray], None]
"""Told what was done to which cells, bool [N]."""


def clean(
    record: Record, repairs: Counter[str], class_names: Sequence[str] | None = None
) -> Record:
    """Drops cells that cannot be used and mends boxes, masks in step.

    Dropped: points that are NaN or outside [0, H) x [0, W), exact duplicates (not with
    masks), boxes that are NaN or without area inside the image. Inverted boxes are
    swapped, others clipped. Adds description -> count to `repairs`, and the places to
    `Record.repaired`. A label that is no id of `class_names` (None: that is negative)
    is a `DataError`.
    """
    labels = np.asarray(record.labels, np.int32).reshape(-1)
    _check_labels(record.image_id, labels, class_names)
    size_hw = record.image.shape[:2]
    points_yx = np.asarray(record.points_yx, np.float32).reshape(-1, 2)
    boxes_yxyx = record.boxes_yxyx
    outlines = np.tile(points_yx, 2)
    if boxes_yxyx is not None:
        outlines = boxes_yxyx = np.asarray(boxes_yxyx, np.float32).reshape(-1, 4)
    places = dict(record.repaired)

    def note(description: str, cells: np.ndarray) -> None:
        if cells.any():  # no entries of 0: what is listed was repaired
            repairs[description] += int(cells.sum())
            places[description] = outlines[cells]

    keep = _usable_points(points_yx, size_hw, note)
    if boxes_yxyx is not None:
        boxes_yxyx, keep = _mend_boxes(boxes_yxyx, size_hw, keep, note)
    if record.masks is None:
        columns = [points_yx, labels[:, None]]
        columns += [] if boxes_yxyx is None else [boxes_yxyx]
        first = _first_of_equal(np.concatenate(columns, axis=1), keep)
        note(POINTS_DUPLICATE, keep & ~first)
        keep = first
    cleaned = dataclasses.replace(
        record,
        points_yx=points_yx,
        labels=labels,
        boxes_yxyx=boxes_yxyx,
        repaired=places,
    )
    return transforms.select_cells(cleaned, keep)


def points_from_xy(points_xy: np.ndarray) -> np.ndarray:
    """Turns the (x, y) [N, 2] of an annotation file into half-pixel (y, x), f32.

    Whole numbers throughout are clicks on pixels and get + 0.5; with one fraction or
    more all are taken as continuous and left. NaN is allowed.

    Example:
      >>> points_from_xy(np.array([[7, 3]])).tolist()
      [[3.5, 7.5]]
    """
    points_xy = np.asarray(points_xy, np.float64).reshape(-1, 2)
    values = points_xy[np.isfinite(points_xy)]
    if (values == np.floor(values)).all():
        points_xy = geometry.pixel_to_point(points_xy)
    points_yx: np.ndarray = geometry.swap_xy(points_xy)
    with np.errstate(over="ignore"):  # 1e300 becomes inf, which `clean` drops
        return points_yx.astype(np.float32)


def _check_labels(
    image_id: str, labels: np.ndarray, class_names: Sequence[str] | None
) -> None:
    limit = np.inf if class_names is None else len(class_names)
    unknown = labels[(labels < 0) | (labels >= limit)]
    if len(unknown):
        known = "0 or more" if class_names is None else ", ".join(class_names)
        raise DataError(
            f"image {image_id}: unknown class id {unknown[0]} in {len(unknown)} cells; "
            f"known: {known}; correct the annotation file"
        )


def _usable_points(
    points_yx: np.ndarray, size_hw: tuple[int, ...], note: _Note
) -> np.ndarray:
    """Marks the points that are numbers and inside the image, bool [N]."""
    finite = np.isfinite(points_yx).all(-1)
    # Comparisons with NaN are False, so this needs no second look at `finite`.
    inside: np.ndarray = geometry.inside(points_yx, size_hw)
    note(POINTS_NAN, ~finite)
    note(POINTS_OUTSIDE, finite & ~inside)
    return inside


def _mend_boxes(
    boxes_yxyx: np.ndarray,
    size_hw: tuple[int, ...],
    keep: np.ndarray,
    note: _Note,
) -> tuple[np.ndarray, np.ndarray]:
    """Swaps and clips boxes [N, 4] of `keep`; `keep` comes back without empty ones."""
    finite = np.isfinite(boxes_yxyx).all(-1)
    first, last = np.split(np.where(finite[:, None], boxes_yxyx, 0), 2, axis=1)
    low, high = np.minimum(first, last), np.maximum(first, last)
    limit = np.broadcast_to(np.array(size_hw, np.float32), low.shape)
    mended = np.concatenate([np.clip(low, 0, limit), np.clip(high, 0, limit)], axis=1)
    has_area = finite & (mended[:, 2:] > mended[:, :2]).all(-1)
    used = keep & has_area
    note(BOXES_DEGENERATE, keep & ~has_area)
    note(BOXES_INVERTED, used & (first > last).any(-1))
    note(BOXES_CLIPPED, used & ((low < 0) | (high > limit)).any(-1))
    return mended, used


def _first_of_equal(rows: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Marks the first of equal rows among the candidates. [N, D] -> bool [N]."""
    first = np.zeros(len(rows), bool)
    chosen = np.flatnonzero(candidates)
    first[chosen[np.unique(rows[chosen], axis=0, return_index=True)[1]]] = True
    return first
