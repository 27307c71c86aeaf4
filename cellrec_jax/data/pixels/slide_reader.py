"""What readers of whole slides give, whatever the format."""

from collections.abc import Callable, Sequence
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cellrec_jax.errors import DataError

CACHE_BYTES = 2**26
"""Of decoded tiles that are kept for each open slide."""

_MOST_PX = 2**40
"""Of level 0, far above any scanner: 0.3 m x 0.3 m at 0.25 um."""


class Level(NamedTuple):
    """A slide at one resolution."""

    size_hw: tuple[int, int]
    downsample_yx: tuple[float, float]
    """Px of level 0 per px of this level, by axis: see `find_levels`."""


class BadBlock(NamedTuple):
    """A part of a level that is damaged; the least that is lost is a tile of a file."""

    yxyx: tuple[int, int, int, int]
    """(y0, x0, y1, x1), px of the level."""
    why: str


class BadRegion(DataError):  # noqa: N818, it names what is met, not a failure
    """A part of a slide is damaged; all other parts can still be read."""


class ForeignError(DataError):
    """A file is not of the formats of a reader."""


class Reader(NamedTuple):
    """An open slide; `read` may be called by several threads at once."""

    name: str
    kind: str
    """Which format of the reader, e.g. "aperio"."""
    levels: tuple[Level, ...]
    """Finest first."""
    read: Callable[[int, tuple[int, int], tuple[int, int]], np.ndarray]
    """Level, origin (y, x) and size of a region inside of it to uint8 [h, w, 3]."""
    close: Callable[[], None]
    stated_mpp: tuple[tuple[str, tuple[float, float]], ...] = ()
    """Places that say it and um per px (y, x), the better place first."""
    objective: float = 0.0
    """Magnification, 0 unknown."""
    bounds_yxyx: tuple[int, int, int, int] | None = None
    """The scanned part, px of level 0."""
    center_nm_yx: tuple[float, float] | None = None
    """Middle of level 0 from that of the glass, nm, as Hamamatsu's slides say it."""
    notes: tuple[str, ...] = ()
    blocks_hw: tuple[tuple[int, int], ...] = ()
    """Height and width of the file's tiles, px, of each level; empty for unknown."""


def find_levels(path: Path, sizes_hw: Sequence[tuple[int, int]]) -> dict[int, Level]:
    """Which images are the first one made smaller, by number, finest first.

    By whole numbers, where their sizes are these parts of the first one's, rounded;
    else by the ratio of the sizes. Sizes that no slide has are a `DataError`.
    """
    if not sizes_hw or min(map(min, sizes_hw)) <= 0:
        raise DataError(f"{path} has an image without pixels: copy or export it again")
    height, width = sizes_hw[0]
    if height * width > _MOST_PX:
        raise DataError(
            f"{path} says that it is {height:,} x {width:,} px, which no slide is: "
            "it is damaged, copy or export it again"
        )
    found = {0: Level((height, width), (1.0, 1.0))}
    for number, (low, narrow) in enumerate(sizes_hw):
        last = list(found.values())[-1].size_hw
        # Each halving may have dropped a px: less than two in all, at either axis.
        alike = abs(low * width - narrow * height) <= 2 * (height + width)
        if number and alike and low < last[0] and narrow < last[1]:
            by_yx = _downsample((height, width), (low, narrow))
            found[number] = Level((low, narrow), by_yx)
    return found


def _downsample(whole_hw: tuple[int, int], hw: tuple[int, int]) -> tuple[float, float]:
    """Px of the whole a px of what it was made; a half px may be dropped or added."""
    ratio_y, ratio_x = whole_hw[0] / hw[0], whole_hw[1] / hw[1]
    ratio = (ratio_y + ratio_x) / 2
    for by in (2 ** round(math.log2(ratio)), round(ratio)):
        if all(
            math.floor(whole / by) <= part <= math.ceil(whole / by)
            for whole, part in zip(whole_hw, hw, strict=True)
        ):
            return float(by), float(by)
    return ratio_y, ratio_x


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
