"""What readers of whole slides give, whatever the format."""

from collections.abc import Callable, Sequence
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
    """Px of level 0 per px of this level: ratio of the sizes by axis."""


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
    notes: tuple[str, ...] = ()


def find_levels(path: Path, sizes_hw: Sequence[tuple[int, int]]) -> dict[int, Level]:
    """Which images are the first one made smaller, by number, finest first.

    Sizes that no slide has are a `DataError`.
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
            found[number] = Level((low, narrow), (height / low, width / narrow))
    return found


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
