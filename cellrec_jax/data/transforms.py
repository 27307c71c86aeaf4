"""Host transforms of one record: image, cells and regions stay in step.

Resizing is done here once per record, since it needs antialiasing and gives every
image of a set one shape; random crops, flips, turns and colour are done on the device
by `data.augment`. The crops, flips and turns of this module are for preparing sets and
are the reference that `data.augment` is tested against.
"""

from collections.abc import Callable, Sequence
import dataclasses

import numpy as np

from cellrec_jax import errors, geometry
from cellrec_jax.data.record import Record

RESIZE_MODES = ("squeeze", "pad")


def resize_image(image: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Resizes pixels bilinearly, antialiased where it shrinks, half-pixel centres.

    Args:
      image: uint8, uint16 or float32 [H, W, C].
      size_hw: height and width wanted, px, at least 1.

    Returns:
      [size_hw[0], size_hw[1], C] of the same dtype.
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
    """Resizes ids or flags: each pixel takes the one under its centre.

    Args:
      plane: [H, W] of any dtype.
      size_hw: height and width wanted, px.

    Returns:
      [size_hw[0], size_hw[1]] of the same dtype.
    """
    rows, columns = (
        ((np.arange(size) + 0.5) * (native / size)).astype(np.int64)
        for size, native in zip(size_hw, plane.shape, strict=True)
    )
    return plane[rows[:, None], columns[None, :]]


def resize_record(
    record: Record, size_hw: tuple[int, int], mode: str
) -> tuple[Record, np.ndarray, np.ndarray]:
    """Brings a record to a fixed size.

    Args:
      record: any record; its image may also be float32.
      size_hw: height and width wanted, px.
      mode: "squeeze" scales both axes to fit, each by its own factor (the BDE paper's
        800 x 800); "pad" keeps the aspect (to the nearest pixel), fills up right and
        below with zeros, and marks what it filled as `ignore`.

    Returns:
      The record at `size_hw`; scale_yx and offset_yx, f32 [2], with
      new point = native point * scale_yx + offset_yx. The offset is 0 in both modes.

    Raises:
      ConfigError: if `mode` is unknown.
    """
    if mode not in RESIZE_MODES:
        raise errors.ConfigError(
            f"data.resize is {mode!r}: use one of {', '.join(RESIZE_MODES)}"
        )
    native_hw = record.image.shape[:2]
    content_hw = _content_size(native_hw, size_hw) if mode == "pad" else size_hw
    scale_yx = np.divide(content_hw, native_hw).astype(np.float32)
    resized = _warp(
        record,
        resize_image(record.image, content_hw),
        lambda plane: resize_nearest(plane, content_hw),
        lambda points_yx: geometry.resize_points(points_yx, scale_yx),
    )
    return _pad_record(resized, size_hw), scale_yx, np.zeros(2, np.float32)


def resize_scale(
    native_hw: Sequence[float], size_hw: Sequence[int], mode: str
) -> np.ndarray:
    """Px after `resize_record` per px before, f64 [2], but for rounding by "pad".

    Args:
      native_hw: height and width of the images, px.
      size_hw: that they are brought to, px.
      mode: as of `resize_record`.
    """
    scale_yx = np.divide(size_hw, native_hw)
    return np.full(2, scale_yx.min()) if mode == "pad" else scale_yx


def length_scale(
    native_hw: Sequence[float], size_hw: Sequence[int], mode: str
) -> float:
    """The same for lengths of any direction: the geometric mean of both axes."""
    return float(np.sqrt(resize_scale(native_hw, size_hw, mode).prod()))


def crop_record(
    record: Record, origin_yx: tuple[int, int], size_hw: tuple[int, int]
) -> Record:
    """Cuts a window out of a record.

    Cells whose centre is outside are dropped, with what is left of their masks; boxes
    are clipped to the window.

    Args:
      record: any record.
      origin_yx: first row and column of the window, px.
      size_hw: height and width of the window, px.

    Returns:
      A record of `size_hw`.

    Raises:
      ValueError: if the window is not inside the image.
    """
    (top, left), (height, width) = origin_yx, size_hw
    if not (
        0 <= top <= record.image.shape[0] - height
        and 0 <= left <= record.image.shape[1] - width
    ):
        raise ValueError(
            f"window {size_hw} at {origin_yx} is not inside {record.image.shape[:2]}"
        )
    origin = np.array(origin_yx, np.float32)
    moved_yx = geometry.crop_points(record.points_yx, origin)
    record = select_cells(record, geometry.inside(moved_yx, size_hw))
    window = (slice(top, top + height), slice(left, left + width))
    return _warp(
        record,
        record.image[window],
        lambda plane: plane[window],
        lambda points_yx: geometry.crop_points(points_yx, origin),
    )


def flip_record(record: Record, axis: int) -> Record:
    """Mirrors a record: y becomes H - y for axis 0, x becomes W - x for axis 1."""
    size = record.image.shape[axis]

    def move(points_yx: np.ndarray) -> np.ndarray:
        moved_yx = points_yx.copy()
        moved_yx[..., axis] = size - moved_yx[..., axis]
        return moved_yx

    return _warp(
        record,
        np.flip(record.image, axis),
        lambda plane: np.flip(plane, axis),
        move,
    )


def turn_record(record: Record, k: int) -> Record:
    """Turns a record by k * 90 degrees counter-clockwise, as `numpy.rot90` does.

    One turn moves (y, x) to (W - x, y) and swaps height and width.
    """
    for _ in range(k % 4):
        record = _turn_once(record)
    return record


def select_cells(record: Record, keep: np.ndarray) -> Record:
    """Keeps some cells of a record.

    Args:
      record: any record with N cells.
      keep: bool [N].

    Returns:
      The record with the kept cells in their order. Masks are numbered anew; pixels
      of the other cells become background.
    """
    boxes_yxyx, masks = record.boxes_yxyx, record.masks
    if masks is not None:
        new_ids = np.zeros(len(keep) + 1, np.int32)
        new_ids[1:][keep] = np.arange(1, np.count_nonzero(keep) + 1)
        masks = new_ids[masks]
    return dataclasses.replace(
        record,
        points_yx=record.points_yx[keep],
        labels=record.labels[keep],
        boxes_yxyx=None if boxes_yxyx is None else boxes_yxyx[keep],
        masks=masks,
    )


def clip_boxes(boxes_yxyx: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Cuts boxes off at the frame. [..., 4] -> f32 [..., 4]."""
    limit = np.array([*size_hw, *size_hw], np.float32)
    return np.clip(boxes_yxyx, 0, limit).astype(np.float32)


def _turn_once(record: Record) -> Record:
    """Turns a record by 90 degrees counter-clockwise."""
    width = record.image.shape[1]
    return _warp(
        record,
        np.rot90(record.image),
        np.rot90,
        lambda points_yx: np.stack(
            [width - points_yx[..., 1], points_yx[..., 0]], axis=-1
        ),
    )


def _content_size(
    native_hw: tuple[int, ...], size_hw: tuple[int, int]
) -> tuple[int, int]:
    """Largest size of the native aspect that fits into `size_hw`."""
    sides = np.multiply(native_hw, resize_scale(native_hw, size_hw, "pad"))
    height, width = (max(1, round(side)) for side in sides.tolist())
    return min(height, size_hw[0]), min(width, size_hw[1])


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
        masks=pad(record.masks, 0),
        annotated=pad(record.annotated, False),
        ignore=pad(ignore, True),
    )


def _warp(
    record: Record,
    image: np.ndarray,
    move_plane: Callable[[np.ndarray], np.ndarray],
    move_points: Callable[[np.ndarray], np.ndarray],
) -> Record:
    """Applies one transform to all parts of a record.

    Args:
      record: the record before.
      image: [h, w, C] the image after.
      move_plane: [H, W] -> [h, w], for masks and regions.
      move_points: [..., 2] -> [..., 2], for points and box corners; keeps axes
        parallel, so that boxes stay boxes.

    Returns:
      The record after, contiguous, boxes clipped to the frame.
    """
    size_hw = (image.shape[0], image.shape[1])

    def plane(array: np.ndarray | None) -> np.ndarray | None:
        return array if array is None else np.ascontiguousarray(move_plane(array))

    boxes_yxyx = record.boxes_yxyx
    if boxes_yxyx is not None:
        corners_yx = move_points(boxes_yxyx.reshape(-1, 2, 2))
        boxes_yxyx = np.concatenate([corners_yx.min(1), corners_yx.max(1)], axis=1)
        boxes_yxyx = clip_boxes(boxes_yxyx, size_hw)
    # A point on the upper edge (y = 0, flipped) or rounded onto it stays inside.
    last_yx = np.nextafter(np.array(size_hw, np.float32), np.float32(0))
    return dataclasses.replace(
        record,
        image=np.ascontiguousarray(image),
        points_yx=np.minimum(move_points(record.points_yx), last_yx),
        boxes_yxyx=boxes_yxyx,
        masks=plane(record.masks),
        annotated=plane(record.annotated),
        ignore=plane(record.ignore),
    )
