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
    offset: float = 0.0,
) -> np.ndarray:
    """Anchors of one pyramid level.

    Args:
      grid_hw: height and width of the feature map in cells.
      stride: px between cells.
      size: side of the square anchor in px; other ratios keep its area.
      ratios: height / width of each anchor.
      offset: where in a cell anchors are centred, in cells. 0 is the cell's corner,
        as in the implementation the BDE paper most likely used; 0.5 its middle.

    Returns:
      f32 [h * w * len(ratios), 4], row-major over (y, x, ratio).

    Example:
      >>> level_anchors((1, 1), 8, 32.0, [1.0], offset=0.5).tolist()
      [[-12.0, -12.0, 20.0, 20.0]]
    """
    root = np.sqrt(np.asarray(ratios, np.float64))
    half = np.stack([size * root, size / root], axis=-1) / 2
    y = (np.arange(grid_hw[0]) + offset) * stride
    x = (np.arange(grid_hw[1]) + offset) * stride
    centers = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)[:, :, None, :]
    boxes = np.concatenate([centers - half, centers + half], axis=-1)
    return boxes.reshape(-1, 4).astype(np.float32)


def pyramid_anchors(
    image_hw: tuple[int, int],
    strides: Sequence[int],
    sizes: Sequence[float],
    ratios: Sequence[float],
    offset: float = 0.0,
) -> np.ndarray:
    """Anchors of all levels, one size a level, concatenated from fine to coarse.

    Args:
      image_hw: image size in px.
      strides: px per cell of each level.
      sizes: anchor side in px of each level.
      ratios: height / width, shared by all levels.
      offset: see `level_anchors`.

    Returns:
      f32 [A, 4]; some reach outside the image.
    """
    if len(strides) != len(sizes):
        raise ValueError(f"{len(strides)} strides but {len(sizes)} anchor sizes")
    levels = [
        level_anchors(feature_hw(image_hw, stride), stride, size, ratios, offset)
        for stride, size in zip(strides, sizes, strict=True)
    ]
    return np.concatenate(levels)
