"""Orientation 1 to 8 of EXIF and TIFF: from how pixels are stored to how they show.

TIFF 6.0, tag 274: 1 as stored, 2 mirrored, 3 turned by 180 degrees, 4 upside down,
5 to 8 with rows and columns exchanged (6 turns clockwise, 8 the other way).
"""

import numpy as np

AS_STORED = 1
TAG = 274

# (exchange rows and columns, then mirror y, mirror x) of the shown picture.
_STEPS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def known(value: object) -> int:
    """An orientation of 1 to 8; whatever else a tag holds counts as 1."""
    return int(value) if isinstance(value, int) and value in _STEPS else AS_STORED


def shown_size(stored_hw: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Height and width in px once `orientation` is applied."""
    height, width = stored_hw
    return (width, height) if _STEPS[orientation][0] else stored_hw


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels or masks [H, W, ...] as shown: a view where there is one."""
    exchange, mirror_y, mirror_x = _STEPS[orientation]
    if exchange:
        pixels = np.swapaxes(pixels, 0, 1)
    return pixels[:: -1 if mirror_y else 1, :: -1 if mirror_x else 1]


def turn_points(
    points_yx: np.ndarray, stored_hw: tuple[int, int], orientation: int
) -> np.ndarray:
    """Points [..., 2], continuous px of the stored frame, in the frame as shown.

    Example:
      >>> turn_points(np.array([[1.5, 0.5]]), (4, 3), 6).tolist()  # clockwise
      [[0.5, 2.5]]
    """
    exchange, *mirrored = _STEPS[orientation]
    if exchange:
        points_yx = points_yx[..., ::-1]
    limits = np.array(shown_size(stored_hw, orientation), points_yx.dtype)
    return np.where(mirrored, limits - points_yx, points_yx)


def turn_boxes(
    boxes_yxyx: np.ndarray, stored_hw: tuple[int, int], orientation: int
) -> np.ndarray:
    """Boxes [..., 4] of the stored frame in the frame as shown, lesser corner first."""
    corners_yx = boxes_yxyx.reshape(*boxes_yxyx.shape[:-1], 2, 2)
    corners_yx = turn_points(corners_yx, stored_hw, orientation)
    sorted_yx = np.sort(corners_yx, axis=-2)
    return sorted_yx.reshape(boxes_yxyx.shape)
