"""Where a network looks at a slide: tiles of its own px, the same for all slides.

Tile (r, c) answers for a square of `own_px` and sees `margin_px` beyond it on all
sides. Both are whole strides of the network, so where tiles lie changes nothing that it
finds, once the margin is its receptive radius.
"""

from collections.abc import Sequence
import math
from typing import NamedTuple

import numpy as np

from cellrec_jax.data.pixels import slide_scale, slides

TILE_PX = 1984
"""Side of tiles where the model does not ask for smaller ones: less of them is margin,
and activations stay below some hundred MiB."""


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

    def around(self, block_yxyx: Sequence[int], reach_px: float) -> np.ndarray:
        """A block of the level and `reach_px` beside it: its ends, f64 [2, 2] px."""
        ends = np.reshape(block_yxyx, (2, 2)) / self.step_yx
        return np.add(ends, [[-reach_px], [reach_px]])

    def near(
        self, points_yx: np.ndarray, block_yxyx: Sequence[int], reach_px: float
    ) -> np.ndarray:
        """Whether points [M, 2] lie in a block of the level, or less than that beside.

        `reach_px` is of the network, along each axis; bool [M].
        """
        low, high = self.around(block_yxyx, reach_px)
        return np.all((points_yx >= low) & (points_yx < high), axis=1)


def plan(
    levels: Sequence[slides.Level],
    scale_yx: Sequence[float] | np.ndarray,
    own_px: int,
    margin_px: int,
) -> Grid:
    """The grid of a slide; `scale_yx`: px of the network per px of level 0.

    DataError for scales as `slide_scale.choose` has it.
    """
    native_yx = 1 / np.asarray(scale_yx, np.float64)
    scale = slide_scale.choose(
        levels,
        native_yx,
        f"its px are {1 / native_yx.max():.3g} px of the network: give the right "
        "--mpp-all or --mpp-trained",
    )
    size_hw = np.ceil(np.divide(levels[scale.level].size_hw, scale.step_yx)).astype(int)
    return Grid(*scale, (int(size_hw[0]), int(size_hw[1])), own_px, margin_px)


def sides(
    stride: int, receptive_px: int, least_margin_px: float, tile_px: int
) -> tuple[int, int]:
    """Own part and margin of tiles of about `tile_px`: whole strides of the network.

    The margin is the receptive radius, or, where that is not known (0), the least one.
    """
    margin = math.ceil((receptive_px or least_margin_px) / stride) * stride
    own = max((tile_px - 2 * margin) // stride * stride, stride)
    return own, margin
