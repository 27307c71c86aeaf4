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
    """Row and column after the last; may lie beyond the image."""
    own_yxyx: tuple[float, float, float, float]
    """(y0, x0, y1, x1), half open; those of all tiles cover the image once."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the window."""
        (top, left), (bottom, right) = self.origin_yx, self.end_yx
        return bottom - top, right - left

    def cut(self, image: np.ndarray, *, mirror: bool = True) -> np.ndarray:
        """The window's pixels, of an image [H, W, C]; a view where it lies inside.

        What lies beyond is the image mirrored, or 0. White would change mean and
        contrast for networks that average over all they see (GroupNorm) or divide by
        the brightest pixel.
        """
        (top, left), (bottom, right) = self.origin_yx, self.end_yx
        inside = image[top:bottom, left:right]
        below, beside = np.subtract(self.size_hw, inside.shape[:2]).tolist()
        if not (below or beside):
            return inside
        widths = ((0, below), (0, beside), (0, 0))
        return np.pad(inside, widths, mode="symmetric" if mirror else "constant")

    def owns(self, points_yx: np.ndarray) -> np.ndarray:
        """Whether points [M, 2], px of the image, lie in the tile's own part; [M]."""
        low, high = np.split(np.asarray(self.own_yxyx), 2)
        return np.all((points_yx >= low) & (points_yx < high), axis=1)


def grid(
    size_hw: Sequence[int],
    tile_hw: Sequence[int],
    margin_yx: Sequence[int],
    stride: int = 1,
) -> tuple[Tile, ...]:
    """Cuts an image into overlapping tiles of one size, row by row; see `spans`."""
    rows, columns = (
        spans(size, tile, margin, stride)
        for size, tile, margin in zip(size_hw, tile_hw, margin_yx, strict=True)
    )
    return tuple(
        Tile((y0, x0), (y1, x1), (top, left, bottom, right))
        for (y0, y1, top, bottom), (x0, x1, left, right) in itertools.product(
            rows, columns
        )
    )


def spans(
    length: int, tile: int, margin: int, stride: int = 1
) -> list[tuple[int, int, float, float]]:
    """Cuts one axis into tiles of one length: start, end, half-open part owned, px.

    Neighbours overlap by at least two margins, half and half. Tiles start at multiples
    of `stride`, which divides `tile`, so the last one may reach beyond the axis by less
    than that; the tile of a shorter axis reaches further.

    Example:
      >>> spans(10, 6, 1)
      [(0, 6, 0.0, 5.0), (4, 10, 5.0, 10.0)]
    """
    if length <= tile:
        return [(0, tile, 0.0, float(length))]
    covered = -(-length // stride) * stride
    own = max(tile - 2 * margin - (stride - 1), 1)
    number = max(2, int(np.ceil((covered - 2 * margin) / own)))
    starts = np.round(np.linspace(0, covered - tile, number)).astype(int)
    starts = starts // stride * stride
    ends = starts + tile
    middles = (starts[1:] + ends[:-1]) / 2
    low, high = [0.0, *middles], [*middles, float(length)]
    return [
        (int(start), int(end), float(a), float(b))
        for start, end, a, b in zip(starts, ends, low, high, strict=True)
    ]
