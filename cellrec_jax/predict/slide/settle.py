"""Joins the cells of tiles, row by row of tiles, as if all were there at once.

A lesser cell near a better one is dropped. Whether it is depends on the better one's
own fate, so a cell is settled as soon as all better ones near it are, and none can
follow from rows below. What is settled is given away: memory stays that of a few rows.
"""

import numpy as np
from scipy import spatial

from cellrec_jax import cells as cell_lib
from cellrec_jax.cells import Cells

_KEPT, _DROPPED, _OPEN = 1, 0, 2


class Settler:
    """Cells of tiles go in, row after row; settled ones come out, px of the network.

    Two cells nearer than `min_distance` are one; so are two of different tiles nearer
    than `twins_px`. The better one stays, of equals the upper, then the left one.
    """

    def __init__(self, min_distance: float, twins_px: float) -> None:
        """Distances in px of the network; 0 drops nothing."""
        self._min_distance = min_distance
        self._twins = twins_px
        self._cells: Cells | None = None
        self._tiles = np.zeros(0, np.int64)

    @property
    def reach(self) -> float:
        """How far one cell matters to another, px."""
        return max(self._min_distance, self._twins)

    def add(self, found: Cells, tiles: np.ndarray, frontier: float) -> Cells:
        """Adds cells and gives all that are settled, from top to bottom.

        `tiles` int [M] tells which tile found each; all that will follow lie at rows of
        `frontier` or more (inf: none follow).
        """
        if self._cells is not None:
            found = cell_lib.concatenate([self._cells, found])
            tiles = np.concatenate([self._tiles, tiles])
        y, x = found.points_yx.T.astype(np.float64)
        order = np.lexsort((x, y, -found.scores.astype(np.float64)))
        found, tiles = cell_lib.select(found, order), tiles[order]
        fate = self._fates(found, tiles, frontier)
        self._cells = cell_lib.select(found, fate == _OPEN)
        self._tiles = tiles[fate == _OPEN]
        settled = cell_lib.select(found, fate == _KEPT)
        y, x = settled.points_yx.T
        return cell_lib.select(settled, np.lexsort((x, y)))

    def _fates(self, found: Cells, tiles: np.ndarray, frontier: float) -> np.ndarray:
        """_KEPT, _DROPPED or _OPEN of cells that are sorted, best first."""
        near = found.points_yx[:, 0] > frontier - self.reach
        fate = np.where(near, _OPEN, _KEPT).astype(np.int8)
        if not self.reach or len(found) < 2:
            return fate
        for better, worse in self._pairs(found, tiles):
            if fate[better] == _KEPT:
                fate[worse] = _DROPPED
            elif fate[better] == _OPEN and fate[worse] == _KEPT:
                fate[worse] = _OPEN
        return fate

    def _pairs(self, found: Cells, tiles: np.ndarray) -> list[list[int]]:
        """Pairs (better, worse) of which one stays, the best first."""
        points_yx = found.points_yx.astype(np.float64)
        tree = spatial.cKDTree(points_yx)
        pairs = tree.query_pairs(self.reach * (1 + 1e-9), output_type="ndarray")
        pairs = np.sort(pairs, axis=1)
        apart = np.hypot(*(points_yx[pairs[:, 0]] - points_yx[pairs[:, 1]]).T)
        other = tiles[pairs[:, 0]] != tiles[pairs[:, 1]]
        one = (apart < self._min_distance) | (other & (apart < self._twins))
        pairs = pairs[one]
        ordered: list[list[int]] = pairs[np.lexsort(pairs.T[::-1])].tolist()
        return ordered
