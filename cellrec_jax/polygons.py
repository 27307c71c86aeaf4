"""Outlines of areas: where they lie, which pixels they hold, and back. NumPy.

A polygon is a tuple of rings, each [N, 2] (y, x) in px without or with its first corner
again at the end: an outline, then holes. Inside is what an odd number of rings hold.
"""

from collections.abc import Iterable, Sequence
import math

import numpy as np
from scipy import ndimage

Polygon = tuple[np.ndarray, ...]

_CORNERS = 32  # of an ellipse


def rectangle(y0: float, x0: float, y1: float, x1: float) -> Polygon:
    """The area of a box."""
    return (np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)], np.float64),)


def ellipse(
    center_yx: np.ndarray | Sequence[float],
    radii_yx: np.ndarray | Sequence[float],
    degrees: float = 0.0,
) -> Polygon:
    """An ellipse as 32 corners, `degrees` clockwise as a picture shows it."""
    angles = 2 * np.pi * np.arange(_CORNERS) / _CORNERS
    ring_yx = np.stack([np.sin(angles), np.cos(angles)], 1) * np.asarray(radii_yx)
    return (turned(ring_yx, degrees) + np.asarray(center_yx, np.float64),)


def turned(
    points_yx: np.ndarray,
    degrees: float,
    around_yx: np.ndarray | Sequence[float] = (0.0, 0.0),
) -> np.ndarray:
    """Points [N, 2] after a turn, clockwise as a picture shows it.

    Example:
      >>> turned(np.array([[0.0, 2.0]]), 90).round(6).tolist()
      [[2.0, 0.0]]
    """
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    origin = np.asarray(around_yx, np.float64)
    y, x = (np.asarray(points_yx, np.float64) - origin).T
    return np.stack([cosine * y + sine * x, cosine * x - sine * y], 1) + origin


def area(polygon: Polygon) -> float:
    """Px of its outline less those of its holes."""
    outline, *holes = (abs(_moments(ring)[0]) for ring in polygon)
    return outline - sum(holes)


def center(*polygons: Polygon) -> np.ndarray:
    """Centre of area of one polygon or of several together, f64 [2].

    Mean of the corners where they have no area.

    Example:
      >>> center(rectangle(1, 2, 5, 4)).tolist()
      [3.0, 3.0]
    """
    origin = polygons[0][0][0]
    total, moment = 0.0, np.zeros(2)
    for polygon in polygons:
        for index, ring in enumerate(polygon):
            signed_area, six_moments = _moments(ring, origin)
            sign = math.copysign(1, signed_area) * (-1 if index else 1)
            total += sign * signed_area
            moment += sign * six_moments / 6
    if abs(total) < 1e-9:
        ring = polygons[0][0]
        is_closed = len(ring) > 1 and (ring[0] == ring[-1]).all()
        found: np.ndarray = ring[: len(ring) - is_closed].mean(axis=0)
        return found
    return origin + moment / total


def touching(polygons: Sequence[Polygon]) -> list[list[Polygon]]:
    """Groups of polygons whose outlines share corners, directly or through others."""
    groups: list[tuple[set[tuple[float, ...]], list[Polygon]]] = []
    for polygon in polygons:
        corners, members = set(map(tuple, polygon[0].tolist())), [polygon]
        apart = []
        for group in groups:
            if corners.isdisjoint(group[0]):
                apart.append(group)
            else:
                corners |= group[0]
                members += group[1]
        groups = [*apart, (corners, members)]
    return [members for _, members in groups]


def bounds(polygons: Iterable[Polygon]) -> np.ndarray:
    """The box around areas, f64 [4] (y0, x0, y1, x1)."""
    corners = np.concatenate([polygon[0] for polygon in polygons])
    return np.concatenate([corners.min(0), corners.max(0)])


def inside(polygon: Polygon, points_yx: np.ndarray) -> np.ndarray:
    """Whether points [M, 2] lie inside, bool [M]."""
    order = np.argsort(points_yx[:, 0])  # an edge is crossed by rows between its ends
    y, x = points_yx[order].T
    crossed = np.zeros(len(points_yx), bool)
    for ring in polygon:
        y0, x0 = ring.T
        y1, x1 = np.roll(ring, -1, axis=0).T
        starts = np.searchsorted(y, np.minimum(y0, y1))
        ends = np.searchsorted(y, np.maximum(y0, y1))
        for i in np.flatnonzero(ends > starts):
            rows = slice(starts[i], ends[i])
            slope = (x1[i] - x0[i]) / (y1[i] - y0[i])
            crossed[rows] ^= x[rows] < x0[i] + (y[rows] - y0[i]) * slope
    found = np.empty_like(crossed)
    found[order] = crossed
    return found


def fill(polygons: Iterable[Polygon], size_hw: tuple[int, int]) -> np.ndarray:
    """Marks the pixels whose middle lies in any of the polygons, bool [H, W].

    Example:
      >>> fill([rectangle(0, 1, 1.6, 3)], (2, 4)).astype(int).tolist()
      [[0, 1, 1, 0], [0, 1, 1, 0]]
    """
    height, width = size_hw
    filled = np.zeros(size_hw, bool)
    for polygon in polygons:
        rows = np.concatenate([ring[:, 0] for ring in polygon])
        first = int(np.clip(math.ceil(rows.min() - 0.5), 0, height))
        last = int(np.clip(math.ceil(rows.max() - 0.5), first, height))
        # Each edge changes all that is right of it, in the rows it crosses.
        changes = np.zeros((last - first, width + 1), np.uint8)
        for ring in polygon:
            _add_crossings(ring, first, changes)
        inner = np.cumsum(changes, axis=1, dtype=np.uint8)[:, :width] % 2
        filled[first:last] |= inner.astype(bool)
    return filled


def outlines(mask: np.ndarray) -> list[Polygon]:
    """Polygons along the px of a mask [H, W], one for each 4-connected part.

    `fill` of them is the mask again; rings are simple and touch at corners at most.
    """
    parts, _ = ndimage.label(mask)
    found = []
    for number, window in enumerate(ndimage.find_objects(parts), 1):
        part = np.pad(parts[window] == number, 1)
        rings = [ring.astype(np.float64) for ring in _rings(part)]
        rings.sort(key=lambda ring: -abs(_moments(ring)[0]))
        shift = np.array([window[0].start - 1, window[1].start - 1])
        found.append(tuple(ring + shift for ring in rings))
    return found


def _moments(
    ring: np.ndarray, origin: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """Signed area, and six times its first moments from `origin` or a corner on."""
    start = ring - (ring[0] if origin is None else origin)
    end = np.roll(start, -1, axis=0)
    cross = start[:, 0] * end[:, 1] - end[:, 0] * start[:, 1]
    return float(cross.sum()) / 2, (start + end).T @ cross


def _add_crossings(ring: np.ndarray, first: int, changes: np.ndarray) -> None:
    """Counts in `changes`, rows from `first` on, where a ring crosses their middle."""
    num_rows, num_columns = changes.shape
    y0, x0 = ring.T
    y1, x1 = np.roll(ring, -1, axis=0).T
    low, high = np.minimum(y0, y1), np.maximum(y0, y1)
    starts = np.clip(np.ceil(low - 0.5) - first, 0, num_rows).astype(int)
    ends = np.clip(np.ceil(high - 0.5) - first, 0, num_rows).astype(int)
    for i in np.flatnonzero(ends > starts):
        rows = np.arange(starts[i], ends[i])
        at_x = x0[i] + (rows + first + 0.5 - y0[i]) * (x1[i] - x0[i]) / (y1[i] - y0[i])
        columns = np.clip(np.ceil(at_x - 0.5), 0, num_columns - 1).astype(int)
        changes[rows, columns] += 1


def _rings(part: np.ndarray) -> list[np.ndarray]:
    """Rings of corners along the edges of a padded mask, the mask on their right."""
    steps: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (dy, dx), (from_y, from_x), (to_y, to_x) in (
        ((-1, 0), (0, 0), (0, 1)),  # above is outside: go right
        ((0, 1), (0, 1), (1, 1)),  # right of it: go down
        ((1, 0), (1, 1), (1, 0)),
        ((0, -1), (1, 0), (0, 0)),
    ):
        edges = part & ~np.roll(part, (-dy, -dx), (0, 1))
        for y, x in np.argwhere(edges).tolist():
            start, end = (y + from_y, x + from_x), (y + to_y, x + to_x)
            steps.setdefault(start, []).append(end)
    rings = []
    while steps:
        start = min(steps)
        ring: list[tuple[int, int]] = []
        before = at = start
        while not ring or at != start:
            ends = steps[at]
            # Where parts touch at a corner, turning left keeps rings simple.
            turn = (at[0] - before[0], at[1] - before[1])
            left = (at[0] - turn[1], at[1] + turn[0])
            end = left if left in ends and len(ends) > 1 else ends[0]
            ends.remove(end)
            if not ends:
                del steps[at]
            ring.append(at)
            before, at = at, end
        corners = np.array(ring)
        ahead = np.roll(corners, -1, axis=0) - corners
        rings.append(corners[(ahead != np.roll(ahead, 1, axis=0)).any(axis=1)])
    return rings
