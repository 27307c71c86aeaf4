"""Text files of YOLO: a line a cell, a class number and shares of the image.

`class cx cy width height`, perhaps with a confidence; corners of a turned box or of an
outline, `class x1 y1 x2 y2 x3 y3 ...`; or a box and key points: the box counts.

References:
  https://docs.ultralytics.com/datasets/detect, .../segment, .../obb, .../pose
"""

from collections.abc import Sequence
import math

from etils.epath import Path
import numpy as np

from cellrec_jax import polygons
from cellrec_jax.data.annotations.content import NO_POINTS, Annotations, Shape, collect
from cellrec_jax.data.text import read_text
from cellrec_jax.errors import DataError

_FARTHEST = 0.5  # outside, of the image
_DIGITS = 4  # of px


def parse(
    file: Path,
    size_hw: tuple[int, int],
    class_names: Sequence[str] = (),
    *,
    has_key_points: bool = False,
) -> Annotations:
    """Reads the cells of an image of this size; no lines are no cells.

    Classes without a name have their number. A `DataError` names the line at fault.
    """
    shapes = []
    for number, line in enumerate(read_text(file).split("\n"), 1):
        if words := line.split():
            where = f"{file} line {number}"
            shapes.append(_cell(words, size_hw, class_names, where, has_key_points))
    return collect(shapes)


def _cell(
    words: Sequence[str],
    size_hw: tuple[int, int],
    class_names: Sequence[str],
    where: str,
    has_key_points: bool,
) -> Shape:
    try:
        kind, *values = map(float, words)
    except ValueError as error:
        raise DataError(f"{where}: {' '.join(words)!r} are no numbers") from error
    if not 0 <= kind < 1e6 or not kind.is_integer():
        raise DataError(f"{where}: '{words[0]}' is no class number")
    label = int(kind)
    if class_names and label >= len(class_names):
        raise DataError(
            f"{where}: class {label}, but only {len(class_names)} are named, from 0 on"
        )
    name = class_names[label] if class_names else str(label)
    is_box = len(values) in (4, 5) or (has_key_points and len(values) > 5)
    if not is_box and (len(values) < 6 or len(values) % 2):
        raise DataError(
            f"{where}: {len(words)} numbers; write class cx cy width height, or corners"
        )
    shares_xy = np.array(values[:4] if is_box else values).reshape(-1, 2)
    if not (np.abs(shares_xy - 0.5) <= 0.5 + _FARTHEST).all():
        raise DataError(
            f"{where}: {' '.join(words)!r} are no shares of the image between 0 and 1"
        )
    places_yx = shares_xy[:, ::-1] * size_hw
    if not is_box:
        return Shape(name, NO_POINTS, ((places_yx,),), is_cell=True)
    middle, size = places_yx
    # Few digits are written: a side at the border would lie outside by their rounding.
    low, high = (middle - size / 2).round(_DIGITS), (middle + size / 2).round(_DIGITS)
    area = (polygons.rectangle(*low, *high),)
    score = values[4] if len(values) == 5 else math.nan
    return Shape(name, NO_POINTS, area, score, is_cell=True)
