"""Wrong class labels and shifted positions, drawn once for a training image.

As in `data.sparse`, a draw depends on the seed, the image id and the image's own points
alone. Draws are nested: a larger share of flipped labels holds the flips of a smaller
one, to the same classes, and a larger shift goes the same way.
"""

import dataclasses
import math

import numpy as np

from cellrec_jax import errors
from cellrec_jax.data import keyed
from cellrec_jax.data.record import Record

SHIFT_FORMS = ("disc", "gaussian")
_ROUNDING = 1e-9  # 0.29 * 100 is 28.999999999999996: of 100 cells, 29 are meant


def flip_labels(
    image_id: str,
    points_yx: np.ndarray,
    labels: np.ndarray,
    *,
    share: float,
    num_classes: int,
    seed: int,
) -> np.ndarray:
    """Gives a share of an image's cells another class, each other one alike.

    Of n cells floor(share * n + u) are flipped, with u drawn once an image from [0, 1):
    the share holds over a set even where images have few cells. Points are [N, 2] px in
    any order, labels [N] in 0..K-1. A `share` outside [0, 1] is a `ConfigError`; one
    above 0 needs K >= 2.
    """
    labels = np.asarray(labels)
    if not 0 <= share <= 1:
        raise errors.ConfigError(
            f"data.flip_labels is {share}; give a share from 0 to 1, such as 0.2"
        )
    if share == 0:
        return labels.copy()
    if num_classes < 2:
        raise errors.ConfigError(
            f"data.flip_labels is {share}, but there is no other class to flip to: "
            "leave data.classes at two or more, or set data.flip_labels to 0"
        )
    count = len(labels)
    order_by, other = _uniform("flip", image_id, points_yx, labels, seed)
    (rounding,), _ = _uniform("share", image_id, np.zeros((1, 2)), np.zeros(1), seed)
    num_flipped = min(count, math.floor(share * count + rounding + _ROUNDING))
    flipped = np.argsort(order_by, kind="stable")[:num_flipped]
    step = 1 + np.floor(other * (num_classes - 1)).astype(labels.dtype)
    changed = labels.copy()
    changed[flipped] = (labels[flipped] + step[flipped]) % num_classes
    return changed


def shift_points(
    image_id: str,
    points_yx: np.ndarray,
    labels: np.ndarray,
    size_hw: tuple[int, int],
    *,
    shift_px: float,
    form: str = "disc",
    seed: int,
) -> np.ndarray:
    """Moves each cell centre [N, 2], px, at random, but not out of the image. f32.

    `shift_px` >= 0 is the radius of a "disc" (anywhere in it alike) or the "gaussian"
    standard deviation along each axis. Labels [N] only tell apart cells in one place.
    """
    if not 0 <= shift_px < math.inf:
        raise errors.ConfigError(f"data.jitter_px is {shift_px}; give 0 px or more")
    if form not in SHIFT_FORMS:
        raise ValueError(f"form of shifts {form!r}: use {' or '.join(SHIFT_FORMS)}")
    points_yx = np.asarray(points_yx, np.float32).reshape(-1, 2)
    if shift_px == 0:
        return points_yx.copy()
    turn, far = _uniform("shift", image_id, points_yx, labels, seed)
    length = np.sqrt(far) if form == "disc" else np.sqrt(-2 * np.log1p(-far))
    angle = 2 * np.pi * turn
    offset_yx = np.stack([np.sin(angle), np.cos(angle)], axis=1) * length[:, None]
    moved_yx = (points_yx + shift_px * offset_yx).astype(np.float32)
    largest = np.nextafter(np.asarray(size_hw, np.float32), np.float32(0))
    return np.clip(moved_yx, 0, largest)


def corrupt_record(
    record: Record,
    *,
    num_classes: int,
    flip_share: float = 0.0,
    shift_px: float = 0.0,
    seed: int = 0,
) -> Record:
    """A training record with wrong labels and shifted points; boxes move with these.

    Instance masks stay. See `flip_labels` and `shift_points` for the options.
    """
    if flip_share == 0 and shift_px == 0:
        return record
    cells = (record.image_id, record.points_yx, record.labels)
    labels = flip_labels(*cells, share=flip_share, num_classes=num_classes, seed=seed)
    height, width = record.image.shape[:2]
    points_yx = shift_points(*cells, (height, width), shift_px=shift_px, seed=seed)
    boxes_yxyx = record.boxes_yxyx
    if boxes_yxyx is not None:
        boxes_yxyx = boxes_yxyx + np.tile(points_yx - record.points_yx, 2)
    return dataclasses.replace(
        record, points_yx=points_yx, labels=labels, boxes_yxyx=boxes_yxyx
    )


def _uniform(
    purpose: str, image_id: str, points_yx: np.ndarray, labels: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers in [0, 1) for each cell, f64 [N] each, that go with its place.

    The k-th by y, x, label gets words 2 k, 2 k + 1 of a stream of its own a purpose.
    """
    by_place = keyed.by_place(points_yx, labels)
    words = keyed.words(f"{purpose}/{int(seed)}/{image_id}", 2 * len(by_place))
    words = words.reshape(-1, 2) >> np.uint64(11)
    drawn = np.empty(words.shape)
    drawn[by_place] = words * 2.0**-53
    return drawn[:, 0], drawn[:, 1]
