"""What QuPath asks of a file of objects. One fault, and it imports none of them.

References:
  QuPath's reader, of 0.5.1, 0.6.0 and 0.8.0-SNAPSHOT (August 2026), in
  https://github.com/qupath/qupath, folder qupath-core/src/main/java/qupath/lib:
  io/QuPathTypeAdapters.java, io/ROITypeAdapters.java, objects/classes/PathClass.java
"""

from collections.abc import Sequence
import itertools
import math
from typing import Any
import uuid

from cellrec_jax import errors


def validate(collection: Any, object_type: str = "detection") -> None:
    """Checks a collection of such objects, as parsed, by QuPath's reading rules.

    DataError, in one line, names the first feature at fault and the fault.
    """
    kind = collection.get("type") if isinstance(collection, dict) else None
    if kind != "FeatureCollection":
        raise errors.DataError('not a GeoJSON object of type "FeatureCollection"')
    features = collection.get("features")
    if not isinstance(features, list):
        raise errors.DataError('"features" is not a list')
    seen: set[str] = set()
    for index, feature in enumerate(features):
        fault = _fault(feature, object_type)
        if fault is None and feature["id"] in seen:
            fault = "its id is used twice"
        if fault is not None:
            raise errors.DataError(f"feature {index}: {fault}")
        seen.add(feature["id"])


def class_fault(name: Any, color: Any) -> str | None:
    """What is wrong with a class and its [red, green, blue], or None.

    Example:
      >>> class_fault("Tumor: Positive", [200, 50, 50])
      >>> class_fault(": Positive", [200, 50, 50])
      "classification.name ': Positive' has an empty part"
    """
    if not isinstance(name, str) or not name.strip():
        return "classification.name is empty"
    if "\n" in name or "\r" in name:
        return f"classification.name {name!r} holds a line break"
    # A class may be derived from others, as above; QuPath drops colons at the end.
    if not all(part.strip() for part in name.rstrip(":").split(":")):
        return f"classification.name {name!r} has an empty part"
    if not isinstance(color, Sequence) or len(color) != 3:
        return "classification.color is not [red, green, blue]"
    if not all(type(value) is int and 0 <= value <= 255 for value in color):
        return "classification.color is not made of whole numbers in 0..255"
    return None


def _fault(feature: Any, object_type: str) -> str | None:
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
    if not isinstance(properties, dict) or properties.get("objectType") != object_type:
        return f'properties.objectType is not "{object_type}"'
    return _geometry_fault(feature.get("geometry")) or _properties_fault(properties)


def _properties_fault(properties: dict[str, Any]) -> str | None:
    classification = properties.get("classification")
    if not isinstance(classification, dict):
        return "no classification"
    fault = class_fault(classification.get("name"), classification.get("color"))
    if fault is not None:
        return fault
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
    if _area(coordinates[0]) <= 0:
        return "a polygon's outline has no area or goes clockwise"
    return None


def _area(ring_xy: list[list[float]]) -> float:
    """Positive where a closed outline goes counterclockwise, as RFC 7946 has it."""
    left, top = ring_xy[0]
    corners = [(x - left, y - top) for x, y in ring_xy]
    pairs = itertools.pairwise(corners)
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs) / 2


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
