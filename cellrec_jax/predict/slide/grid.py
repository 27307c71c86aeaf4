"""Where a network looks at a slide: tiles of its own px, the same for all slides.

Tile (r, c) answers for a square of `own_px` and sees `margin_px` beyond it on all
sides. Both are whole strides of the network, so where tiles lie changes nothing that it
finds, once the margin is its receptive radius.
"""

from collections.abc import Sequence
import math
from typing import NamedTuple

import numpy as np

from cellrec_jax import errors
from cellrec_jax.data.pixels import slides

TILE_PX = 1984
"""Side of tiles where the model does not ask for smaller ones: less of them is margin,
and activations stay below some hundred MiB."""
STEPS = 64
"""Parts of a px that resampling counts in: sums of steps are exact in float32, so equal
px of the network have equal values in all tiles. Rounds the scale by 0.8 % at most."""
_FINER = 1 / (2 * STEPS)  # by which a level may miss the network's scale
_LEAST_STEP, _GREATEST_STEP = 0.25, 16.0


class Grid(NamedTuple):
    """Tiles of one slide; all lengths in px of the network but for `step_yx`."""

    level: int
    """Of the slide, that is read."""
    step_yx: tuple[float, float]
    """Px of that level per px of the network, in 64ths; 1 is not resampled."""
    native_yx: tuple[float, float]
    """Px of level 0 per px of the network."""
    size_hw: tuple[int, int]
    """Of the whole slide."""
    own_px: int
    margin_px: int

    @property
    def tile_px(self) -> int:
        """Side of what the network sees at a time."""
        return self.own_px + 2 * self.margin_px

    @property
    def num_rows(self) -> int:
        """Rows of tiles."""
        return -(-self.size_hw[0] // self.own_px)

    @property
    def num_columns(self) -> int:
        """Tiles of a row."""
        return -(-self.size_hw[1] // self.own_px)

    def origin_yx(self, row: int, column: int) -> tuple[int, int]:
        """First px that the network sees of a tile; may be negative."""
        return (
            row * self.own_px - self.margin_px,
            column * self.own_px - self.margin_px,
        )

    def owns(self, row: int, column: int, points_yx: np.ndarray) -> np.ndarray:
        """Whether points [M, 2] lie in a tile's own part and in the slide; bool [M]."""
        low = np.array([row, column]) * self.own_px
        high = np.minimum(low + self.own_px, self.size_hw)
        return np.all((points_yx >= low) & (points_yx < high), axis=1)


def plan(
    levels: Sequence[slides.Level],
    scale_yx: Sequence[float] | np.ndarray,
    own_px: int,
    margin_px: int,
) -> Grid:
    """The grid of a slide; `scale_yx`: px of the network per px of level 0.

    Reads the coarsest level that is no coarser than the network, or level 0. DataError
    for scales outside of 1/16 to 4, which no pixel size that is right gives.
    """
    native_yx = 1 / np.asarray(scale_yx, np.float64)
    if not (native_yx.min() >= _LEAST_STEP and native_yx.max() <= _scaled_most(levels)):
        raise errors.DataError(
            f"its px are {1 / native_yx.max():.3g} px of the network: such a scale "
            "cannot be meant; give the right --mpp or --mpp-trained"
        )
    level = max(
        i
        for i, one in enumerate(levels)
        if i == 0 or all(native_yx >= np.multiply(one.downsample_yx, 1 - _FINER))
    )
    downsample_yx = np.asarray(levels[level].downsample_yx)
    step_yx = np.maximum(np.rint(native_yx / downsample_yx * STEPS), 1) / STEPS
    size_hw = np.ceil(np.asarray(levels[level].size_hw) / step_yx).astype(int)
    native_yx = step_yx * downsample_yx
    return Grid(
        level,
        (float(step_yx[0]), float(step_yx[1])),
        (float(native_yx[0]), float(native_yx[1])),
        (int(size_hw[0]), int(size_hw[1])),
        own_px,
        margin_px,
    )


def _scaled_most(levels: Sequence[slides.Level]) -> float:
    """Most px of level 0 per px of the network: beyond the coarsest level, 16 times."""
    return _GREATEST_STEP * max(max(one.downsample_yx) for one in levels)


def sides(
    stride: int, receptive_px: int, least_margin_px: float, tile_px: int
) -> tuple[int, int]:
    """Own part and margin of tiles of about `tile_px`: whole strides of the network.

    The margin is the receptive radius, or, where that is not known (0), the least one.
    """
    margin = math.ceil((receptive_px or least_margin_px) / stride) * stride
    own = max((tile_px - 2 * margin) // stride * stride, stride)
    return own, margin
