"""Cells as GeoJSON, the way QuPath writes and reads its objects.

(x, y) in px of the full-resolution image from the top left corner, as ours.

References:
  https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
  RFC 7946, The GeoJSON Format, https://www.rfc-editor.org/rfc/rfc7946
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import gzip
import math
import os
from pathlib import Path
from typing import IO, Any, NamedTuple, cast
import uuid
import zlib

import numpy as np
import orjson

from cellrec_jax import errors
from cellrec_jax.io import atomic

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "cellrec-jax")
_DECIMALS = 3
"""Digits of coordinates: a thousandth of a px."""


class GeoJsonPoints(NamedTuple):
    """Cells read from a file; one entry a point."""

    points_yx: np.ndarray
    """f32 [N, 2] px."""
    scores: np.ndarray
    """f32 [N]; the measurement "score", 1 where there is none."""
    class_names: tuple[str, ...]
    """N names; "" for unclassified objects."""


def write_geojson(
    path: str | os.PathLike[str],
    points_yx: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    class_colors: Sequence[Sequence[int]],
    boxes_yxyx: np.ndarray | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Writes a detection object a cell, whole or not at all; equal cells, equal bytes.

    Compressed if the name ends in `.gz`. Finite points [N, 2] in px and scores [N],
    class ids 0..K-1 [N], K names, K colours (red, green, blue) in 0..255; boxes [N, 4]
    in px become polygons in place of points. `metadata`, JSON, is a member of the
    collection, which QuPath passes over. DataError for what QuPath could not read (a
    NaN coordinate, an empty class name), RunError if the file cannot be written.
    """
    boxes: Any = [None] * len(points_yx) if boxes_yxyx is None else boxes_yxyx
    rows = zip(points_yx, boxes, scores, labels, strict=True)
    with atomic.atomic_path(path) as temporary, _opened(temporary, str(path)) as file:
        file.write(b'{"type":"FeatureCollection",')
        if metadata is not None:
            file.write(b'"metadata":' + orjson.dumps(dict(metadata)) + b",")
        file.write(b'"features":[')
        for index, (point_yx, box_yxyx, score, label) in enumerate(rows):
            feature = _feature(
                index,
                _geometry(point_yx, box_yxyx),
                float(score),
                class_names[int(label)],
                class_colors[int(label)],
            )
            # Each as it will be read, so that no file is in memory as a whole.
            if (fault := _fault(feature)) is not None:
                raise errors.DataError(f"cannot write {path}: feature {index}: {fault}")
            file.write(b"," * (index > 0) + orjson.dumps(feature))
        file.write(b"]}")


def read_points(path: str | os.PathLike[str]) -> GeoJsonPoints:
    """Reads cells, in order, from a file of this program or of QuPath, `.gz` or not.

    Points, each point of a multi-point and the centre of area of each polygon become
    cells; a collection, a list of features or one feature. DataError if the file is
    missing, damaged or holds other geometries.
    """
    parsed = _load(Path(path))
    if isinstance(parsed, dict):
        is_collection = parsed.get("type") == "FeatureCollection"
        parsed = parsed.get("features") if is_collection else [parsed]
    if not isinstance(parsed, list):
        raise errors.DataError(
            f"{path}: no list of features; export it as GeoJSON again"
        )
    points_xy: list[Sequence[float]] = []
    scores: list[float] = []
    names: list[str] = []
    for index, feature in enumerate(parsed):
        try:
            found_xy = _points_of(feature["geometry"])
            properties = feature.get("properties") or {}
            name = (properties.get("classification") or {}).get("name") or ""
            measurements = properties.get("measurements")
            # Old versions of QuPath write a list, which never holds our score.
            measured = measurements if isinstance(measurements, dict) else {}
            score = float(measured.get("score", 1.0))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise errors.DataError(
                f"{path}: feature {index} cannot be read as cells ({error}); "
                "only points and polygons can"
            ) from error
        points_xy += found_xy
        scores += [score] * len(found_xy)
        names += [str(name)] * len(found_xy)
    array_xy = np.asarray(points_xy, np.float32).reshape(-1, 2)
    return GeoJsonPoints(
        array_xy[:, ::-1].copy(), np.asarray(scores, np.float32), tuple(names)
    )


def validate(collection: Any) -> None:
    """Checks a collection of detections as QuPath reads them.

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
        fault = _fault(feature)
        if fault is None and feature["id"] in seen:
            fault = "its id is used twice"
        if fault is not None:
            raise errors.DataError(f"feature {index}: {fault}")
        seen.add(feature["id"])


@contextlib.contextmanager
def _opened(path: Path, name: str) -> Iterator[IO[bytes]]:
    """Opens a file to write, compressed if `name` ends in `.gz`."""
    with path.open("wb") as file:
        if not name.endswith(".gz"):
            yield file
            return
        # Without a name and a time in it, equal content gives equal bytes.
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
            yield cast(IO[bytes], packed)


def _geometry(point_yx: np.ndarray, box_yxyx: np.ndarray | None) -> dict[str, Any]:
    """A GeoJSON point, or the closed outline of a box. The swap to (x, y)."""
    if box_yxyx is None:
        y, x = (round(float(value), _DECIMALS) for value in point_yx)
        return {"type": "Point", "coordinates": [x, y]}
    y0, x0, y1, x1 = (round(float(value), _DECIMALS) for value in box_yxyx)
    ring_xy = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
    return {"type": "Polygon", "coordinates": [ring_xy]}


def _feature(
    index: int,
    geometry: dict[str, Any],
    score: float,
    class_name: str,
    color: Sequence[int],
) -> dict[str, Any]:
    content = f"{index} {geometry['coordinates']} {score} {class_name}"
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_NAMESPACE, content)),
        "geometry": geometry,
        "properties": {
            "objectType": "detection",
            "classification": {"name": class_name, "color": list(map(int, color))},
            "measurements": {"score": round(score, 6)},
        },
    }


def _load(path: Path) -> Any:
    try:
        content = path.read_bytes()
        if path.name.endswith(".gz"):
            content = gzip.decompress(content)
        return orjson.loads(content)
    except (OSError, EOFError, zlib.error, orjson.JSONDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise errors.DataError(
            f"{path}: cannot be read as GeoJSON ({reason}); export it again"
        ) from error


def _points_of(geometry: dict[str, Any]) -> list[Sequence[float]]:
    """Points (x, y) that stand for the cells of one geometry."""
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind == "Point":
        found_xy = [coordinates[:2]]
    elif kind == "MultiPoint":
        found_xy = [position[:2] for position in coordinates]
    elif kind == "Polygon":
        found_xy = [_centroid(np.asarray(coordinates[0], np.float64)[:, :2])]
    else:
        raise ValueError(f"geometry of type {kind!r}")
    if not np.isfinite(np.asarray(found_xy, np.float64).reshape(-1, 2)).all():
        raise ValueError("a coordinate is not a finite number")
    return found_xy


def _centroid(ring_xy: np.ndarray) -> list[float]:
    """Centre of area of a closed outline; mean of its corners if it has no area."""
    origin = ring_xy[0]
    start, end = ring_xy[:-1] - origin, ring_xy[1:] - origin
    cross = start[:, 0] * end[:, 1] - end[:, 0] * start[:, 1]
    if abs(cross.sum()) < 1e-9:
        return [float(value) for value in ring_xy[:-1].mean(axis=0)]
    center = origin + (start + end).T @ cross / (3 * cross.sum())
    return [float(value) for value in center]


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
