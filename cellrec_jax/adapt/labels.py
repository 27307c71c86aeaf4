"""What a model finds, as labels of its next training."""

from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath
import numpy as np

from cellrec_jax.cells import Cells
from cellrec_jax.convert import corrections
from cellrec_jax.data.annotations.content import Annotations
from cellrec_jax.metrics.matching import match_points
from cellrec_jax.predict import predictor

_SUREST = 0.99  # trust of a score of 1: 1 is what a person gave


def of(found: Cells, decode: Mapping[str, Any]) -> Annotations:
    """Cells of an image from their class's threshold on; their trust is their score.

    All else is background. As in prediction a cell drops lesser ones nearer than the
    fitted least distance. `found` has all scores, in px of the training images.
    """
    found = predictor.at_operating_point(found, decode)
    scores, boxes = found.scores.astype(np.float64), found.boxes_yxyx
    return Annotations(
        found.points_yx.astype(np.float64),
        tuple(found.class_names[label] for label in found.labels),
        np.full((len(found), 4), np.nan) if boxes is None else boxes.astype(float),
        scores,
        trust=scores.clip(0, _SUREST),
    )


def agreement(
    some: Sequence[Annotations], others: Sequence[Annotations], radius_px: float
) -> float:
    """F1 of the cells of some images, of any class, against others of the same.

    In [0, 1]; 1 where neither has a cell.
    """
    numbers, pairs = 0, 0
    for one, other in zip(some, others, strict=True):
        numbers += len(one.names) + len(other.names)
        pairs += len(match_points(one.points_yx, other.points_yx, radius_px))
    return 2 * pairs / numbers if numbers else 1.0


def write(folder: epath.Path, name: str, cells: Annotations) -> None:
    """NAME.geojson, as the reader of QuPath's files reads it."""
    (folder / f"{name}.geojson").write_bytes(corrections.encode(cells))
