"""Images that lack cells, or a class of them, and those of very many or few."""

from collections.abc import Iterator, Sequence

import numpy as np

from cellrec_jax.check.facts import Facts
from cellrec_jax.check.rules import Finding, finding

_USUAL = 0.9  # of the images have some
_FULL = 5.0  # cells of the median image that has some
_FEW = 0.25  # of the median; as many are a tail that reaches 0
_LEAST_IMAGES = 8
_DEVIATIONS = 6.0  # of the roots of counts, robust
_LEAST_SPREAD = 1.0  # of counts by chance it is 1


def missing(images: Sequence[Facts], class_names: Sequence[str]) -> list[Finding]:
    """Images without cells, or without those of a class, that others are full of.

    Nine of ten images have some, `_FULL` or more in the median, and more images have
    none than have a few: what is rare now and then is not told.
    """
    if len(images) < _LEAST_IMAGES:
        return []
    areas = np.array([one.counted_px for one in images], np.float64)
    totals = np.array([len(one.labels) for one in images])
    empty, usual = _lacking(totals, areas)
    found = [
        finding(
            "image-empty",
            images[index].image_id,
            f"no cell, of {usual:.0f} in such an image",
        )
        for index in empty
    ]
    if len(class_names) < 2:
        return found
    for label, name in enumerate(class_names):
        counts = np.array([int((one.labels == label).sum()) for one in images])
        lacking, usual = _lacking(counts, areas)
        for index in lacking:
            if totals[index]:
                text = f"no {name}, of {usual:.0f} in such an image"
                found.append(finding("class-missing", images[index].image_id, text))
    return found


def _lacking(counts: np.ndarray, areas: np.ndarray) -> tuple[list[int], float]:
    """Indices of images that lack cells, by counts [I] and areas [I] px; the median."""
    some = counts > 0
    if some.mean() < _USUAL or some.all():
        return [], 0.0
    density = float(np.median(counts[some] / areas[some]))
    expected = density * areas
    usual = float(np.median(expected))
    if usual < _FULL:
        return [], usual
    lacking = np.flatnonzero(~some & (expected >= _FULL))
    few = some & (counts <= _FEW * expected)
    return (lacking.tolist() if len(lacking) > few.sum() else []), usual


def odd(images: Sequence[Facts]) -> Iterator[Finding]:
    """Images of far more or fewer cells an area than most that have some.

    The root of a count of cells has the same spread, whatever the count.
    """
    some = [one for one in images if len(one.labels) and one.counted_px]
    if len(some) < _LEAST_IMAGES:
        return
    areas = np.array([one.counted_px for one in some], np.float64)
    numbers = np.array([len(one.labels) for one in some])
    usual = np.median(areas)
    roots = 2 * np.sqrt(numbers * usual / areas)
    median = np.median(roots)
    spread = max(1.4826 * np.median(np.abs(roots - median)), _LEAST_SPREAD)
    expected = (median / 2) ** 2 * areas / usual
    for index in np.flatnonzero(np.abs(roots - median) > _DEVIATIONS * spread).tolist():
        text = f"{numbers[index]} cells, where {expected[index]:.0f} are usual"
        yield finding("count-odd", some[index].image_id, text)
