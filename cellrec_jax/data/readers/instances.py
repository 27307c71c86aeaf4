"""Instance masks as points: one centroid an id, taken from its largest part."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from cellrec_jax.geometry import pixel_to_point

_EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)


class Instances(NamedTuple):
    """Instances numbered 1..N in the order of the ids they were read with."""

    masks: np.ndarray
    """i32 [H, W] instance ids 1..N, 0 background; all parts are kept."""
    points_yx: np.ndarray
    """f32 [N, 2] centroids in px, half-pixel; may lie off a bent instance."""
    parts: np.ndarray
    """i32 [N] number of 8-connected parts of each instance."""


def instances_from_ids(ids: np.ndarray) -> Instances:
    """Numbers the instances of a label image [H, W], 0 background, with centroids.

    Only the largest 8-connected part counts: stray pixels would pull the centroid away.

    Example:
      >>> instances_from_ids(np.array([[0, 7, 7], [0, 7, 7]])).points_yx.tolist()
      [[1.0, 2.0]]
    """
    values, inverse = np.unique(ids, return_inverse=True)
    # Position of each value among the instances: background takes no number.
    numbers = np.cumsum(values != 0) * (values != 0)
    masks = numbers.astype(np.int32)[inverse].reshape(ids.shape)
    found = [
        _largest_part(masks[window] == number + 1, window)
        for number, window in enumerate(ndimage.find_objects(masks))
    ]
    points = np.array([point for point, _ in found], np.float32).reshape(-1, 2)
    return Instances(masks, points, np.array([n for _, n in found], np.int32))


def _largest_part(
    mask: np.ndarray, window: tuple[slice, slice]
) -> tuple[np.ndarray, int]:
    """Centroid (half-pixel, image frame) of the largest part, and the part count."""
    parts, count = ndimage.label(mask, structure=_EIGHT_CONNECTED)
    largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    centroid = np.argwhere(parts == largest).mean(axis=0)
    origin = np.array([window[0].start, window[1].start])
    return pixel_to_point(centroid + origin), count
