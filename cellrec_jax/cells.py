"""The cells of one image, or of its tiles: chosen, moved, scaled and joined."""

from collections.abc import Sequence

import numpy as np

from cellrec_jax import geometry
from cellrec_jax.evaluate.evaluate import Cells
from cellrec_jax.metrics import suppression


def select(cells: Cells, index: np.ndarray) -> Cells:
    """The cells of an index or a mask, [M]."""
    boxes = cells.boxes_yxyx
    return Cells(
        cells.points_yx[index],
        cells.scores[index],
        cells.labels[index],
        cells.class_probs[index],
        None if boxes is None else boxes[index],
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
    )


def shift(cells: Cells, origin_yx: Sequence[int]) -> Cells:
    """Moves the cells of a tile to the frame of the image it was cut from."""
    origin = np.asarray(origin_yx, np.float32)[None]
    boxes = cells.boxes_yxyx
    return cells._replace(
        points_yx=geometry.tile_to_slide(cells.points_yx, origin),
        boxes_yxyx=None if boxes is None else boxes + np.tile(origin, 2),
    )


def rescale(cells: Cells, scale_yx: np.ndarray) -> Cells:
    """Moves cells along with an image that is resized by `scale_yx`, f32 [2]."""
    boxes = cells.boxes_yxyx
    return cells._replace(
        points_yx=geometry.resize_points(cells.points_yx, scale_yx[None]),
        boxes_yxyx=None if boxes is None else boxes * np.tile(scale_yx, 2)[None],
    )


def drop_twins(cells: Cells, tile: np.ndarray, distance: float) -> Cells:
    """Drops the lesser of two cells of different tiles that are one cell.

    Two cells of one tile stay: the model has told them apart.

    Args:
      cells: of all tiles, in one frame.
      tile: int [M], the tile that each was found in.
      distance: px below which two cells of different tiles are one; 0 keeps all.
    """
    kept = suppression.suppress(cells.points_yx, cells.scores, distance, groups=tile)
    return select(cells, kept)
