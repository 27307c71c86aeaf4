"""What is searched on annotated images: the filter's values, and a cut of classes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
import itertools
from typing import Any, NamedTuple

import numpy as np

from cellrec_jax.methods.blob_filter import blobs, signals
from cellrec_jax.metrics import matching

Track = Callable[[Iterable[Any], str], Iterable[Any]]


class Filter(NamedTuple):
    """How cells are found."""

    kind: str
    """One of `signals.SIGNALS`."""
    sigma: float
    """px."""
    distance: float
    """Least distance of two cells, in sigmas."""
    rim: bool = True
    """Whether maxima on the rim of an image are cells, cut by it."""


class Found(NamedTuple):
    """The best filter of a grid."""

    filter: Filter
    """The first in the grid's order among equally good ones."""
    f1: float
    """Of all images' counts, at `height`."""
    height: float
    """Least response of a cell where F1 is highest, the highest such one."""
    tried: int
    """Filters of the grid."""


class Stump(NamedTuple):
    """Tells two classes by one number."""

    cut: float
    above: int
    """The class, 0 or 1, of what is above the cut."""
    accuracy: float
    """Share of the given ones that it tells rightly."""


def find(
    image: np.ndarray, valid: np.ndarray, chosen: Filter, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Points [N, 2] px and responses [N] of an image f32 [H, W, C], best first."""
    signal = signals.signal(image, chosen.kind, chosen.sigma)
    heights = blobs.response(signal, chosen.sigma)
    found = blobs.peaks(heights, chosen.distance * chosen.sigma, valid, most)
    return found if chosen.rim else _off_the_rim(*found, valid)


def _off_the_rim(
    points_yx: np.ndarray, heights: np.ndarray, valid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    kept = blobs.off_the_rim(points_yx, valid)
    return points_yx[kept], heights[kept]


def search(
    images: Sequence[np.ndarray],
    points_yx: Sequence[np.ndarray],
    valid: Sequence[np.ndarray],
    radius_px: float,
    grid: tuple[Sequence[str], Sequence[float], Sequence[float]],
    *,
    most: int,
    track: Track = lambda items, _: items,
) -> Found:
    """The filter of kinds x sigmas x distances with the highest F1 at its best cut.

    Each with what is on the rim of the images and without it.

    Of each image f32 [H, W, C] in [0, 1], its cells [N, 2] and where they may be, bool
    [H, W]; cells are found within the radius. A ValueError where no image has a cell,
    or no filter finds one.
    """
    total = sum(map(len, points_yx))
    if not total:
        raise ValueError("no image has a cell: annotate some to search by")
    filters = list(itertools.starmap(Filter, itertools.product(*grid, (True, False))))
    rows: dict[Filter, list[np.ndarray]] = {chosen: [] for chosen in filters}
    work = list(zip(images, valid, points_yx, strict=True))
    for image, inside, true_yx in track(work, "filters on images"):
        for chosen, found_yx, heights in _candidates(image, inside, grid, most):
            hits = matching.ordered_matches(found_yx, true_yx, radius_px, heights)
            rows[chosen].append(np.stack([heights, hits], axis=1))
    found = [
        Found(f, *best_cut(np.concatenate(rows[f]), total), tried=len(filters))
        for f in filters
    ]
    best = max(found, key=lambda one: one.f1)  # the first of equal ones
    if not best.f1:
        raise ValueError(
            f"no filter finds one of the {total} cells: try another "
            "--config.model.signal, or --config.data.box_size=SIZE_OF_A_CELL"
        )
    return best


def _candidates(
    image: np.ndarray, valid: np.ndarray, grid: Any, most: int
) -> Iterator[tuple[Filter, np.ndarray, np.ndarray]]:
    """What each filter finds; those of one response share it."""
    kinds, sigmas, distances = grid
    for kind in kinds:
        signal = None
        for sigma in sigmas:
            if signal is None or kind == "contrast":  # the only one that reads sigma
                signal = signals.signal(image, kind, sigma)
            heights = blobs.response(signal, sigma)
            for distance in distances:
                found = blobs.peaks(heights, distance * sigma, valid, most)
                yield Filter(kind, sigma, distance), *found
                inner = _off_the_rim(*found, valid)
                yield Filter(kind, sigma, distance, rim=False), *inner


def best_cut(rows: np.ndarray, total: int) -> tuple[float, float]:
    """The highest F1 over cuts, and that cut, of rows (height, hit) for `total` cells.

    What has the cut's height counts as found. (0, 0) without rows.
    """
    if not len(rows):
        return 0.0, 0.0
    heights, hits = rows[np.argsort(-rows[:, 0], kind="stable")].T
    last = np.append(heights[1:] < heights[:-1], True)  # of those of one height
    f1 = 2 * np.cumsum(hits) / (np.arange(1, len(rows) + 1) + total)
    best = int(np.argmax(np.where(last, f1, -1)))
    return float(f1[best]), float(heights[best])


def stump(values: np.ndarray, labels: np.ndarray) -> Stump:
    """The cut with the highest accuracy, of values [N] with labels 0 or 1, N >= 1.

    Halfway between two values, or below all where one class for all is best. Of equally
    good ones the first, from the lowest.
    """
    order = np.argsort(values, kind="stable")
    values, ones = values[order], labels[order] == 1
    cuts = np.concatenate([[values[0] - 1], (values[1:] + values[:-1]) / 2])
    below = np.concatenate([[0], np.cumsum(ones)[:-1]])  # class 1 below each cut
    right = ones.sum() - below + (np.arange(len(values)) - below)
    usable = np.concatenate([[True], values[1:] > values[:-1]])
    right = np.where(usable, right / len(values), np.nan)
    tops = np.nanargmax(right), np.nanargmin(right)
    if right[tops[0]] >= 1 - right[tops[1]]:
        return Stump(float(cuts[tops[0]]), 1, float(right[tops[0]]))
    return Stump(float(cuts[tops[1]]), 0, float(1 - right[tops[1]]))
