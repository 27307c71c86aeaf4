"""F1 of each class over the radius within which a detection is right.

As Zhang et al., ISBI 2022, Table 1 and Fig. 3: `total_F1` is of the counts of all
images together, `mean_F1` the mean of the images' own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cellrec_jax.metrics import counting, samples
from cellrec_jax.metrics import results as results_lib


def table(
    results: Sequence[results_lib.ImageResult],
    class_names: Sequence[str],
    radii_px: Sequence[float],
    *,
    thresholds: np.ndarray,
    num_bootstrap: int = 1000,
    seed: int = 0,
    protocol: str = "max",
    strict: bool = False,
    empty_is_one: bool = False,
) -> dict[str, Any]:
    """Curves with bootstrap 95 % intervals over images, for JSON.

    `radii_px` (rising), and for each class `total_F1` and `mean_F1`: `value`, `low` and
    `high` at each radius (None where undefined), `area`, the mean height of the curve
    by trapezoids, with its interval, and `num_images`, those that the mean is of. An
    image without cells and predictions of a class has no F1 of it and is left out, or
    has 1 (`empty_is_one`).
    """
    weights = samples.draw(len(results), num_bootstrap, seed)
    rule: dict[str, Any] = {"protocol": protocol, "strict": strict}
    by_radius = [
        counting.point_counts(results, thresholds, radius, **rule)
        for radius in radii_px
    ]
    total = [
        counting.ratios(counting.pool(counts, weights))["F1"] for counts in by_radius
    ]
    own = [counting.image_f1(counts, empty_is_one=empty_is_one) for counts in by_radius]
    mean = [counting.mean_f1(f1, weights) for f1 in own]
    num_images = np.isfinite(own[0]).sum(axis=0)
    return {
        "radii_px": [float(radius) for radius in radii_px],
        "empty_is_one": empty_is_one,
        "classes": {
            name: {
                "num_images": int(num_images[label]),
                "total_F1": _curve(np.stack(total)[..., label], radii_px),
                "mean_F1": _curve(np.stack(mean)[..., label], radii_px),
            }
            for label, name in enumerate(class_names)
        },
    }


def _curve(values: np.ndarray, radii_px: Sequence[float]) -> dict[str, Any]:
    """Of values [R, S]: each radius's, and the area of each sample's curve."""
    radii = np.asarray(radii_px, np.float64)
    if len(radii) > 1:
        area = np.trapezoid(values, radii, axis=0) / (radii[-1] - radii[0])
    else:
        area = values[0]
    rows = [_interval(row) for row in values]
    names = ("value", "low", "high")
    curve: dict[str, Any] = {
        name: [row[i] for row in rows] for i, name in enumerate(names)
    }
    return {**curve, "area": dict(zip(names, _interval(area), strict=True))}


def _interval(values: np.ndarray) -> tuple[float | None, ...]:
    value = samples.number(values[0])
    return (value, *((None, None) if value is None else samples.interval(values[1:])))
