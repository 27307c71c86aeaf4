"""Boxes that say "do not look here", as a mask."""

import numpy as np


def ignore_boxes(boxes_yxyx: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray | None:
    """Marks every pixel that a box touches.

    Args:
      boxes_yxyx: [N, 4] finite half-open boxes in px; may be inverted or reach outside.
      size_hw: height and width of the image in px.

    Returns:
      bool [H, W], or None if there are no boxes (nothing is ignored).

    Example:
      >>> ignore_boxes(np.array([[0.0, 1.5, 1.0, 3.0]]), (2, 4)).astype(int).tolist()
      [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    if len(boxes_yxyx) == 0:
        return None
    ignore = np.zeros(size_hw, dtype=bool)
    height, width = size_hw
    low = np.minimum(boxes_yxyx[:, :2], boxes_yxyx[:, 2:])
    high = np.maximum(boxes_yxyx[:, :2], boxes_yxyx[:, 2:])
    starts = np.clip(np.floor(low), 0, (height, width)).astype(int)
    ends = np.clip(np.ceil(high), 0, (height, width)).astype(int)
    for (top, left), (bottom, right) in zip(starts, ends, strict=True):
        ignore[top:bottom, left:right] = True
    return ignore
