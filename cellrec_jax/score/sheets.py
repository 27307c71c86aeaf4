"""The cells of images and slides, and what of each was looked at."""

from typing import NamedTuple

import numpy as np


class Sheet(NamedTuple):
    """The cells of one image or slide."""

    name: str
    points_yx: np.ndarray
    """f64 [N, 2] px of the image, of a slide as its table has them."""
    labels: np.ndarray
    """i64 [N] class ids 0..K-1."""
    size_hw: tuple[int, int] | None = None
    """Px of the image that was looked at as a whole; None of slides, or unknown."""
    area_mm2: float | None = None
    """What was looked at; None is unknown."""
    mpp: float = 0.0
    """Micrometres per px; 0 is unknown."""
    mpp_source: str = ""
    tiles_left_out: int = 0
    """Tiles that could not be read."""

    def area_px(self) -> float:
        """What was looked at, px; where that is unknown, the frame of the cells."""
        if self.size_hw is not None:
            return float(np.prod(self.size_hw))
        if self.area_mm2 is not None and self.mpp:
            return self.area_mm2 * 1e6 / self.mpp**2
        if not len(self.points_yx):
            return 0.0
        return float(np.prod(np.ptp(self.points_yx, axis=0)))


class Results(NamedTuple):
    """What is scored together."""

    sheets: tuple[Sheet, ...]
    class_names: tuple[str, ...]
    what: str
    """"images", "slides" or "tables"."""
    left_out: dict[str, str]
    """Images that could not be predicted -> why."""
    model: dict[str, object]
    """What predict.json says of the model and its settings; empty is unknown."""
    notes: tuple[str, ...] = ()
    """What the user should know, a line each."""
