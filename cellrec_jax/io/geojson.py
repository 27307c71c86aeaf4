"""Cells as GeoJSON, the way QuPath reads its objects.

(x, y) in px of the full-resolution image from the top left corner, as ours.

References:
  https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
  RFC 7946, The GeoJSON Format, https://www.rfc-editor.org/rfc/rfc7946
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import os
from typing import Any

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
    class_probs: bool = False,
) -> Iterator[Callable[..., None]]:
    """Gives `add(points_yx, scores, labels, boxes_yxyx=None, class_probs=None)`.

    A detection a cell. Cells come in chunks of any size: points [N, 2] in px, scores
    [N], class ids 0..K-1 [N], boxes [N, 4] in px for the geometry "box", probabilities
    [N, K] where there are to be `class_probs`, as measurements "p CLASS". The file is
    there, whole, when the block ends well, and not at all after an error; equal cells
    give equal bytes.

    Args:
      path: compressed if it ends in `.gz`.
      class_names: K names; "Tumor: Positive" is derived from "Tumor" in QuPath.
      class_colors: K times (red, green, blue) in 0..255.
      geometry: "point"; "box", its sides at least 0.1 px; "circle", a 16-gon.
      metadata: JSON; a member of the collection that QuPath passes over.
      split: most cells of a file, named by `geojson_parts.part_path`; 0: one file.
      origin_yx: px of the image that become (0, 0), as where QuPath crops a slide.
      circle_px: radius of circles in px, at least 0.1.
      class_probs: write probabilities, too.

    Raises:
      ConfigError: the geometry is unknown, or lacks its radius or its boxes.
      DataError: QuPath could not read a class, or a cell is not of finite numbers.
      RunError: a file cannot be written.
    """
    look = _look(path, class_names, class_colors, geometry, origin_yx, circle_px)
    look = look._replace(has_probs=class_probs)
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
            class_probs: np.ndarray | None = None,
        ) -> None:
            nonlocal num_added
            if geometry == "box" and boxes_yxyx is None:
                raise errors.ConfigError(
                    f"cannot write {path}: no boxes are known; choose points"
                )
            boxes = boxes_yxyx if geometry == "box" else None
            cells = cell_columns.columns(
                num_added,
                points_yx,
                scores,
                labels,
                boxes_yxyx=boxes,
                class_probs=class_probs if look.has_probs else None,
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
    class_probs: np.ndarray | None = None,
) -> None:
    """Writes cells as `open_geojson` does; boxes where there are any, else points."""
    geometry = "point" if boxes_yxyx is None else "box"
    with open_geojson(
        path,
        class_names,
        class_colors,
        geometry=geometry,
        metadata=metadata,
        class_probs=class_probs is not None,
    ) as add:
        add(points_yx, scores, labels, boxes_yxyx, class_probs)


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
