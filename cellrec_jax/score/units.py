"""What is drawn again for an interval: images, or squares of an image or slide.

Cells cluster, so cells are no independent draws, and neither are small squares. The
largest squares that still give an interval hold best: about `NUM_SQUARES` of what was
looked at. Of 300 simulated slides each, 18,000 cells whose index varies over 2, 5 and
10 % of the slide's side, 95 % intervals (`intervals.interval`) held the expected index
in these shares:

  16 squares                  0.96  0.91  0.83
  36 squares                  0.92  0.90  0.72
  144 squares                 0.89  0.77  0.47
  cells as independent draws  0.51  0.21  0.12

Where an index varies over a tenth of what was looked at or more, no squares can tell.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cellrec_jax.score.sheets import Sheet

NUM_SQUARES = 16
"""About as many of all that is looked at."""
LEAST_IMAGES = 6
"""Of fewer, squares are drawn in place of images."""
_FINE = 8  # parts of a square's side, of which those with cells measure its area


class Units(NamedTuple):
    """Parts that are drawn again, U of them."""

    counts: np.ndarray
    """f64 [U, K] cells of each class."""
    areas_mm2: np.ndarray
    """f64 [U]; NaN where unknown."""
    what: str
    """In words, such as "16 squares of 412 um"."""


def of_sheets(sheets: Sequence[Sheet], num_classes: int) -> Units:
    """Images where there are enough of them, else squares of each."""
    if len(sheets) >= LEAST_IMAGES:
        numbers = [np.bincount(one.labels, minlength=num_classes) for one in sheets]
        sizes = [np.nan if one.area_mm2 is None else one.area_mm2 for one in sheets]
        return Units(
            np.array(numbers, np.float64),
            np.array(sizes, np.float64),
            f"{len(sheets)} images",
        )
    number = -(-NUM_SQUARES // max(len(sheets), 1))
    parts = [_squares(one, num_classes, number) for one in sheets]
    counts = np.concatenate([np.zeros((0, num_classes)), *(one[0] for one in parts)])
    areas = np.concatenate([np.zeros(0), *(one[1] for one in parts)])
    sides = [one[2] for one in parts]
    mpps = [one.mpp for one in sheets]
    side = float(np.mean(sides)) if sides else 0.0
    size = f"{side:.0f} px"
    if mpps and all(mpps):
        size = f"{np.mean(np.multiply(sides, mpps)):.0f} um"
    return Units(counts, areas, f"{len(counts)} squares of about {size}")


def square_of(
    points_yx: np.ndarray, size_hw: Sequence[int] | np.ndarray, number: int
) -> tuple[np.ndarray, tuple[int, int]]:
    """Which of about `number` squares of an image holds each point; rows and columns.

    i64 [N] in 0 .. rows * columns - 1, row by row. The squares are all of one size, and
    as square as whole numbers of them allow.

    Example:
      >>> square_of(np.array([[10.0, 70.0], [99.0, 1.0]]), (100, 200), 8)
      (array([1, 4]), (2, 4))
    """
    height, width = (max(float(side), 1e-9) for side in size_hw)
    side = np.sqrt(height * width / number)
    rows, columns = max(round(height / side), 1), max(round(width / side), 1)
    places = np.floor(points_yx / (height, width) * (rows, columns)).astype(np.int64)
    row = np.clip(places[:, 0], 0, rows - 1)
    column = np.clip(places[:, 1], 0, columns - 1)
    return row * columns + column, (rows, columns)


def _squares(
    sheet: Sheet, num_classes: int, number: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Counts [U, K] and areas [U] of squares, and their side in px."""
    side = float(np.sqrt(sheet.area_px() / number))
    if sheet.size_hw is not None:
        index, (rows, columns) = square_of(sheet.points_yx, sheet.size_hw, number)
        total = rows * columns
        parts = np.full(total, 1 / total)
    elif side <= 0:
        index, parts = np.zeros(len(sheet.labels), np.int64), np.ones(1)
    else:
        index, parts = _on_grid(sheet.points_yx, side)
    counts = np.zeros((len(parts), num_classes))
    np.add.at(counts, (index, sheet.labels), 1)
    area = np.nan if sheet.area_mm2 is None else sheet.area_mm2
    return counts, parts * area, side


def _on_grid(points_yx: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray]:
    """The squares of a grid that hold cells: index [N], and shares [U] of the area.

    Where the tissue lies is not known: the parts of a square with cells stand for it.
    """
    if not len(points_yx):
        return np.zeros(0, np.int64), np.ones(1)
    fine = np.floor(points_yx / (side / _FINE)).astype(np.int64)
    places, index = np.unique(fine // _FINE, axis=0, return_inverse=True)
    held = np.unique(np.column_stack([index.ravel(), fine]), axis=0)[:, 0]
    num_fine = np.bincount(held, minlength=len(places))
    return index.ravel(), num_fine / num_fine.sum()
