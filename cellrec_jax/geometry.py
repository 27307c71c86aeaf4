"""Frames, flips, crops, strides and units: the one file about coordinates.

(y, x), continuous, px of the array they belong to. Pixel (i, j) covers
[i, i+1) x [j, j+1), its centre is (i+0.5, j+0.5), the image spans [0, H] x [0, W].
Where the docstring says "any", NumPy, JAX and TensorFlow arrays all work.
"""

from typing import Any

import numpy as np


def swap_xy(points: Any) -> Any:
    """Turns (x, y) into (y, x) and back. [..., 2], any array module."""
    return points[..., ::-1]


def pixel_to_point(index_yx: Any) -> Any:
    """Centre of pixels: adds half a px. [..., 2], any (TensorFlow: floats only)."""
    return index_yx + 0.5


def point_to_pixel(points_yx: np.ndarray) -> np.ndarray:
    """Pixel that holds each point, as int64 [..., 2]. NumPy."""
    return np.floor(points_yx).astype(np.int64)


def resize_points(points_yx: Any, scale_yx: Any) -> Any:
    """Points after the image was resized by `scale_yx`: p * s. [..., 2], any."""
    return points_yx * scale_yx


def crop_points(points_yx: Any, origin_yx: Any) -> Any:
    """Points in a crop that starts at `origin_yx`: p - offset. [..., 2], any."""
    return points_yx - origin_yx


def tile_to_slide(points_yx: Any, origin_yx: Any) -> Any:
    """Points of a tile in the frame of the slide it was cut from. [..., 2], any."""
    return points_yx + origin_yx


def boxes_around(points_yx: Any, size_hw: tuple[float, float]) -> Any:
    """Boxes [..., 4] of `size_hw` px centred on points [..., 2]; may reach outside.

    Example:
      >>> boxes_around(np.array([[10.0, 20.0]]), (4, 6)).tolist()
      [[8.0, 17.0, 12.0, 23.0]]
    """
    half_height, half_width = size_hw[0] / 2, size_hw[1] / 2
    offset = np.array([-half_height, -half_width, half_height, half_width], np.float32)
    return points_yx[..., [0, 1, 0, 1]] + offset.reshape(
        (1,) * (points_yx.ndim - 1) + (4,)
    )


def box_centers(boxes_yxyx: Any) -> Any:
    """Centres of boxes. [..., 4] -> [..., 2], NumPy or JAX."""
    return (boxes_yxyx[..., :2] + boxes_yxyx[..., 2:]) / 2


def inside(points_yx: Any, size_hw: Any) -> Any:
    """Whether points lie in [0, H) x [0, W). [..., 2] -> bool [...], NumPy or JAX."""
    y, x = points_yx[..., 0], points_yx[..., 1]
    return (y >= 0) & (y < size_hw[0]) & (x >= 0) & (x < size_hw[1])


def um_to_px(length_um: float, mpp: float) -> float:
    """Length in px of `length_um` micrometres at `mpp` um per px."""
    return length_um / mpp
