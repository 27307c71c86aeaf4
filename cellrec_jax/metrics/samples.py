"""Values of a metric in a set of images and in sets drawn from it.

Axis S of every array: row 0 is the set, the others bootstrap draws. NaN is undefined.
"""

from collections.abc import Sequence
import math
import statistics
from typing import Any

import numpy as np

ByClass = dict[str, tuple[np.ndarray, np.ndarray]]
"""Metric name -> ([S] of all classes together, [S, K] per class); NaN where undefined.
"""


def draw(num_images: int, num_bootstrap: int, seed: int) -> np.ndarray:
    """Draws sets with replacement: int64 [S, I], how often each has each image.

    Row 0 is all ones, rows sum to I; one row alone for fewer than two images.
    """
    itself = np.ones((1, num_images), np.int64)
    if num_images < 2:
        return itself
    share = np.full(num_images, 1 / num_images)
    drawn = np.random.default_rng(seed).multinomial(num_images, share, num_bootstrap)
    return np.concatenate([itself, drawn])


def interval(drawn: np.ndarray, level: float = 0.95) -> tuple[float | None, ...]:
    """Central interval (low, high) of samples [R]; None where none is defined."""
    defined = drawn[np.isfinite(drawn)]
    if len(defined) == 0:
        return None, None
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def wilson(
    successes: int, trials: int, level: float = 0.95
) -> tuple[float | None, float | None]:
    """Wilson's interval (low, high) of a share of independent trials; None of none.

    References:
      Wilson, Probable inference, the law of succession, and statistical inference,
      1927.

    Example:
      >>> low, high = wilson(8, 10)
      >>> round(low, 4), round(high, 4)
      (0.4902, 0.9433)
    """
    if not trials:
        return None, None
    z = statistics.NormalDist().inv_cdf((1 + level) / 2)
    middle = successes + z**2 / 2
    half = z * math.sqrt(successes * (trials - successes) / trials + z**2 / 4)
    low, high = ((middle + side) / (trials + z**2) for side in (-half, half))
    return max(low, 0.0), min(high, 1.0)


def entry(
    values: np.ndarray, *, num_images: int, num_truth: int, num_predicted: int
) -> dict[str, Any]:
    """`value`, `low`, `high` (float or None) of values [S], and what they stand on."""
    value = number(values[0])
    low, high = interval(values[1:])
    if value is None:
        low = high = None
    return {
        "value": value,
        "low": low,
        "high": high,
        "num_images": int(num_images),
        "num_truth": int(num_truth),
        "num_predicted": int(num_predicted),
    }


def entries(
    found: ByClass,
    class_names: Sequence[str],
    num_predicted: np.ndarray,
    num_truth: np.ndarray,
    num_images: int,
) -> dict[str, dict[str, Any]]:
    """Name, and `NAME/CLASS` of several classes, -> `entry`; counts are [K]."""
    described = {}
    for name, (together, by_class) in found.items():
        described[name] = entry(
            together,
            num_images=num_images,
            num_truth=num_truth.sum(),
            num_predicted=num_predicted.sum(),
        )
        if len(class_names) == 1:
            continue
        for label, class_name in enumerate(class_names):
            described[f"{name}/{class_name}"] = entry(
                by_class[:, label],
                num_images=num_images,
                num_truth=num_truth[label],
                num_predicted=num_predicted[label],
            )
    return described


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Divides in float64, elementwise; NaN where `below` is 0."""
    below = np.broadcast_to(below, above.shape)
    out = np.full(above.shape, np.nan)
    return np.divide(above, below, out=out, where=below > 0)


def mean_defined(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis without its NaNs; NaN where all are."""
    defined = np.isfinite(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))


def number(value: float) -> float | None:
    """A float for JSON; None where undefined."""
    return float(value) if np.isfinite(value) else None
