"""Overlapping tiles of images that are larger than a network was trained on."""

from collections.abc import Sequence
import itertools
from typing import NamedTuple

import numpy as np


class Tile(NamedTuple):
    """A window of an image and the part of it that no other tile answers for, px."""

    origin_yx: tuple[int, int]
    """First row and column."""
    end_yx: tuple[int, int]
    """Row and column after the last."""
    own_yxyx: tuple[float, float, float, float]
    """(y0, x0, y1, x1), half open; those of all tiles cover the image once."""

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The tile's pixels, of an image [H, W, C]."""
        (top, left), (bottom, right) = self.origin_yx, self.end_yx
        return image[top:bottom, left:right]

    def owns(self, points_yx: np.ndarray) -> np.ndarray:
        """Whether points [M, 2], px of the image, lie in the tile's own part; [M]."""
        low, high = np.split(np.asarray(self.own_yxyx), 2)
        return np.all((points_yx >= low) & (points_yx < high), axis=1)


def grid(
    size_hw: Sequence[int],
    tile_hw: Sequence[int],
    margin_yx: Sequence[int],
    stride: int = 1,
) -> list[Tile]:
    """Cuts an image into overlapping tiles, row by row, in px; see `spans`."""
    rows, columns = (
        spans(size, min(tile, size), margin, stride)
        for size, tile, margin in zip(size_hw, tile_hw, margin_yx, strict=True)
    )
    return [
        Tile((y0, x0), (y1, x1), (top, left, bottom, right))
        for (y0, y1, top, bottom), (x0, x1, left, right) in itertools.product(
            rows, columns
        )
    ]


def spans(
    length: int, tile: int, margin: int, stride: int = 1
) -> list[tuple[int, int, float, float]]:
    """Cuts one axis into overlapping tiles: start, end, and half-open part owned, px.

    A shorter axis gets one tile that reaches beyond it. Neighbours overlap by at least
    two margins, half and half. Tiles start at multiples of `stride`, so the last one
    may be longer by up to that.

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


def pad_mirror(image: np.ndarray, least_hw: Sequence[int]) -> np.ndarray:
    """Extends an image [H, W, C] right and below, to `least_hw` px, by mirroring.

    White would change its mean and contrast for networks that average over all they see
    (GroupNorm) or divide by the brightest pixel.
    """
    height, width = np.maximum(np.subtract(least_hw, image.shape[:2]), 0).tolist()
    return np.pad(image, ((0, height), (0, width), (0, 0)), mode="symmetric")
