"""Resizing and choosing of cells, on the host: all parts of a record stay in step."""

from collections.abc import Sequence
import dataclasses

import numpy as np

from cellrec_jax import errors, geometry
from cellrec_jax.data.record import Record

RESIZE_MODES = ("squeeze", "pad")


def resize_image(image: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Resizes pixels bilinearly, antialiased where it shrinks, half-pixel centres.

    uint8, uint16 or float32 [H, W, C] becomes [*size_hw, C] of the same type.
    """
    if image.shape[:2] == tuple(size_hw):
        return image
    from PIL import Image  # the rest works without Pillow

    size_xy = (size_hw[1], size_hw[0])  # PIL counts (width, height)
    bilinear = Image.Resampling.BILINEAR
    if image.dtype == np.uint8 and image.shape[2] == 3:
        return np.asarray(Image.fromarray(image).resize(size_xy, bilinear))
    # PIL filters more than 8 bits a channel only as single float channels.
    channels = [
        np.asarray(Image.fromarray(channel).resize(size_xy, bilinear))
        for channel in np.moveaxis(image, 2, 0).astype(np.float32)
    ]
    resized = np.stack(channels, axis=2)
    if image.dtype == np.float32:
        return resized
    limit = np.iinfo(image.dtype).max
    return np.clip(np.rint(resized), 0, limit).astype(image.dtype)


def resize_nearest(plane: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Resizes ids or flags [H, W]: each pixel takes the one under its centre."""
    rows, columns = (
        ((np.arange(size) + 0.5) * (native / size)).astype(np.int64)
        for size, native in zip(size_hw, plane.shape, strict=True)
    )
    return plane[rows[:, None], columns[None, :]]


def resize_record(
    record: Record, size_hw: tuple[int, int], mode: str
) -> tuple[Record, np.ndarray]:
    """Brings a record to a fixed size; instance masks are left out.

    "squeeze" scales each axis by its own factor (the BDE paper's 800 x 800); "pad"
    keeps the aspect (to the nearest pixel), fills up right and below with zeros, and
    marks that as `ignore`; others are a `ConfigError`. Boxes are clipped. Also
    scale_yx f32 [2]: new point = native point * scale_yx.
    """
    if mode not in RESIZE_MODES:
        raise errors.ConfigError(
            f"data.resize is {mode!r}: use one of {', '.join(RESIZE_MODES)}"
        )
    native_hw = record.image.shape[:2]
    content_hw = content_size(native_hw, size_hw, mode)
    scale_yx = np.divide(content_hw, native_hw).astype(np.float32)
    # A point that is rounded onto the edge stays inside.
    last_yx = np.nextafter(np.array(content_hw, np.float32), np.float32(0))
    points_yx = geometry.resize_points(record.points_yx, scale_yx)
    boxes_yxyx = record.boxes_yxyx
    if boxes_yxyx is not None:
        corners_yx = boxes_yxyx.reshape(-1, 2, 2)
        corners_yx = geometry.resize_points(corners_yx, scale_yx)
        boxes_yxyx = clip_boxes(corners_yx.reshape(-1, 4), content_hw)
    annotated, ignore = (
        plane if plane is None else resize_nearest(plane, content_hw)
        for plane in (record.annotated, record.ignore)
    )
    resized = dataclasses.replace(
        record,
        image=np.ascontiguousarray(resize_image(record.image, content_hw)),
        points_yx=np.minimum(points_yx, last_yx),
        boxes_yxyx=boxes_yxyx,
        masks=None,
        annotated=annotated,
        ignore=ignore,
    )
    return _pad_record(resized, size_hw), scale_yx


def content_size(
    native_hw: Sequence[int], size_hw: tuple[int, int], mode: str
) -> tuple[int, int]:
    """Size of an image's part of `size_hw` px after `resize_record`."""
    if mode != "pad":
        return size_hw
    sides = np.multiply(native_hw, resize_scale(native_hw, size_hw, "pad"))
    height, width = (max(1, round(side)) for side in sides.tolist())
    return min(height, size_hw[0]), min(width, size_hw[1])


def resize_scale(
    native_hw: Sequence[float], size_hw: Sequence[int], mode: str
) -> np.ndarray:
    """Px after `resize_record` per px before, f64 [2], but for rounding by "pad"."""
    scale_yx = np.divide(size_hw, native_hw)
    return np.full(2, scale_yx.min()) if mode == "pad" else scale_yx


def length_scale(
    native_hw: Sequence[float], size_hw: Sequence[int], mode: str
) -> float:
    """The same for lengths of any direction: the geometric mean of both axes."""
    return float(np.sqrt(resize_scale(native_hw, size_hw, mode).prod()))


def select_cells(record: Record, keep: np.ndarray) -> Record:
    """Keeps the cells of bool [N], in order; masks are renumbered, 0 where dropped."""
    if keep.all():
        return record
    boxes_yxyx, masks = record.boxes_yxyx, record.masks
    if masks is not None:
        new_ids = np.zeros(max(len(keep), int(masks.max(initial=0))) + 1, np.int32)
        new_ids[1 : len(keep) + 1] = np.where(keep, np.cumsum(keep), 0)
        masks = new_ids[masks]
    return dataclasses.replace(
        record,
        points_yx=record.points_yx[keep],
        labels=record.labels[keep],
        boxes_yxyx=None if boxes_yxyx is None else boxes_yxyx[keep],
        masks=masks,
        scores=None if record.scores is None else record.scores[keep],
        trust=None if record.trust is None else record.trust[keep],
    )


def clip_boxes(boxes_yxyx: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Cuts boxes off at the frame. [..., 4] -> f32 [..., 4]."""
    limit = np.array([*size_hw, *size_hw], np.float32)
    return np.clip(boxes_yxyx, 0, limit).astype(np.float32)


def _pad_record(record: Record, size_hw: tuple[int, int]) -> Record:
    """Fills a record up to `size_hw` on the right and below, marked as `ignore`."""
    height, width = record.image.shape[:2]
    if (height, width) == tuple(size_hw):
        return record
    margin = ((0, size_hw[0] - height), (0, size_hw[1] - width))

    def pad(plane: np.ndarray | None, fill: int | bool) -> np.ndarray | None:
        return plane if plane is None else np.pad(plane, margin, constant_values=fill)

    ignore = np.zeros((height, width), bool) if record.ignore is None else record.ignore
    return dataclasses.replace(
        record,
        image=np.pad(record.image, (*margin, (0, 0))),
        annotated=pad(record.annotated, False),
        ignore=pad(ignore, True),
    )
