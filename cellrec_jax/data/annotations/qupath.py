"""GeoJSON as QuPath writes it: a collection, one feature or a list, `.gz` or not.

Points, each point of a multi-point, and areas by their centre are cells. A file with
detections has no cells among its annotated areas: those without a class are where
somebody looked. Pixels count from where QuPath crops a slide: `origin_yx` moves them.

References:
  https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
  RFC 7946, The GeoJSON Format, https://www.rfc-editor.org/rfc/rfc7946
"""

from collections import Counter
from collections.abc import Container, Iterator, Sequence
import math
import re
from typing import Any

from etils.epath import Path
import numpy as np

from cellrec_jax.data.annotations.content import (
    AREAS,
    NO_POINTS,
    Annotations,
    Shape,
    class_name,
    collect,
    is_region,
    mapped,
)
from cellrec_jax.data.json_file import read_json
from cellrec_jax.errors import DataError
from cellrec_jax.polygons import Polygon

LOOKED_AT = "areas without a class beside detections read as what was looked at"
LINES = "lines and other geometries left out"
POINTS = "points left out"
CELLS = "cells left out"
TILES = "tiles and cores of tissue arrays left out"

_DETECTED = ("detection", "cell")
_TILES = ("tile", "tmacore", "root")
_OBJECT = re.compile(r"Path(\w+)Object")
_GEOMETRIES = ("Point", "MultiPoint", "Polygon", "MultiPolygon")
_SCORES = ("score", "Detection probability")
_TRUST = ("trust",)
_NUMBERS = {"NaN": math.nan, "Inf": math.inf, "-Inf": -math.inf}
_FARTHEST = 1e7  # px of a corner
_FAULTS = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)


def parse(
    file: Path,
    origin_yx: Sequence[float] = (0.0, 0.0),
    *,
    areas_are_cells: bool = True,
    cell_names: Container[str] = (),
) -> Annotations:
    """Reads a file; `origin_yx`, px of level 0, is added to all that it holds.

    Not so where it says that it counts from the corner of the slide, as predictions
    may, which also tell what the model calls classes that have QuPath's names. Where
    `areas_are_cells` is False annotated areas are none, as beside detections, but for
    those of the classes `cell_names`. A `DataError` names the first feature that cannot
    be read.
    """
    parsed = read_json(file)
    notes: Counter[str] = Counter()
    found = _objects(parsed, file, notes)
    areas_are_cells &= not any(kind in _DETECTED for kind, _ in found)
    shapes = _without_parents(found, areas_are_cells, cell_names, notes)
    notes += Counter()  # drops zeros
    read = collect(shapes, notes=notes)
    about = _about(parsed)
    own = about.get("class_names")  # as `io.qupath_names` tells it
    if isinstance(own, dict):
        names = tuple(str(own.get(name, name)) for name in read.names)
        read = read._replace(names=names)
    # Px that count from the corner of the whole slide, not of what was scanned.
    is_whole = about.get("origin") == "openslide"
    return read if is_whole else mapped(read, shift_yx=origin_yx)


def areas(file: Path, notes: Counter[str]) -> list[tuple[str, tuple[Polygon, ...]]]:
    """Class and parts of each annotation that is an area, px as they are in the file.

    `notes` counts the rest. Errors as `parse`.
    """
    found = []
    for kind, shape in _objects(read_json(file), file, notes):
        if kind in _DETECTED:
            notes[CELLS] += 1
        elif shape.area:
            found.append((shape.name, shape.area))
        else:
            notes[POINTS] += len(shape.points_yx)
    return found


def _objects(parsed: Any, file: Path, notes: Counter[str]) -> list[tuple[str, Shape]]:
    """Kind and shape of what is read of a file; `notes` counts the rest."""
    found: list[tuple[str, Shape]] = []
    for index, feature in enumerate(_features(parsed, file)):
        where = f"{file}: feature {index}"
        try:
            properties = feature.get("properties") or {}
            name = class_name(_class_of(properties), where)
            shape = _shape(feature["geometry"], name, notes)
            score, trust = _measured(properties)
            if shape is not None:
                id_ = _id(feature, shape)
                shape = shape._replace(score=score, trust=trust, id=id_)
            kind = _kind(feature, properties)
        except _FAULTS as error:
            raise DataError(
                f"{where} cannot be read ({_reason(error)}): export it from QuPath as "
                "GeoJSON, without a choice of properties"
            ) from error
        if kind in _TILES:
            notes[TILES] += kind != "root"
        elif shape is not None:
            found.append((kind, shape))
    return found


def _about(parsed: Any) -> dict[str, Any]:
    """What a collection says of itself."""
    about = parsed.get("metadata") if isinstance(parsed, dict) else None
    return about if isinstance(about, dict) else {}


def _features(parsed: Any, file: Path) -> list[Any]:
    if isinstance(parsed, dict):
        if parsed.get("type") in _GEOMETRIES:  # one alone is GeoJSON too
            parsed = {"geometry": parsed}
        is_collection = parsed.get("type") == "FeatureCollection"
        parsed = parsed.get("features") if is_collection else [parsed]
    if not isinstance(parsed, list):
        raise DataError(f"{file}: no list of features; export it as GeoJSON again")
    return parsed


def _kind(feature: dict[str, Any], properties: dict[str, Any]) -> str:
    """Type of an object in lower case; annotation where nothing is said."""
    keys = ("objectType", "object_type", "type")
    value = next((properties[key] for key in keys if properties.get(key)), "")
    if not value:  # before QuPath 0.4 the id was "PathCellObject", say
        match = _OBJECT.fullmatch(str(feature.get("id")))
        value = match[1] if match else ""
    return str(value).lower() or "annotation"


def _id(feature: dict[str, Any], shape: Shape) -> str:
    """What tells a cell from others: "" of several points, and before QuPath 0.4."""
    found = str(feature.get("id") or "")
    return "" if len(shape.points_yx) > 1 or _OBJECT.fullmatch(found) else found


def _class_of(properties: dict[str, Any]) -> Any:
    found = properties.get("classification") or ""
    if isinstance(found, dict):
        names = found.get("names")
        found = found.get("name") or (": ".join(names) if names else "")
    return found


def _measured(properties: dict[str, Any]) -> tuple[float, float]:
    """Score of an object, NaN without one, and its trust."""
    measured = properties.get("measurements") or {}
    if isinstance(measured, list):  # before QuPath 0.4
        measured = {one["name"]: one["value"] for one in measured}

    def first(keys: Sequence[str], default: float) -> float:
        values = [measured[key] for key in keys if measured.get(key) is not None]
        value: Any = next(iter(values), default)
        return float(_NUMBERS.get(value, value))

    score, trust = first(_SCORES, math.nan), first(_TRUST, 1.0)
    if not (0 <= trust <= 1 or trust == -1):
        raise ValueError(f"a trust of {trust:g}, neither in 0..1 nor -1")
    return score, trust


def _shape(
    geometry: dict[str, Any] | None, name: str, notes: Counter[str]
) -> Shape | None:
    """What a geometry is; None for what is neither point nor area."""
    if geometry is None:
        raise ValueError("it has no geometry")
    kind = geometry["type"]
    coordinates: Any = geometry.get("coordinates")
    if kind in ("Point", "MultiPoint"):
        points = [coordinates] if kind == "Point" else coordinates
        return Shape(name, _positions(points))
    if kind in ("Polygon", "MultiPolygon"):
        parts = [coordinates] if kind == "Polygon" else coordinates
        area = tuple(_polygon(part) for part in parts)
        if not area:
            raise ValueError("no outline")
        return Shape(name, NO_POINTS, area)
    if not isinstance(kind, str):
        raise ValueError(f"a geometry of type {kind!r}")
    notes[LINES] += 1
    return None


def _positions(points: Sequence[Sequence[float]]) -> np.ndarray:
    """(x, y, ...) of each as f64 [n, 2] yx."""
    found: np.ndarray = np.array([p[:2] for p in points], np.float64).reshape(-1, 2)
    return found[:, ::-1]


def _polygon(rings: Sequence[Sequence[Sequence[float]]]) -> Polygon:
    polygon = tuple(_positions(ring) for ring in rings)
    if not polygon or not all(map(len, polygon)):
        raise ValueError("an empty outline")
    if not all((np.abs(ring) < _FARTHEST).all() for ring in polygon):
        raise ValueError("a corner that is no number, or far outside")
    return polygon


def _without_parents(
    found: Sequence[tuple[str, Shape]],
    areas_are_cells: bool,
    cell_names: Container[str],
    notes: Counter[str],
) -> Iterator[Shape]:
    """Shapes that are cells or regions; annotated areas may be cells, or none."""
    for kind, shape in found:
        if kind in _DETECTED:
            yield shape._replace(is_cell=True)
        elif (
            areas_are_cells
            or not shape.area
            or is_region(shape.name)
            or shape.name in cell_names
        ):
            yield shape
        elif shape.name:
            notes[AREAS] += 1
        else:
            notes[LOOKED_AT] += 1
            yield shape._replace(name="Region*")


def _reason(error: Exception) -> str:
    if isinstance(error, TypeError | AttributeError | IndexError):
        return "it is of another form than GeoJSON"
    text = " ".join(str(error).split())
    return f"no {text}" if isinstance(error, KeyError) else text
