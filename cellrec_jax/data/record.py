"""One annotated image, and a set of them, as every reader gives them.

Nothing here knows of files or formats: see `data.readers` for those.
"""

from collections import Counter
from collections.abc import Callable, Mapping
import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Record:
    """One image with its annotations, at its native size. (y, x), px, half-pixel."""

    image_id: str
    """Unique in its set; '/'-separated, no file ending."""
    image: np.ndarray
    """uint8 or uint16 [H, W, C], C = 3 (or 1 where asked for)."""
    points_yx: np.ndarray
    """f32 [N, 2] cell centres, inside [0, H) x [0, W)."""
    labels: np.ndarray
    """i32 [N] class ids 0..K-1."""
    boxes_yxyx: np.ndarray | None = None
    """f32 [N, 4] half-open boxes in the points' order, or None if there are none."""
    masks: np.ndarray | None = None
    """i32 [H, W] instance ids, 0 background; id i+1 belongs to points_yx[i]."""
    annotated: np.ndarray | None = None
    """bool [H, W], the exhaustively looked-at region; None is everywhere."""
    ignore: np.ndarray | None = None
    """bool [H, W], regions to leave out; None is nowhere."""
    group: str = ""
    """Slide or patient, for folds; "" where unknown (then the image is its own)."""
    mpp: float | None = None
    """Micrometres per px, where known."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A readable set: ids known now, images read one at a time by `load`."""

    format: str
    """Name of the reader, or "synthetic"."""
    class_names: tuple[str, ...]
    image_ids: tuple[str, ...]
    """All images, naturally sorted (2 before 10)."""
    load: Callable[[str], Record]
    """image_id -> Record; raises `errors.DataError` on unusable files."""
    groups: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """image_id -> slide or patient, where known."""
    repairs: Counter[str] = dataclasses.field(default_factory=Counter)
    """What `load` had to repair so far: description -> how often."""
