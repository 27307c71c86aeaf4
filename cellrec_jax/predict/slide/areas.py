"""Areas of what was looked at on a slide, exact for regions of any size.

Scan lines lie in the middle of strips between all corners of regions and all rows of
the mask, so that what a line holds changes evenly within its strip. Along a line it is
measured to a fraction of a px. Only where outlines cross each other it is not exact:
there strips are a thousandth of the regions' height, or less.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from cellrec_jax import polygons
from cellrec_jax.polygons import Polygon
from cellrec_jax.predict.slide.roi import Regions
from cellrec_jax.predict.slide.tissue import Mask

_LEAST_STRIPS = 1024
_MOST_STRIPS = 2**15  # of more corners some share a strip


class _Parts(NamedTuple):
    """Parts of scan lines within regions, from top to bottom."""

    line: np.ndarray
    """int [P]."""
    ends_x: np.ndarray
    """f64 [P, 2] px of level 0."""


def measure(mask: Mask, regions: Regions, size_hw: Sequence[int]) -> float:
    """Px of level 0 of a mask that lie in regions and in the slide, H x W px.

    Regions that overlap count once, what is excluded does not count; where none is to
    be looked at, all of the slide is.
    """
    height, width = (float(side) for side in size_hw)
    include = regions.include or (polygons.rectangle(0, 0, height, width),)
    exclude = regions.exclude
    edges_y = _edges(mask, (*include, *exclude), include, height)
    if len(edges_y) < 2:
        return 0.0
    middle_y, strips = (edges_y[1:] + edges_y[:-1]) / 2, np.diff(edges_y)
    parts = _parts(include, exclude, middle_y)
    ends_x = parts.ends_x.clip(0, width)
    held = _Held(mask, middle_y)
    return float(held.lengths(parts.line, ends_x) @ strips[parts.line])


class _Held:
    """How much of a scan line a mask holds."""

    def __init__(self, mask: Mask, middle_y: np.ndarray) -> None:
        """`middle_y` f64 [L] of the lines, px of level 0."""
        inside, (down, self._across) = mask.inside, mask.native_px
        self._row = np.clip((middle_y / down).astype(np.int64), 0, len(inside) - 1)
        self._inside = inside
        self._before = np.zeros((len(inside), inside.shape[1] + 1), np.int32)
        np.cumsum(inside, axis=1, out=self._before[:, 1:])

    def lengths(self, line: np.ndarray, ends_x: np.ndarray) -> np.ndarray:
        """Px of level 0 that parts [P, 2] of lines [P] hold, f64 [P]."""
        row = self._row[line][:, None]
        place = np.clip(ends_x / self._across, 0, self._inside.shape[1])
        column = np.minimum(place.astype(np.int64), self._inside.shape[1] - 1)
        there = self._inside[row, column] * (place - column)
        until = (self._before[row, column] + there) * self._across
        found: np.ndarray = until[:, 1] - until[:, 0]
        return found


def _edges(
    mask: Mask,
    areas: Sequence[Polygon],
    include: Sequence[Polygon],
    height: float,
) -> np.ndarray:
    """Edges of strips in the rows that regions have, rising."""
    y0, _, y1, _ = polygons.bounds(include)
    top, bottom = max(float(y0), 0.0), min(float(y1), height)
    if bottom <= top:
        return np.zeros(0)
    found = np.concatenate(
        [
            np.linspace(top, bottom, _LEAST_STRIPS + 1),
            np.arange(len(mask.inside) + 1) * mask.native_px[0],
            *(ring[:, 0] for area in areas for ring in area),
        ]
    )
    found = np.unique(found[(found >= top) & (found <= bottom)])
    if len(found) > _MOST_STRIPS:
        kept = np.linspace(0, len(found) - 1, _MOST_STRIPS).round().astype(np.int64)
        found = found[kept]
    return found


def _parts(
    include: Sequence[Polygon], exclude: Sequence[Polygon], middle_y: np.ndarray
) -> _Parts:
    """Parts of lines at `middle_y` [L] that are included and not excluded."""
    entered = _crossings(include, middle_y)
    left_out = _crossings(exclude, middle_y)
    line, x, step = (np.concatenate(two) for two in zip(entered, left_out, strict=True))
    is_in = np.arange(len(line)) < len(entered[0])
    order = np.lexsort((x, line))
    line, x, step, is_in = line[order], x[order], step[order], is_in[order]
    included = np.cumsum(np.where(is_in, step, 0))
    excluded = np.cumsum(np.where(is_in, 0, step))
    # Steps of a line add up to 0: nothing is included from one line to the next.
    kept = np.flatnonzero((included > 0) & (excluded == 0))
    return _Parts(line[kept], np.stack([x[kept], x[kept + 1]], axis=1))


def _crossings(
    areas: Iterable[Polygon], middle_y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where lines at `middle_y` enter (1) and leave (-1) areas: line, x, step [C]."""
    lines, places, steps = [np.zeros(0, np.int64)], [np.zeros(0)], [np.zeros(0, int)]
    for area in areas:
        y0, x0 = np.concatenate(area).T
        y1, x1 = np.concatenate([np.roll(ring, -1, axis=0) for ring in area]).T
        first = np.searchsorted(middle_y, np.minimum(y0, y1))
        number = np.searchsorted(middle_y, np.maximum(y0, y1)) - first
        edge = np.repeat(np.arange(len(y0)), number)
        nth = np.arange(len(edge)) - np.repeat(np.cumsum(number) - number, number)
        line = first[edge] + nth
        share = (middle_y[line] - y0[edge]) / (y1[edge] - y0[edge])
        x = x0[edge] + share * (x1[edge] - x0[edge])
        order = np.lexsort((x, line))  # an even number on each line
        lines.append(line[order])
        places.append(x[order])
        steps.append(1 - 2 * (np.arange(len(order)) % 2))
    return np.concatenate(lines), np.concatenate(places), np.concatenate(steps)
