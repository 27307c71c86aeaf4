"""The cells of one image, or of its tiles: chosen, moved, scaled and joined."""

from collections.abc import Sequence
import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from cellrec_jax import geometry
from cellrec_jax.metrics import suppression
from cellrec_jax.types import Detections

if TYPE_CHECKING:
    import pandas as pd

_BOX = ("y0", "x0", "y1", "x1")


@dataclasses.dataclass(frozen=True, eq=False)
class Cells:
    """Cells of one image in px of that image, best first; NumPy."""

    points_yx: np.ndarray
    """f32 [M, 2] cell centres; pixel (i, j) covers [i, i+1) x [j, j+1)."""
    scores: np.ndarray
    """f32 [M] in [0, 1]."""
    labels: np.ndarray
    """i32 [M] class ids."""
    class_probs: np.ndarray
    """f32 [M, K]."""
    boxes_yxyx: np.ndarray | None = None
    """f32 [M, 4], for methods that predict boxes."""
    class_names: tuple[str, ...] = ()
    """Names of the K classes, where they are known."""

    def __len__(self) -> int:
        return len(self.scores)

    def to_rows(self) -> list[dict[str, Any]]:
        """One dict a cell in px: y, x, score, label; class and box corners if known."""
        columns = self._columns()
        values = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in values]

    def to_pandas(self) -> "pd.DataFrame":
        """The columns of `to_rows` as a table; needs pandas (extra `pandas`)."""
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "to_pandas needs pandas: pip install 'cellrec_jax[pandas]'"
            ) from error
        return pd.DataFrame(self._columns())

    def _columns(self) -> dict[str, np.ndarray]:
        y, x = self.points_yx.T
        columns = {"y": y, "x": x, "score": self.scores, "label": self.labels}
        if self.class_names:
            columns["class"] = np.array(self.class_names, object)[self.labels]
        if self.boxes_yxyx is not None:
            columns |= dict(zip(_BOX, self.boxes_yxyx.T, strict=True))
        return columns


def cells_of(detections: Detections, row: int) -> Cells:
    """The real detections of one image of a batch, as NumPy arrays."""
    kept = np.asarray(detections.mask[row])
    boxes = detections.boxes_yxyx
    return Cells(
        np.asarray(detections.points_yx[row])[kept],
        np.asarray(detections.scores[row])[kept],
        np.asarray(detections.labels[row])[kept],
        np.asarray(detections.class_probs[row])[kept],
        None if boxes is None else np.asarray(boxes[row])[kept],
    )


def select(cells: Cells, index: np.ndarray) -> Cells:
    """The cells of an index or a mask, [M]."""
    boxes = cells.boxes_yxyx
    return dataclasses.replace(
        cells,
        points_yx=cells.points_yx[index],
        scores=cells.scores[index],
        labels=cells.labels[index],
        class_probs=cells.class_probs[index],
        boxes_yxyx=None if boxes is None else boxes[index],
    )


def sort(cells: Cells) -> Cells:
    """Best first; ties keep their order."""
    return select(cells, np.argsort(-cells.scores, kind="stable"))


def concatenate(parts: Sequence[Cells]) -> Cells:
    """All cells of at least one part, one part after the other."""
    boxes = [part.boxes_yxyx for part in parts if part.boxes_yxyx is not None]
    return Cells(
        np.concatenate([part.points_yx for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.class_probs for part in parts]),
        np.concatenate(boxes) if boxes else None,
        parts[0].class_names,
    )


def shift(cells: Cells, origin_yx: Sequence[int]) -> Cells:
    """Moves the cells of a tile to the frame of the image it was cut from."""
    origin = np.asarray(origin_yx, np.float32)[None]
    boxes = cells.boxes_yxyx
    return dataclasses.replace(
        cells,
        points_yx=geometry.tile_to_slide(cells.points_yx, origin),
        boxes_yxyx=None if boxes is None else boxes + np.tile(origin, 2),
    )


def rescale(cells: Cells, scale_yx: np.ndarray) -> Cells:
    """Moves cells along with an image that is resized by `scale_yx`, f32 [2]."""
    boxes = cells.boxes_yxyx
    return dataclasses.replace(
        cells,
        points_yx=geometry.resize_points(cells.points_yx, scale_yx[None]),
        boxes_yxyx=None if boxes is None else boxes * np.tile(scale_yx, 2)[None],
    )


def drop_twins(cells: Cells, tile: np.ndarray, distance: float) -> Cells:
    """Drops the lesser of two cells of different tiles that are one cell.

    Cells of all tiles are in one frame, `tile` int [M] is where each was found; two
    below `distance` px are one (0 keeps all), but not within a tile.
    """
    kept = suppression.suppress(cells.points_yx, cells.scores, distance, groups=tile)
    return select(cells, kept)
