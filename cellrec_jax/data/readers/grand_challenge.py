"""grand-challenge.org: JSON of points, polygons or boxes, a file an image.

a.png has a.json, beside it or in `json/`, `annotations/` or `labels/`. Whole numbers
are clicks on pixels. Coordinates in millimetres (MIDOG, MONKEY) are told by their size;
they become px where the image states its um per px.
"""

from etils.epath import Path
import numpy as np

from cellrec_jax.data.annotations import grand_challenge
from cellrec_jax.data.annotations.content import Annotations
from cellrec_jax.data.pixels.images import header
from cellrec_jax.data.readers import pairs, units
from cellrec_jax.data.readers.clean import points_from_xy
from cellrec_jax.data.record import Source
from cellrec_jax.errors import DataError

NAME = "grand_challenge"
IN_MM = "coordinates in millimetres read by the um per px of their image"

_KINDS = ("grand-challenge",)
_ENDINGS = ((".json",),)
_LARGEST_MPP = 20.0
_MOST_SHARE = 1 / 40  # of an image: in mm it is at most mpp / 1000 of it


def matches(root: Path) -> bool:
    """Whether an image has JSON of grand-challenge of its name."""
    return pairs.matches(root, _ENDINGS, _KINDS)


def open_source(root: Path) -> Source:
    """Opens images with such JSON; all files are read once, for classes."""
    return pairs.source(NAME, root, _ENDINGS, _KINDS, _in_px)


def _in_px(file: Path, image: Path) -> Annotations:
    read = grand_challenge.parse(file)
    has_box = np.isfinite(read.boxes_yxyx).all(1)
    points_yx = read.points_yx.copy()
    points_yx[~has_box] = points_from_xy(points_yx[~has_box, ::-1])
    found = units.extent(points_yx)
    if not found.num_points or not found.has_fractions or found.low.min() < 0:
        return read._replace(points_yx=points_yx)
    said = header(image)
    if (found.high >= np.array(said.sizes.shown_hw) * _MOST_SHARE).any():
        return read._replace(points_yx=points_yx)
    if not 0 < said.mpp <= _LARGEST_MPP:
        raise DataError(
            f"{file}: all cells lie within {found.high.max():.3g} of the corner: "
            f"coordinates seem to be millimetres, and {image.name} does not say its um "
            "per px; multiply them by 1000 / (um per px)"
        )
    px = 1000 / said.mpp
    notes = read.notes.copy()
    notes[IN_MM] += 1
    return read._replace(
        points_yx=read.points_yx * px, boxes_yxyx=read.boxes_yxyx * px, notes=notes
    )
