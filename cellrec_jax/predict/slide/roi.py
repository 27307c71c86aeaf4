"""Regions that a person drew: what of a slide is to be looked at, what is not.

GeoJSON of polygons, as QuPath exports annotations. Classes that begin with "Ignore"
exclude, all others include; where none includes, everything else is.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from cellrec_jax import errors
from cellrec_jax.predict.slide.tissue import Mask

_MOST_BYTES = 2**28
_EXCLUDES = "ignore"


class Regions(NamedTuple):
    """Polygons in px of level 0; each a list of rings [N, 2], yx, holes after it."""

    include: tuple[tuple[np.ndarray, ...], ...]
    exclude: tuple[tuple[np.ndarray, ...], ...]


def read(path: Path, origin_yx: Sequence[float] | np.ndarray = (0.0, 0.0)) -> Regions:
    """Reads polygons and multi-polygons; `origin_yx` is added to their points.

    DataError for what cannot be read, or has none.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise errors.DataError(f"--roi {path}: more than 256 MiB cannot be regions")
    try:
        parsed = orjson.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        raise errors.DataError(f"--roi {path}: no GeoJSON ({error})") from error
    if isinstance(parsed, dict):
        is_collection = parsed.get("type") == "FeatureCollection"
        parsed = parsed.get("features") if is_collection else [parsed]
    include: list[tuple[np.ndarray, ...]] = []
    exclude: list[tuple[np.ndarray, ...]] = []
    for index, feature in enumerate(parsed if isinstance(parsed, list) else []):
        try:
            polygons = _polygons(feature["geometry"], origin_yx)
            name = _class_of(feature.get("properties") or {})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise errors.DataError(
                f"--roi {path}: feature {index} is no polygon ({error}): draw regions "
                "as polygons, rectangles or brushed areas"
            ) from error
        target = exclude if name.lower().startswith(_EXCLUDES) else include
        target += polygons
    if not include and not exclude:
        raise errors.DataError(f"--roi {path}: has no region; draw some")
    return Regions(tuple(include), tuple(exclude))


def within(regions: Regions, points_yx: np.ndarray) -> np.ndarray:
    """Whether points [M, 2], px of level 0, are to be looked at; bool [M]."""
    kept = np.full(len(points_yx), not regions.include)
    for polygon in regions.include:
        kept |= _inside(polygon, points_yx)
    for polygon in regions.exclude:
        kept &= ~_inside(polygon, points_yx)
    return kept


def cut(mask: Mask, regions: Regions) -> Mask:
    """The part of a mask that is to be looked at, by the middles of its px."""
    rows, columns = (np.arange(size) + 0.5 for size in mask.inside.shape)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    points_yx = np.stack([y.ravel(), x.ravel()], 1) * np.asarray(mask.native_px)
    kept = within(regions, points_yx).reshape(mask.inside.shape)
    return mask._replace(inside=mask.inside & kept)


def touched(mask: Mask, regions: Regions) -> Mask:
    """The px of a mask that regions to look at touch, if only at an edge."""
    inside = cut(mask, regions).inside
    for polygon in regions.include:
        for ring in polygon:
            corners = ring / np.asarray(mask.native_px)
            steps = np.diff(corners, axis=0)
            number = int(np.ceil(2 * np.abs(steps).max(initial=0))) + 1
            shares = np.linspace(0, 1, number)[:, None, None]
            places = np.floor(corners[:-1] + shares * steps).astype(np.int64)
            last = np.subtract(inside.shape, 1)
            y, x = np.clip(places.reshape(-1, 2), 0, last).T
            inside[y, x] = mask.inside[y, x]
    return mask._replace(inside=inside)


def _class_of(properties: dict[str, Any]) -> str:
    found = properties.get("classification") or ""
    if isinstance(found, dict):
        found = found.get("name") or ":".join(found.get("names") or [])
    return str(found)


def _polygons(
    geometry: dict[str, Any], origin_yx: Sequence[float] | np.ndarray
) -> list[tuple[np.ndarray, ...]]:
    """The polygons of a geometry, rings as [N, 2] yx."""
    coordinates = geometry["coordinates"]
    if geometry["type"] == "Polygon":
        coordinates = [coordinates]
    elif geometry["type"] != "MultiPolygon":
        raise ValueError(f"a {geometry['type']}")
    if not coordinates or not all(coordinates):
        raise ValueError("no corner")
    return [
        tuple(_ring(ring) + np.asarray(origin_yx, np.float64) for ring in polygon)
        for polygon in coordinates
    ]


def _ring(points: Any) -> np.ndarray:
    ring_xy = np.asarray([point[:2] for point in points], np.float64)
    if ring_xy.ndim != 2 or len(ring_xy) < 4 or not np.isfinite(ring_xy).all():
        raise ValueError("a ring of fewer than three corners, or without numbers")
    return ring_xy[:, ::-1]


def _inside(polygon: Sequence[np.ndarray], points_yx: np.ndarray) -> np.ndarray:
    """Inside of the first ring and of no other; even-odd, bool [M]."""
    found = np.zeros(len(points_yx), bool)
    outer = polygon[0]
    near = np.all((points_yx >= outer.min(0)) & (points_yx <= outer.max(0)), axis=1)
    if near.any():
        from matplotlib.path import Path as Outline

        inside = np.zeros(int(near.sum()), bool)
        for ring in polygon:
            inside ^= Outline(ring).contains_points(points_yx[near])
        found[near] = inside
    return found
