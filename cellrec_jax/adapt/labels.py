"""What a model finds, as labels of its next training."""

from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath
import numpy as np
import orjson

from cellrec_jax.cells import Cells
from cellrec_jax.convert import corrections
from cellrec_jax.data.annotations.content import Annotations
from cellrec_jax.metrics import suppression
from cellrec_jax.metrics.matching import match_points

_SUREST = 0.99  # trust of a score of 1: 1 is what a person gave


def of(found: Cells, decode: Mapping[str, Any]) -> Annotations:
    """Cells of an image from their class's threshold on; their trust is their score.

    All else is background. As in prediction a cell drops lesser ones nearer than the
    fitted least distance. `found` has all scores, in px of the training images.
    """
    cuts = np.asarray(decode["thresholds"])[found.labels]
    apart = suppression.suppress(found.points_yx, found.scores, decode["min_distance"])
    kept = apart & (found.scores >= cuts)
    scores = found.scores[kept].astype(np.float64)
    number, boxes = int(kept.sum()), found.boxes_yxyx
    return Annotations(
        found.points_yx[kept].astype(np.float64),
        tuple(found.class_names[label] for label in found.labels[kept]),
        np.full((number, 4), np.nan) if boxes is None else boxes[kept].astype(float),
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
    content = orjson.dumps(
        corrections.collection(cells), option=orjson.OPT_SERIALIZE_NUMPY
    )
    (folder / f"{name}.geojson").write_bytes(content)
