"""Cells as GeoJSON, the way QuPath reads its objects.

(x, y) in px of the full-resolution image from the top left corner, as ours.

References:
  https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
  RFC 7946, The GeoJSON Format, https://www.rfc-editor.org/rfc/rfc7946
"""

from collections.abc import Iterable, Sequence
import gzip
import math
import os
from pathlib import Path
from typing import Any
import uuid

import numpy as np
import orjson

from cellrec_jax import errors
from cellrec_jax.io import atomic

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "cellrec-jax")
_DECIMALS = 3
"""Digits of coordinates: a thousandth of a px."""


def write_geojson(
    path: str | os.PathLike[str],
    points_yx: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    class_colors: Sequence[Sequence[int]],
) -> None:
    """Writes a detection object a cell, whole or not at all; equal cells, equal bytes.

    Compressed if the name ends in `.gz`. Finite points [N, 2] in px and scores [N],
    class ids 0..K-1 [N], K names, K colours (red, green, blue) in 0..255. DataError for
    what QuPath could not read (a NaN coordinate, an empty class name), RunError if the
    file cannot be written.
    """
    features = []
    rows = zip(points_yx, scores, labels, strict=True)
    for index, (point_yx, score, label) in enumerate(rows):
        name, color = class_names[int(label)], class_colors[int(label)]
        if fault := _fault((*point_yx, score), name, color):
            raise errors.DataError(f"cannot write {path}: feature {index}: {fault}")
        features.append(_feature(index, point_yx, float(score), name, color))
    content = orjson.dumps({"type": "FeatureCollection", "features": features})
    if Path(path).name.endswith(".gz"):
        content = gzip.compress(content, mtime=0)
    atomic.write_bytes(path, content)


def _fault(numbers: Iterable[float], class_name: str, color: Sequence[int]) -> str:
    """What of a cell QuPath could not read; "" if nothing."""
    if not all(map(math.isfinite, numbers)):
        return "holds null (NaN or infinite numbers become null)"
    if not class_name.strip():
        return "classification.name is empty"
    if len(color) != 3 or not all(0 <= value <= 255 for value in color):
        return "classification.color is not [red, green, blue] in 0..255"
    return ""


def _feature(
    index: int,
    point_yx: np.ndarray,
    score: float,
    class_name: str,
    color: Sequence[int],
) -> dict[str, Any]:
    y, x = (round(float(value), _DECIMALS) for value in point_yx)
    content = f"{index} {[x, y]} {score} {class_name}"
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_NAMESPACE, content)),
        "geometry": {"type": "Point", "coordinates": [x, y]},
        "properties": {
            "objectType": "detection",
            "classification": {"name": class_name, "color": list(map(int, color))},
            "measurements": {"score": round(score, 6)},
        },
    }
