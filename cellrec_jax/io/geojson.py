"""Cells as GeoJSON, the way QuPath writes and reads its objects.

Coordinates in the file are (x, y) in px of the full-resolution image, (0, 0) being
the top left corner of its first pixel: QuPath's frame and ours are the same one.

References:
  https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
  RFC 7946, The GeoJSON Format, https://www.rfc-editor.org/rfc/rfc7946
"""

from collections.abc import Sequence
import gzip
import os
from pathlib import Path
from typing import Any, NamedTuple
import uuid
import zlib

import numpy as np
import orjson

from cellrec_jax import errors
from cellrec_jax.io import atomic
from cellrec_jax.io.geojson_schema import validate as validate

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
) -> None:
    """Writes one detection object a cell, whole or not at all.

    Equal cells give equal bytes: ids are made from the content.

    Args:
      path: the file; compressed if its name ends in `.gz`.
      points_yx: [N, 2] cell centres in px, finite.
      scores: [N], finite.
      labels: int [N] class ids 0..K-1.
      class_names: K names.
      class_colors: K times (red, green, blue) in 0..255.
      boxes_yxyx: [N, 4] boxes in px to write as polygons in place of points.

    Raises:
      DataError: if something would be written that QuPath could not read (a NaN
        coordinate, an empty class name).
      RunError: if the file cannot be written.
    """
    collection = {
        "type": "FeatureCollection",
        "features": [
            _feature(
                index,
                _geometry(
                    points_yx[index], None if boxes_yxyx is None else boxes_yxyx[index]
                ),
                float(scores[index]),
                class_names[int(labels[index])],
                class_colors[int(labels[index])],
            )
            for index in range(len(points_yx))
        ],
    }
    content = orjson.dumps(collection)
    try:
        # What will be in the file is checked, not what was meant: NaN becomes null.
        validate(orjson.loads(content))
    except errors.DataError as error:
        raise errors.DataError(f"cannot write {path}: {error}") from error
    if Path(path).name.endswith(".gz"):
        content = gzip.compress(content, mtime=0)
    atomic.write_bytes(path, content)


def read_points(path: str | os.PathLike[str]) -> GeoJsonPoints:
    """Reads cells from a file of this program or of QuPath.

    Points, each point of a multi-point and the centre of area of each polygon become
    cells. The top level may be a collection, a list of features or one feature.

    Args:
      path: a GeoJSON file, compressed if its name ends in `.gz`.

    Returns:
      The cells in the order of the file.

    Raises:
      DataError: if the file is missing, damaged or holds other geometries.
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
            "classification": {
                "name": class_name,
                "color": [int(value) for value in color],
            },
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
