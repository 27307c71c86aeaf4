"""What QuPath can read: checks a collection of detections before it is written."""

import math
from typing import Any
import uuid

from cellrec_jax import errors


def validate(collection: Any) -> None:
    """Checks that an object is a collection of detections as QuPath reads them.

    Args:
      collection: parsed JSON.

    Raises:
      DataError: one line that names the first feature at fault and the fault.
    """
    if (
        not isinstance(collection, dict)
        or collection.get("type") != "FeatureCollection"
    ):
        raise errors.DataError('not a GeoJSON object of type "FeatureCollection"')
    features = collection.get("features")
    if not isinstance(features, list):
        raise errors.DataError('"features" is not a list')
    seen: set[str] = set()
    for index, feature in enumerate(features):
        fault = _fault(feature)
        if fault is None and feature["id"] in seen:
            fault = "its id is used twice"
        if fault is not None:
            raise errors.DataError(f"feature {index}: {fault}")
        seen.add(feature["id"])


def _fault(feature: Any) -> str | None:
    """What is wrong with one feature, or None."""
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        return 'not of type "Feature"'
    if _holds_null(feature):
        return "holds null (NaN or infinite numbers become null)"
    try:
        uuid.UUID(feature.get("id"))
    except (TypeError, ValueError, AttributeError):
        return "its id is no UUID"
    properties = feature.get("properties")
    if not isinstance(properties, dict) or properties.get("objectType") != "detection":
        return 'properties.objectType is not "detection"'
    return _geometry_fault(feature.get("geometry")) or _properties_fault(properties)


def _properties_fault(properties: dict[str, Any]) -> str | None:
    classification = properties.get("classification")
    if not isinstance(classification, dict):
        return "no classification"
    name, color = classification.get("name"), classification.get("color")
    if not isinstance(name, str) or not name.strip():
        return "classification.name is empty"
    if not isinstance(color, list) or len(color) != 3:
        return "classification.color is not [red, green, blue]"
    if not all(type(value) is int and 0 <= value <= 255 for value in color):
        return "classification.color is not made of whole numbers in 0..255"
    measurements = properties.get("measurements")
    if not isinstance(measurements, dict):
        return "measurements is not an object"
    if not all(_is_number(value) for value in measurements.values()):
        return "a measurement is not a number"
    return None


def _geometry_fault(geometry: Any) -> str | None:
    if not isinstance(geometry, dict):
        return "no geometry"
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "Point":
        return None if _is_position(coordinates) else "a point is not [x, y]"
    if kind != "Polygon":
        return f"geometry of type {kind!r}; only Point and Polygon are written"
    if not isinstance(coordinates, list) or not coordinates:
        return "a polygon without outline"
    for ring_xy in coordinates:
        if not isinstance(ring_xy, list) or not all(map(_is_position, ring_xy)):
            return "a polygon's outline is not a list of [x, y]"
        if len(ring_xy) < 4 or ring_xy[0] != ring_xy[-1]:
            return "a polygon's outline is not closed"
    return None


def _is_position(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _holds_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_null, value.values()))
    if isinstance(value, list):
        return any(map(_holds_null, value))
    return value is None
