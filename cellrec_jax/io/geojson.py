"""Cells as GeoJSON, the way QuPath writes and reads its objects.

(x, y) in px of the full-resolution image from the top left corner, as ours.

References:
  https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
  RFC 7946, The GeoJSON Format, https://www.rfc-editor.org/rfc/rfc7946
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import gzip
import os
from pathlib import Path
from typing import Any, NamedTuple
import zlib

import numpy as np
import orjson

from cellrec_jax import errors
from cellrec_jax.io import (
    cell_columns,
    geojson_features,
    geojson_parts,
    geojson_rules,
    streams,
)

GEOMETRIES = ("point", "box", "circle")
_BLOCK = 8192  # cells that are in memory as text


class GeoJsonPoints(NamedTuple):
    """Cells read from a file; one entry a point."""

    points_yx: np.ndarray
    """f32 [N, 2] px."""
    scores: np.ndarray
    """f32 [N]; the measurement "score", 1 where there is none."""
    class_names: tuple[str, ...]
    """N names; "" for unclassified objects."""


@contextlib.contextmanager
def open_geojson(
    path: str | os.PathLike[str],
    class_names: Sequence[str],
    class_colors: Sequence[Sequence[int]],
    *,
    geometry: str = "point",
    metadata: Mapping[str, Any] | None = None,
    split: int = 0,
    origin_yx: Sequence[float] = (0.0, 0.0),
    circle_px: float = 0.0,
) -> Iterator[Callable[..., None]]:
    """Gives `add(points_yx, scores, labels, boxes_yxyx=None)`; a detection a cell.

    Cells come in chunks of any size: points [N, 2] in px, scores [N], class ids 0..K-1
    [N], boxes [N, 4] in px for the geometry "box". The file is there, whole, when the
    block ends well, and not at all after an error; equal cells give equal bytes.

    Args:
      path: compressed if it ends in `.gz`.
      class_names: K names; "Tumor: Positive" is derived from "Tumor" in QuPath.
      class_colors: K times (red, green, blue) in 0..255.
      geometry: "point"; "box", its sides at least 0.1 px; "circle", a 16-gon.
      metadata: JSON; a member of the collection that QuPath passes over.
      split: most cells of a file, named by `geojson_parts.part_path`; 0: one file.
      origin_yx: px of the image that become (0, 0), as where QuPath crops a slide.
      circle_px: radius of circles in px, at least 0.1.

    Raises:
      ConfigError: the geometry is unknown, or lacks its radius or its boxes.
      DataError: QuPath could not read a class, or a cell is not of finite numbers.
      RunError: a file cannot be written.
    """
    look = _look(path, class_names, class_colors, geometry, origin_yx, circle_px)
    head = b'{"type":"FeatureCollection",'
    if metadata is not None:
        head += b'"metadata":' + orjson.dumps(dict(metadata)) + b","
    head += b'"features":['
    num_added = 0

    def encode(*columns: np.ndarray) -> None:
        cells = cell_columns.CellColumns(*columns)
        write(geojson_features.encode(look, cells))

    with (
        geojson_parts.open_parts(path, head, split) as write,
        streams.in_blocks(_BLOCK, encode) as add_rows,
    ):

        def add(
            points_yx: np.ndarray,
            scores: np.ndarray,
            labels: np.ndarray,
            boxes_yxyx: np.ndarray | None = None,
        ) -> None:
            nonlocal num_added
            if geometry == "box" and boxes_yxyx is None:
                raise errors.ConfigError(
                    f"cannot write {path}: no boxes are known; choose points"
                )
            boxes = boxes_yxyx if geometry == "box" else None
            cells = cell_columns.columns(
                num_added, points_yx, scores, labels, boxes_yxyx=boxes
            )
            if (fault := cell_columns.fault(cells, len(look.class_names))) is not None:
                raise errors.DataError(f"cannot write {path}: feature {fault}")
            num_added += len(cells.scores)
            add_rows(*cells)

        yield add


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
    """Writes cells as `open_geojson` does; boxes where there are any, else points."""
    geometry = "point" if boxes_yxyx is None else "box"
    with open_geojson(
        path, class_names, class_colors, geometry=geometry, metadata=metadata
    ) as add:
        add(points_yx, scores, labels, boxes_yxyx)


def read_points(
    path: str | os.PathLike[str], *, cells_only: bool = False
) -> GeoJsonPoints:
    """Reads cells, in order, from a file of this program or of QuPath, `.gz` or not.

    Points, each point of a multi-point and the centre of area of each polygon become
    cells; a collection, a list of features or one feature. `cells_only` passes over
    annotations with an area, which are regions. DataError if the file is missing,
    damaged or holds other geometries.
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
            properties = feature.get("properties") or {}
            if cells_only and _is_region(feature["geometry"], properties):
                continue
            found_xy = _points_of(feature["geometry"])
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


def _look(
    path: str | os.PathLike[str],
    class_names: Sequence[str],
    class_colors: Sequence[Sequence[int]],
    geometry: str,
    origin_yx: Sequence[float],
    circle_px: float,
) -> geojson_features.Look:
    if geometry not in GEOMETRIES:
        raise errors.ConfigError(
            f"geometry {geometry!r} is none of {', '.join(GEOMETRIES)}"
        )
    least, most = geojson_features.LEAST_PX, cell_columns.LARGEST_PX
    if geometry == "circle" and not least <= circle_px <= most:
        raise errors.ConfigError(
            f"circles of {circle_px} px cannot be drawn; choose {least} px or more"
        )
    colors = [[int(value) for value in color] for color in class_colors]
    for label, (name, color) in enumerate(zip(class_names, colors, strict=True)):
        if (fault := geojson_rules.class_fault(name, color)) is not None:
            raise errors.DataError(f"cannot write {path}: class {label}: {fault}")
    y, x = (float(value) for value in origin_yx)
    return geojson_features.Look(
        geometry,
        tuple(class_names),
        tuple((red, green, blue) for red, green, blue in colors),
        (y, x),
        float(circle_px),
    )


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


def _is_region(geometry: dict[str, Any], properties: dict[str, Any]) -> bool:
    """Whether an object of QuPath is no cell; without a kind it is an annotation."""
    is_cell = properties.get("objectType") in ("detection", "cell")
    return not is_cell and geometry["type"] not in ("Point", "MultiPoint")


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
