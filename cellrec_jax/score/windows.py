"""Fields of a fixed size with the most of something: hot spots, most mitoses.

Squares of any side whose corners lie on a grid of `STEP_MM`; counts in them are exact.
A square that may lie anywhere holds a little more: of 20 to 200 points scattered over
4 x 4 mm, and squares of 2 mm2, 4 % more on average, 3 points at most (100 draws).
"""

from typing import NamedTuple

import numpy as np

from cellrec_jax.score.definitions import Score

STEP_MM = 0.1


class Field(NamedTuple):
    """A square on an image."""

    corner_yx: tuple[float, float]
    """Upper left, mm from the origin of the cells' coordinates."""
    side_mm: float
    counts: np.ndarray
    """f64 [K] cells of each class."""

    def holds(self, points_yx: np.ndarray) -> np.ndarray:
        """Whether points [N, 2], mm, lie in it; bool [N]."""
        low = np.asarray(self.corner_yx)
        return np.all((points_yx >= low) & (points_yx < low + self.side_mm), axis=1)


def counts_in(
    points_yx: np.ndarray, labels: np.ndarray, num_classes: int, side_mm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Cells of each class in all squares that lie in the frame of the cells.

    Points [N, 2] in mm, N > 0; the frame is widened to the grid, and to one square.
    Returns the corner of the first square, f64 [2], and counts i32 [rows, columns, K]
    of squares `STEP_MM` apart.
    """
    # Of cells, not mm: `floor` of the same numbers decides where each cell counts.
    first = np.floor(points_yx.min(axis=0) / STEP_MM)
    last = np.floor(points_yx.max(axis=0) / STEP_MM) + 1
    reach = side_mm / STEP_MM
    shape = np.maximum(np.ceil(last - first - reach), 0).astype(np.int64) + 1
    places = points_yx / STEP_MM - first
    # Square i holds a point at p where i <= p < i + reach.
    stop = np.minimum(np.floor(places).astype(np.int64) + 1, shape)
    start = np.clip(np.floor(places - reach).astype(np.int64) + 1, 0, stop)
    edges = np.zeros((shape[0] + 1, shape[1] + 1, num_classes), np.int32)
    for rows, columns, sign in (
        (start[:, 0], start[:, 1], 1),
        (start[:, 0], stop[:, 1], -1),
        (stop[:, 0], start[:, 1], -1),
        (stop[:, 0], stop[:, 1], 1),
    ):
        np.add.at(edges, (rows, columns, labels), sign)
    counts = edges.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    return first * STEP_MM, counts[:-1, :-1]


def highest(
    points_yx: np.ndarray,
    labels: np.ndarray,
    score: Score,
    area_mm2: float,
    least_cells: float = 0.0,
) -> Field | None:
    """The square of `area_mm2` with the highest score, or with the most of a density.

    Points [N, 2] in mm. Of those with `least_cells` or more below the line; of equal
    ones that with more cells below it, then the first. None where there is no such
    square, or nothing above the line anywhere.
    """
    if not len(points_yx):
        return None
    side = float(np.sqrt(area_mm2))
    num_classes = len(score.above)
    corner, counts = counts_in(points_yx, labels, num_classes, side)
    flat = counts.reshape(-1, num_classes).astype(np.float64)
    value = score.value(flat, np.full(len(flat), area_mm2))
    above, below = score.lines(flat, np.full(len(flat), area_mm2))
    fits = (above > 0) & (below >= (0.0 if score.is_density else least_cells))
    if not fits.any():
        return None
    candidates = np.flatnonzero(fits)
    order = np.lexsort((-below[candidates], -value[candidates]))
    best = int(candidates[order[0]])
    row, column = np.unravel_index(best, counts.shape[:2])
    y, x = corner + np.array([row, column]) * STEP_MM
    return Field((float(y), float(x)), side, flat[best])
