"""Boxes of a round's labels, which are points, in sets whose cells have boxes."""

import numpy as np

from cellrec_jax import geometry
from cellrec_jax.data.record import Record
from cellrec_jax.rounds import labels as round_labels
from cellrec_jax.rounds.labels import ImageLabels

_SAME_PX = 0.5  # a given label and its cell differ by rounding


def of(record: Record, labels: ImageLabels, side_px: float) -> np.ndarray | None:
    """Boxes f32 [N, 4] of an image's labels, px on disk; None where no cell has any.

    Given labels have the box of their cell, others one of the median size of these, or
    a square of `side_px` where there is none.
    """
    if record.boxes_yxyx is None:
        return None
    points_yx = np.asarray(labels.points_yx, np.float32)
    found = geometry.boxes_around(points_yx, (side_px, side_px))
    if not (len(points_yx) and len(record.points_yx)):
        return np.asarray(found, np.float32)
    between = points_yx[:, None] - np.asarray(record.points_yx, np.float32)[None]
    distances = np.linalg.norm(between, axis=-1)
    given = np.array(labels.origins, np.str_) == round_labels.GIVEN
    own = given & (distances.min(axis=1) <= _SAME_PX)
    if own.any():
        cells = np.asarray(record.boxes_yxyx, np.float32)[distances.argmin(axis=1)]
        height, width = np.median(cells[own, 2:] - cells[own, :2], axis=0)
        found = geometry.boxes_around(points_yx, (float(height), float(width)))
        found = np.where(own[:, None], cells, found)
    return np.asarray(found, np.float32)
