"""Counts of cells corrected by what a model gets wrong in annotated fields.

Fields of the same laboratory say which share of the cells of class k is found as class
j, R[k, j], and which share of the detections of class j is at no cell, f[j]. What is
found of n cells is then m, with (1 - f[j]) m[j] = sum_k n[k] R[k, j], which is solved
for n >= 0 (least squares where n would be negative). The share of positive cells may
differ between fields and slide: R does not depend on it, as predictive values would.

It holds where cells are as hard to find in the slide as in the fields, whatever their
share, and where as large a part of what is found of a class is no cell. False
detections go with those of their class: over seven images of BCData and six models
their numbers correlate by 0.84 and 0.85, with detections of the other class by 0.05 and
-0.34. Four of these images that correct the three others, in all ways, leave a mean
error of the index of 0.025 and a bias of -0.002; uncorrected these are 0.023 and
-0.018. Were false detections a part of those of all classes, they would be 0.031 and
-0.003, and the bias 0.034 where images of few positive cells correct those of many,
-0.054 the other way (here -0.022 and 0.012).

Of 200 simulated slides (0.24 of the cells positive, seen as 0.16) 95 % intervals held
the truth in 0.92 with 8 fields and with 20; where what is found of positive cells
varies between fields, by 0.1, in 0.94 and 0.95, with 4 fields cut into squares in 0.93.

References:
  Rogan and Gladen, Estimating prevalence from the results of a screening test, American
  Journal of Epidemiology 1978: two classes, none of them missed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize

from cellrec_jax import errors
from cellrec_jax.metrics import counting, matching
from cellrec_jax.metrics.results import ImageResult
from cellrec_jax.score import intervals, units

LEAST_CELLS = counting.LEAST_OF_A_CLASS
"""Annotated cells of a class below which nothing is corrected."""
_LEAST_FOUND = 20  # of these
_ROUNDING = 1e-9  # of the cells that are found
_MOST_CONDITION = 20.0
"""Largest over smallest singular value of who is taken for whom, of cells that are
found; twenty times what would be lost by rounding is lost by mistaking classes."""


class Mistakes(NamedTuple):
    """What a model makes of the cells of annotated fields."""

    counts: np.ndarray
    """f64 [F, K + 1, K + 1], a part of the fields each: annotated (row) against
    predicted class; last column missed cells, last row false detections."""
    num_fields: int
    what: str
    """The parts in words."""


def measure(
    results: Sequence[ImageResult],
    sizes_hw: Sequence[tuple[int, int]],
    num_classes: int,
    radius_px: float,
    *,
    protocol: str = "max",
    strict: bool = False,
) -> Mistakes:
    """Compares predictions, all of them cells, with annotations, field by field.

    Matched whatever the class, as `recognition.confusion_matrices`. Fewer than
    `units.LEAST_IMAGES` fields are cut into squares, about `units.NUM_SQUARES` in all.
    """
    by_field = len(results) >= units.LEAST_IMAGES
    number = 1 if by_field else -(-units.NUM_SQUARES // max(len(results), 1))
    parts = [np.zeros((0, num_classes + 1, num_classes + 1))]
    for result, size_hw in zip(results, sizes_hw, strict=True):
        annotated, predicted, places_yx = _outcomes(
            result, num_classes, radius_px, protocol, strict
        )
        index, (rows, columns) = units.square_of(places_yx, size_hw, number)
        one = np.zeros((rows * columns, num_classes + 1, num_classes + 1))
        np.add.at(one, (index, annotated, predicted), 1)
        parts.append(one)
    counts = np.concatenate(parts)
    what = "fields" if by_field else f"squares of {len(results)} fields"
    return Mistakes(counts, len(results), f"{len(counts)} {what}")


def _outcomes(
    result: ImageResult, num_classes: int, radius_px: float, protocol: str, strict: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Annotated and predicted class, K for none, and place of each cell or mistake."""
    kept = ~result.pred_ignored
    points_yx, labels = result.pred_points_yx[kept], result.pred_labels[kept]
    pairs = matching.match_points(
        points_yx,
        result.true_points_yx,
        radius_px,
        method=protocol,
        strict=strict,
        scores=result.pred_scores[kept],
    )
    found_as = np.full(len(result.true_labels), num_classes)
    found_as[pairs[:, 1]] = labels[pairs[:, 0]]
    false = np.delete(np.arange(len(labels)), pairs[:, 0])
    return (
        np.concatenate([result.true_labels, np.full(len(false), num_classes)]),
        np.concatenate([found_as, labels[false]]),
        np.concatenate([result.true_points_yx, points_yx[false]]).reshape(-1, 2),
    )


def refuse(mistakes: Mistakes, class_names: Sequence[str]) -> None:
    """Raises a DataError where fields cannot tell what to correct."""
    total = mistakes.counts.sum(axis=0)
    cells, found = total[:-1].sum(axis=1), total[:-1, :-1]
    for name, number, hits in zip(class_names, cells, found.sum(axis=1), strict=True):
        if number < LEAST_CELLS:
            raise errors.DataError(
                f"--calibrate: {number:.0f} annotated cells of {name}, fewer than the "
                f"{LEAST_CELLS} that it takes: annotate more fields"
            )
        if hits < _LEAST_FOUND:
            raise errors.DataError(
                f"--calibrate: of {number:.0f} annotated cells of {name} {hits:.0f} "
                f"are found, fewer than the {_LEAST_FOUND} that it takes: this model "
                "cannot be corrected there; train it on that laboratory's images"
            )
    taken_for = found / found.sum(axis=1, keepdims=True)
    if np.linalg.cond(taken_for) > _MOST_CONDITION:
        raise errors.DataError(
            "--calibrate: the model hardly tells the classes apart there, so that "
            "counts cannot be corrected; train it on that laboratory's images"
        )


class Solver(NamedTuple):
    """What turns predicted into corrected counts, of S draws of the fields."""

    shares: np.ndarray
    """f64 [S, K, K], predicted (row) of annotated classes; NaN where there are none."""
    inverse: np.ndarray
    """Its pseudo-inverse; a draw may lack what tells two classes apart."""
    false: np.ndarray
    """f64 [S, K], false detections of each class, as a part of its detections."""


def solver(mistakes: np.ndarray) -> Solver:
    """Of sums [S, K + 1, K + 1] of `Mistakes.counts`."""
    cells = mistakes[:, :-1].sum(axis=2)[:, :, None]
    shares = np.full_like(mistakes[:, :-1, :-1], np.nan)
    np.divide(mistakes[:, :-1, :-1], cells, out=shares, where=cells > 0)
    shares = shares.transpose(0, 2, 1)
    defined = np.isfinite(shares).all(axis=(1, 2))
    inverse = np.full_like(shares, np.nan)
    inverse[defined] = np.linalg.pinv(shares[defined])
    detected = mistakes[:, :, :-1].sum(axis=1)
    return Solver(shares, inverse, mistakes[:, -1, :-1] / np.maximum(detected, 1))


def corrected(found: np.ndarray, by: Solver) -> np.ndarray:
    """Cells of each class, f64 [S, K], of predicted ones [S, K]; NaN where undefined.

    One of the two may have a single row, for all.

    Example:
      >>> seen = np.array([[[40.0, 10, 50], [0, 80, 20], [0, 0, 0]]])
      >>> corrected(np.array([[40.0, 90.0]]), solver(seen)).round(6).tolist()
      [[100.0, 100.0]]
    """
    right = found * (1 - by.false)
    out = (by.inverse @ right[:, :, None])[..., 0]
    shares = np.broadcast_to(by.shares, (len(out), *by.shares.shape[1:]))
    least = -_ROUNDING * found.sum(axis=1, keepdims=True)
    for i in np.flatnonzero((out < least).any(axis=1)):
        out[i] = optimize.nnls(shares[i], right[i])[0]
    return np.maximum(out, 0)


def num_units(spread: Sequence[np.ndarray], numbers: Sequence[float]) -> float:
    """As how many units independent sources of error count together.

    Welch and Satterthwaite's degrees of freedom of the sum, and one. `spread` are a
    score's draws by each source alone, `numbers` their units.
    """
    variances = []
    for drawn in spread:
        defined = drawn[np.isfinite(drawn)]
        variances.append(float(defined.var()) if len(defined) else 0.0)
    if not sum(variances):
        return float(min(numbers))
    below = sum(
        variance**2 / max(number - 1, 1e-9)
        for variance, number in zip(variances, numbers, strict=True)
    )
    return 1 + sum(variances) ** 2 / below


def draw(mistakes: Mistakes, seed: int = 1) -> Solver:
    """Of sets of fields, drawn again; the first is all of them."""
    flat = mistakes.counts.reshape(len(mistakes.counts), -1)
    drawn = intervals.totals(flat, seed)
    return solver(drawn.reshape(len(drawn), *mistakes.counts.shape[1:]))


def only(by: Solver, rows: slice) -> Solver:
    """Some of the draws."""
    return Solver(by.shares[rows], by.inverse[rows], by.false[rows])
