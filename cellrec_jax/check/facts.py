"""What is kept of an image once it was looked at: its cells, and a few numbers."""

import hashlib
from typing import NamedTuple

import numpy as np

from cellrec_jax.check import prints
from cellrec_jax.data import example
from cellrec_jax.data.record import Record

_SMALL_PX = 512


class Facts(NamedTuple):
    """Of one image."""

    image_id: str
    size_hw: tuple[int, int]
    bits: int
    """Of a value of the pixels as they were read."""
    mpp: float
    """Micrometres per px that its file states; 0 is unknown."""
    group: str
    """Slide or patient; "" where unknown."""
    points_yx: np.ndarray
    """f32 [N, 2] px."""
    labels: np.ndarray
    """i32 [N]."""
    boxes_yxyx: np.ndarray | None
    """f32 [N, 4] px, where cells have boxes."""
    sizes_px: np.ndarray | None
    """f64 [N] roots of boxes' areas; of masks the diameters of discs of their area."""
    counted_px: int
    """Px where annotations count."""
    mean_rgb: tuple[float, float, float]
    """In 0..255."""
    pixels: bytes
    """A hash of all pixels, equal where they are."""
    look: np.ndarray
    """i8 `prints.LENGTH`, see there."""
    given: np.ndarray | None = None
    """bool [N], those that a person gave; None: all."""


def small_of(image: np.ndarray, side_px: int = _SMALL_PX) -> tuple[np.ndarray, int]:
    """An image [H, W, 3] as means of squares, f32 [h, w, 3] in 0..255, and their side.

    Longer side `side_px` at most; of more than 8 bits scaled as for display.
    """
    height, width = image.shape[:2]
    square = max(-(-max(height, width) // side_px), 1)
    more = -height % square, -width % square
    padded = np.pad(image, ((0, more[0]), (0, more[1]), (0, 0)), mode="edge")
    shape = (padded.shape[0] // square, square, padded.shape[1] // square, square, 3)
    small = padded.reshape(shape).mean((1, 3), dtype=np.float32)
    if image.dtype == np.uint8:
        return small, square
    levels = np.round(small).astype(image.dtype)
    return example.to_uint8(levels).astype(np.float32), square


def facts_of(record: Record, small: np.ndarray, group: str = "") -> Facts:
    """The facts of a record and its `small_of`; `group` is what its set says."""
    image = np.ascontiguousarray(record.image)
    height, width = image.shape[:2]
    digest = hashlib.blake2b(f"{image.shape} {image.dtype}".encode(), digest_size=16)
    digest.update(image.data)
    red, green, blue = (float(value) for value in small.mean((0, 1)))
    return Facts(
        record.image_id,
        (height, width),
        8 * image.dtype.itemsize,
        record.mpp or 0.0,
        record.group or group,
        record.points_yx,
        record.labels,
        record.boxes_yxyx,
        _sizes(record),
        int(example.valid_region(record).sum()),
        (red, green, blue),
        digest.digest(),
        prints.look_of(small),
        None if record.trust is None else np.asarray(record.trust) == 1,
    )


def _sizes(record: Record) -> np.ndarray | None:
    """See `Facts.sizes_px`; None of points."""
    if record.boxes_yxyx is not None:
        sides = np.asarray(record.boxes_yxyx, np.float64)
        return np.sqrt((sides[:, 2:] - sides[:, :2]).prod(axis=1))
    if record.masks is None:
        return None
    areas = np.bincount(record.masks.ravel(), minlength=len(record.labels) + 1)
    return 2 * np.sqrt(areas[1 : len(record.labels) + 1] / np.pi)
