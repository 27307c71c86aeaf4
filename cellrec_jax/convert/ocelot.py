"""OCELOT's one file of all images, `cells.json`: whole pixels and class numbers from 1.

`image_3` is the fourth image in natural order of names.
"""

from collections.abc import Iterable, Sequence

from etils.epath import Path
import orjson

from cellrec_jax import geometry
from cellrec_jax.convert.cells import ImageCells

HOLDS = frozenset({"points", "numbers", "scores"})

_VERSION = {"major": 1, "minor": 0}


def write(
    folder: Path, images: Iterable[ImageCells], class_names: Sequence[str]
) -> None:
    """Writes the file; without a score the probability is 1."""
    del class_names  # numbers
    points = []
    for number, cells in enumerate(images):
        pixels = geometry.point_to_pixel(cells.points_yx)
        for index, (y, x) in enumerate(pixels.tolist()):
            score = cells.score(index)
            point = {
                "name": f"image_{number}",
                "point": [x, y, int(cells.labels[index]) + 1],
                "probability": 1.0 if score is None else score,
            }
            points.append(point)
    content = {
        "name": "cells",
        "type": "Multiple points",
        "points": points,
        "version": _VERSION,
    }
    (folder / "cells.json").write_bytes(orjson.dumps(content))
