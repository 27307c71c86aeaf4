"""What is written for one image: its GeoJSON and its overlay."""

from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath
import numpy as np

from cellrec_jax import errors
from cellrec_jax.cells import Cells
from cellrec_jax.data import example
from cellrec_jax.io import geojson, overlay, palette, qupath_names
from cellrec_jax.metrics import proportion


def colors_of(class_names: Sequence[str]) -> tuple[tuple[int, int, int], ...]:
    """K colours: of classes that say so positive red, negative blue, in any order."""
    return palette.class_colors(len(class_names), *proportion.signs(class_names))


def legend(
    class_names: Sequence[str], counts: Sequence[int], thresholds: Sequence[float]
) -> list[str]:
    """A line a class: its name, its cells, its score threshold.

    Example:
      >>> legend(["positive"], [12], [0.4])
      ['positive: 12 (score from 0.40)']
    """
    return [
        f"{name}: {count} (score from {cut:.2f})"
        for name, count, cut in zip(class_names, counts, thresholds, strict=True)
    ]


def write(
    files: tuple[epath.Path, epath.Path],
    image: np.ndarray,
    found: Cells,
    lines: Sequence[str],
    geometry: str,
    metadata: Mapping[str, Any],
) -> None:
    """Writes GeoJSON and overlay, `files`, of an image uint8 or uint16 [H, W, 3].

    Classes have QuPath's names in GeoJSON, and `metadata` tells ours. `lines` are the
    legend's. ConfigError where boxes are wanted of points.
    """
    if geometry == "box" and found.boxes_yxyx is None:
        raise errors.ConfigError(
            "--geometry box: this method predicts points without boxes; leave it out"
        )
    colors = colors_of(found.class_names)
    geojson.write_geojson(
        files[0],
        found.points_yx,
        found.scores,
        found.labels,
        qupath_names.qupath_names(found.class_names),
        colors,
        found.boxes_yxyx if geometry == "box" else None,
        {**metadata, **qupath_names.metadata(found.class_names)},
        found.class_probs if len(found.class_names) > 1 else None,
    )
    drawn = overlay.draw_overlay(
        example.to_uint8(image),
        found.points_yx,
        found.scores,
        labels=found.labels,
        score_threshold=0.0,
        colors=colors,
        legend=lines,
    )
    overlay.write_png(files[1], drawn)
