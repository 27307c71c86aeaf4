"""What of an image's cells a format can say; what it cannot is counted."""

from collections import Counter
from collections.abc import Collection

import numpy as np

from cellrec_jax import errors
from cellrec_jax.convert.cells import (
    Format,
    ImageCells,
    around_masks,
    widened,
    with_boxes,
)

BOXES = "boxes of cells left out, of which the middle is the point"
MASKS = "cells without the outline that their mask has"
AROUND = "boxes drawn around masks"
WIDENED = "boxes narrower than the format can say, widened"
DRAWN = "boxes drawn around points, of the side that was asked for"
CLASSES = "cells without a class, since the format has none"
NUMBERS = "cells whose class is a number, from 1 on"
SCORES = "scores of cells left out"
PREDICTED = "predicted cells, of a trust below 1, read as given ones"
BACKGROUND = "places of known background, of a trust of -1"
REGIONS = "images whose ignored or annotated regions are masks beside them"


def fit(
    cells: ImageCells, chosen: Format, box_px: float, lost: Counter[str]
) -> ImageCells:
    """The cells as a format can write them.

    Boxes of `box_px` are drawn around points where it is not 0 and the format has room.
    ConfigError where a format has boxes alone, or masks alone, and there are none.
    """
    number, holds = len(cells.labels), chosen.holds
    found: Counter[str] = Counter()
    if "scores" not in holds and cells.scores is not None:
        found[SCORES] = int(np.isfinite(cells.scores).sum())
        cells = cells._replace(scores=None)
    if "classes" not in holds:
        found[NUMBERS if "numbers" in holds else CLASSES] = number
    if "boxes" not in holds and "points" not in holds:
        _need_masks(cells)
        cells = cells._replace(boxes_yxyx=None)
    elif "boxes" in holds:
        cells = _boxed(cells, holds, box_px, found)
        cells, found[WIDENED] = widened(cells, chosen.least_px)
    elif cells.boxes_yxyx is not None:
        found[BOXES] = number
        cells = cells._replace(boxes_yxyx=None)
    if "masks" not in holds and cells.masks is not None:
        found[MASKS] = number
        cells = cells._replace(masks=None)
    lost.update({what: count for what, count in found.items() if count})
    return cells


def _boxed(
    cells: ImageCells, holds: Collection[str], box_px: float, found: Counter[str]
) -> ImageCells:
    """With boxes where the format needs them, or they were asked for."""
    if cells.boxes_yxyx is not None:
        return cells
    if box_px:
        found[DRAWN] = len(cells.labels)
        return with_boxes(cells, box_px)
    if "points" in holds:
        return cells
    if cells.masks is not None:
        found[AROUND] = len(cells.labels)
        return cells._replace(boxes_yxyx=around_masks(cells))
    raise errors.ConfigError(
        f"{cells.file}: the format has boxes alone, the cells are points: give --box "
        "PX, the side of a box around each, or another --to"
    )


def _need_masks(cells: ImageCells) -> None:
    if cells.masks is None:
        raise errors.ConfigError(
            f"{cells.file}: the format has masks alone, the cells have none: give "
            "another --to"
        )
