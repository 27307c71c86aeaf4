"""GeoJSON of QuPath, a file an image: annotations, or detections where scores are.

Masks become outlines; ignored and annotated regions are of class "Ignore*" and
"Region*".
"""

from collections.abc import Iterable, Mapping, Sequence
import types
from typing import Any

from etils.epath import Path
import numpy as np
import orjson
from scipy import ndimage

from cellrec_jax import errors, polygons
from cellrec_jax.convert.cells import ImageCells, below
from cellrec_jax.data.readers.annotated import UNCLASSIFIED
from cellrec_jax.io import geojson_rules, palette

HOLDS = frozenset({"points", "boxes", "masks", "classes", "scores", "regions"})

IGNORE, REGION = "Ignore*", "Region*"
"""Classes of areas that are no cells."""


def write(
    folder: Path, images: Iterable[ImageCells], class_names: Sequence[str]
) -> None:
    """Writes annotations/ID.geojson; a class that QuPath cannot have: DataError."""
    colors = palette.qupath_colors([*class_names, IGNORE, REGION])
    classes: dict[str, dict[str, Any]] = {}
    for name, color in zip((*class_names, IGNORE, REGION), colors, strict=True):
        classes[name] = kind(name, color)
    classes[UNCLASSIFIED] = {}
    for cells in images:
        scores = [None] * len(cells.labels) if cells.scores is None else cells.scores
        features = [
            feature(shape, classes[class_names[label]], {"score": score})
            for shape, label, score in zip(
                _shapes(cells), cells.labels, scores, strict=True
            )
        ]
        for region, name in ((cells.ignore, IGNORE), (cells.annotated, REGION)):
            parts = [] if region is None else polygons.outlines(region)
            features += [feature(area([part]), classes[name]) for part in parts]
        content = {"type": "FeatureCollection", "features": features}
        below(folder, "annotations", cells, ".geojson").write_bytes(
            orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
        )


def kind(name: str, color: Sequence[int]) -> dict[str, Any]:
    """A class as a property of an object; DataError for what QuPath cannot have."""
    fault = geojson_rules.class_fault(name, list(color))
    if fault is not None:
        raise errors.DataError(f"cannot write class {name!r} for QuPath: {fault}")
    return {"classification": {"name": name, "color": color}}


def feature(
    geometry: dict[str, Any],
    kind: dict[str, Any],
    measured: Mapping[str, float | None] = types.MappingProxyType({}),
) -> dict[str, Any]:
    """An annotation; a detection where something that is a number is measured."""
    numbers = {
        name: round(float(value), 6)
        for name, value in measured.items()
        if value is not None and np.isfinite(value)
    }
    properties = {"objectType": "annotation", **kind}
    if numbers:
        properties |= {"objectType": "detection", "measurements": numbers}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _shapes(cells: ImageCells) -> list[dict[str, Any]]:
    """A geometry a cell: outline, box or point."""
    if cells.masks is not None:
        windows = ndimage.find_objects(cells.masks, len(cells.labels))
        return [
            _outline(cells.masks, number, window)
            for number, window in enumerate(windows, 1)
        ]
    if cells.boxes_yxyx is not None:
        return [box(corners) for corners in cells.boxes_yxyx]
    return [
        {"type": "Point", "coordinates": [x, y]} for y, x in cells.points_yx.tolist()
    ]


def _outline(
    masks: np.ndarray, number: int, window: tuple[slice, slice]
) -> dict[str, Any]:
    shift = np.array([window[0].start, window[1].start], np.float64)
    parts = polygons.outlines(masks[window] == number)
    return area([tuple(ring + shift for ring in part) for part in parts])


def box(box_yxyx: np.ndarray) -> dict[str, Any]:
    """A box, px."""
    return area([polygons.rectangle(*box_yxyx.tolist())])


def area(parts: Sequence[polygons.Polygon]) -> dict[str, Any]:
    """Closed rings (x, y), the outline as RFC 7946 turns it, holes the other way."""
    rings_xy = [
        [
            _turned(
                np.concatenate([ring, ring[:1]])[:, ::-1], is_hole=index > 0
            ).tolist()
            for index, ring in enumerate(part)
        ]
        for part in parts
    ]
    if len(rings_xy) == 1:
        return {"type": "Polygon", "coordinates": rings_xy[0]}
    return {"type": "MultiPolygon", "coordinates": rings_xy}


def _turned(ring_xy: np.ndarray, *, is_hole: bool) -> np.ndarray:
    x, y = (ring_xy - ring_xy[0]).T
    area = float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum())
    return ring_xy[::-1] if (area < 0) != is_hole else ring_xy
