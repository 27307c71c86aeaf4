"""GeoJSON of QuPath, a file an image: annotations, or detections where scores are.

Masks become outlines; ignored and annotated regions are of class "Ignore*" and
"Region*".
"""

from collections.abc import Iterable, Sequence
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

_IGNORE, _REGION = "Ignore*", "Region*"


def write(
    folder: Path, images: Iterable[ImageCells], class_names: Sequence[str]
) -> None:
    """Writes annotations/ID.geojson; a class that QuPath cannot have: DataError."""
    colors = palette.qupath_colors([*class_names, _IGNORE, _REGION])
    classes: dict[str, dict[str, Any]] = {}
    for name, color in zip((*class_names, _IGNORE, _REGION), colors, strict=True):
        fault = geojson_rules.class_fault(name, list(color))
        if fault is not None:
            raise errors.DataError(f"cannot write class {name!r} for QuPath: {fault}")
        classes[name] = {"classification": {"name": name, "color": color}}
    classes[UNCLASSIFIED] = {}
    for cells in images:
        kinds = [classes[class_names[label]] for label in cells.labels]
        features = [
            _feature(shape, kind, cells.score(index))
            for index, (shape, kind) in enumerate(
                zip(_shapes(cells), kinds, strict=True)
            )
        ]
        for region, name in ((cells.ignore, _IGNORE), (cells.annotated, _REGION)):
            parts = [] if region is None else polygons.outlines(region)
            features += [_feature(_area([part]), classes[name], None) for part in parts]
        content = {"type": "FeatureCollection", "features": features}
        below(folder, "annotations", cells, ".geojson").write_bytes(
            orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
        )


def _feature(
    geometry: dict[str, Any], kind: dict[str, Any], score: float | None
) -> dict[str, Any]:
    properties = {"objectType": "annotation", **kind}
    if score is not None:
        measured = {"objectType": "detection", "measurements": {"score": score}}
        properties = {**properties, **measured}
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
        return [_area([polygons.rectangle(*box)]) for box in cells.boxes_yxyx.tolist()]
    return [
        {"type": "Point", "coordinates": [x, y]} for y, x in cells.points_yx.tolist()
    ]


def _outline(
    masks: np.ndarray, number: int, window: tuple[slice, slice]
) -> dict[str, Any]:
    shift = np.array([window[0].start, window[1].start], np.float64)
    parts = polygons.outlines(masks[window] == number)
    return _area([tuple(ring + shift for ring in part) for part in parts])


def _area(parts: Sequence[polygons.Polygon]) -> dict[str, Any]:
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
