"""Places to look at in QuPath: annotations with a class and a line of text each."""

from collections.abc import Sequence
import os
from typing import Any, NamedTuple
import uuid

import numpy as np
import orjson

from cellrec_jax import errors
from cellrec_jax.io import atomic, geojson_features, geojson_rules

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "cellrec-jax.marks")
_DECIMALS = 3


class Mark(NamedTuple):
    """A point or box."""

    point_yx: tuple[float, float]
    """px, half-pixel."""
    class_name: str
    """As "check: near", which in QuPath is derived from "check"."""
    color: tuple[int, int, int]
    """(red, green, blue) in 0..255; one of each class."""
    text: str
    """The name of the annotation."""
    box_yxyx: tuple[float, float, float, float] | None = None
    """Drawn instead of the point."""


def write_marks(path: str | os.PathLike[str], marks: Sequence[Mark]) -> None:
    """Writes marks in their order, whole or not at all; equal ones give equal bytes.

    DataError for a class that QuPath cannot read, RunError if the disk is full.
    """
    features = [_feature(number, mark, path) for number, mark in enumerate(marks)]
    collection = {"type": "FeatureCollection", "features": features}
    atomic.write_bytes(path, orjson.dumps(collection))


def _feature(number: int, mark: Mark, path: str | os.PathLike[str]) -> dict[str, Any]:
    if fault := geojson_rules.class_fault(mark.class_name, list(mark.color)):
        raise errors.DataError(f"cannot write {path}: {fault}")
    content = f"{number} {mark.point_yx} {mark.box_yxyx} {mark.class_name} {mark.text}"
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_NAMESPACE, content)),
        "geometry": _geometry(mark),
        "properties": {
            "objectType": "annotation",
            "name": mark.text,
            "classification": {"name": mark.class_name, "color": list(mark.color)},
            "measurements": {},
        },
    }


def _geometry(mark: Mark) -> dict[str, Any]:
    if mark.box_yxyx is None:
        place_xy = [round(value, _DECIMALS) for value in mark.point_yx[::-1]]
        return {"type": "Point", "coordinates": place_xy}
    boxes_yxyx = np.array([mark.box_yxyx], np.float64)
    (ring_xy,) = geojson_features.box_rings(boxes_yxyx).tolist()
    return {"type": "Polygon", "coordinates": [ring_xy]}
