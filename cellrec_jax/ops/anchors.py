"""Anchor boxes of a feature pyramid, made once in NumPy and folded into the graph."""

from collections.abc import Sequence
import math

import numpy as np


def feature_hw(image_hw: tuple[int, int], stride: int) -> tuple[int, int]:
    """Size of the feature map of an image: sides divided by `stride`, rounded up."""
    return math.ceil(image_hw[0] / stride), math.ceil(image_hw[1] / stride)


def level_anchors(
    grid_hw: tuple[int, int],
    stride: int,
    size: float,
    ratios: Sequence[float],
) -> np.ndarray:
    """Anchors of one pyramid level: f32 [h * w * len(ratios), 4] over (y, x, ratio).

    Squares of `size` px, other ratios (height / width) of their area, centred at the
    corner of a cell of `stride` px (most likely the BDE paper's).

    Example:
      >>> level_anchors((1, 2), 8, 32.0, [1.0]).tolist()
      [[-16.0, -16.0, 16.0, 16.0], [-16.0, -8.0, 16.0, 24.0]]
    """
    root = np.sqrt(np.asarray(ratios, np.float64))
    half = np.stack([size * root, size / root], axis=-1) / 2
    y, x = (np.arange(num) * stride for num in grid_hw)
    centers = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)[:, :, None, :]
    boxes = np.concatenate([centers - half, centers + half], axis=-1)
    return boxes.reshape(-1, 4).astype(np.float32)


def pyramid_anchors(
    image_hw: tuple[int, int],
    strides: Sequence[int],
    sizes: Sequence[float],
    ratios: Sequence[float],
) -> np.ndarray:
    """`level_anchors` of all levels, fine to coarse: f32 [A, 4]; some reach outside."""
    if len(strides) != len(sizes):
        raise ValueError(f"{len(strides)} strides but {len(sizes)} anchor sizes")
    levels = [
        level_anchors(feature_hw(image_hw, stride), stride, size, ratios)
        for stride, size in zip(strides, sizes, strict=True)
    ]
    return np.concatenate(levels)


def level_sizes(
    image_hw: tuple[int, int], strides: Sequence[int], num_ratios: int
) -> tuple[int, ...]:
    """Numbers of `pyramid_anchors` of each level.

    Example:
      >>> level_sizes((100, 64), (8, 16), 3)
      (312, 84)
    """
    grids = (feature_hw(image_hw, stride) for stride in strides)
    return tuple(num_ratios * height * width for height, width in grids)


def anchor_points(
    grid_hw: tuple[int, int], stride: int, layout: str = "five"
) -> np.ndarray:
    """Anchor points of a feature map, f32 [h * w * A, 2] px over (y, x, anchor).

    `layout` is "five" (middle, and four a quarter of the stride off on both axes; Shui
    et al. 2022, section 3.1, stride 32) or "RxC", middles of equal parts (P2PNet:
    "2x2", stride 8). Others are a ValueError.

    Example:
      >>> anchor_points((1, 1), 8, "2x2").tolist()
      [[2.0, 2.0], [2.0, 6.0], [6.0, 2.0], [6.0, 6.0]]
    """
    rows, columns = np.arange(grid_hw[0]), np.arange(grid_hw[1])
    corners = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1) * stride
    offsets = _layout_offsets(layout) * stride
    points = corners[:, :, None, :] + offsets[None, None]
    return points.reshape(-1, 2).astype(np.float32)


def points_per_cell(layout: str) -> int:
    """Number of anchor points of a layout; see `anchor_points`."""
    return len(_layout_offsets(layout))


def _layout_offsets(layout: str) -> np.ndarray:
    """Places inside a cell of side 1, f64 [A, 2]."""
    if layout == "five":
        corners = [[0.25, 0.25], [0.25, 0.75], [0.75, 0.75], [0.75, 0.25]]
        return np.array([[0.5, 0.5], *corners])
    parts = layout.split("x")
    if len(parts) != 2 or not all(p.isdecimal() and int(p) > 0 for p in parts):
        raise ValueError(f"anchor layout {layout!r}: use 'five' or 'RxC', as '2x2'")
    y, x = ((np.arange(int(p)) + 0.5) / int(p) for p in parts)
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)
