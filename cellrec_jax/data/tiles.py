"""Overlapping tiles of images that are larger than a network was trained on."""

import numpy as np


def spans(
    length: int, tile: int, margin: int, stride: int = 1
) -> list[tuple[int, int, float, float]]:
    """Cuts one axis into tiles that overlap.

    Args:
      length: of the axis, px.
      tile: length of a tile, px; a shorter axis gets one tile that reaches beyond it.
      margin: px; neighbours overlap by at least two margins, shared half and half.
      stride: px; every tile starts at a multiple, so the last one may be longer than
        `tile` by up to that.

    Returns:
      Start and end of each tile, and the half-open part of the axis that it owns.

    Example:
      >>> spans(10, 6, 1)
      [(0, 6, 0.0, 5.0), (4, 10, 5.0, 10.0)]
    """
    if length <= tile:
        return [(0, tile, 0.0, float(length))]
    own = max(tile - 2 * margin - (stride - 1), 1)
    number = int(np.ceil((length - 2 * margin) / own))
    starts = np.round(np.linspace(0, length - tile, number)).astype(int)
    starts = starts // stride * stride
    ends = np.append(starts[:-1] + tile, length)
    middles = (starts[1:] + ends[:-1]) / 2
    low, high = [0.0, *middles], [*middles, float(length)]
    return [
        (int(start), int(end), float(a), float(b))
        for start, end, a, b in zip(starts, ends, low, high, strict=True)
    ]


def pad_white(image: np.ndarray, least_hw: np.ndarray) -> np.ndarray:
    """Extends an image to the right and below with white, as glass would be.

    Args:
      image: uint8, uint16 or f32 in [0, 1], [H, W, C].
      least_hw: int [2] least height and width, px.

    Returns:
      The image, at least that large.
    """
    short = np.maximum(least_hw - np.asarray(image.shape[:2]), 0)
    white = 1 if image.dtype == np.float32 else np.iinfo(image.dtype).max
    widths = ((0, int(short[0])), (0, int(short[1])), (0, 0))
    return np.pad(image, widths, constant_values=white)
