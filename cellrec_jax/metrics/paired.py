"""F1 of two trainings on the same images: the difference, not each with its noise."""

from typing import NamedTuple

import numpy as np

from cellrec_jax.metrics import counting, samples


class Difference(NamedTuple):
    """Of a measure; None where it is undefined."""

    value: float | None
    low: float | None
    """Bootstrap 95 % interval over images, seeds averaged in each draw."""
    high: float | None
    by_seed: tuple[float, ...]
    """Of each seed in which it is defined."""


class Differences(NamedTuple):
    """One class's F1, first less second."""

    total: Difference
    """Of F1 of the counts of all images together."""
    mean: Difference
    """The mean over images of an image's difference, averaged over seeds."""
    num_skipped: int
    """Pairs of an image and a seed without an F1 of the class in either training."""


def compare(
    first: counting.PointCounts,
    second: counting.PointCounts,
    *,
    num_bootstrap: int = 1000,
    seed: int = 0,
    empty_is_one: bool = False,
) -> Differences:
    """Compares two trainings by the counts of a class, int64 [I, D]: images, seeds.

    An image has no F1 where it has neither cells nor predictions, or 1
    (`empty_is_one`); it counts where both trainings have one. `seed` draws images.
    """
    weights = samples.draw(len(first.num_truth), num_bootstrap, seed)
    total = _pooled_f1(first, weights) - _pooled_f1(second, weights)
    own = counting.image_f1(first, empty_is_one=empty_is_one)
    own = own - counting.image_f1(second, empty_is_one=empty_is_one)
    averaged = counting.mean_f1(samples.mean_defined(own)[:, None], weights)
    return Differences(
        _difference(samples.mean_defined(total), total[0]),
        _difference(averaged[:, 0], counting.mean_f1(own, weights[:1])[0]),
        int(np.isnan(own).sum()),
    )


def _pooled_f1(counts: counting.PointCounts, weights: np.ndarray) -> np.ndarray:
    """Of drawn sets and seeds, [S, D]."""
    return counting.ratios(counting.pool(counts, weights))["F1"]


def _difference(drawn: np.ndarray, by_seed: np.ndarray) -> Difference:
    """Of values [S], the set itself first, and those of seeds [D]."""
    value = samples.number(drawn[0])
    low, high = (None, None) if value is None else samples.interval(drawn[1:])
    return Difference(
        value, low, high, tuple(float(one) for one in by_seed[np.isfinite(by_seed)])
    )
