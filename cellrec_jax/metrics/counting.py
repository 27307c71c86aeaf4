"""Cells counted, and the score above which a detection is worth counting."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from cellrec_jax.metrics import matching, samples
from cellrec_jax.metrics import results as results_lib

DEFAULT_THRESHOLD = 0.5
"""Score threshold of a class where no validation cell or no match can choose one."""
LEAST_LABELS = 20
"""Labels of all classes below which nothing is fitted."""
LEAST_OF_A_CLASS = 50
"""Labels of each class below which all have one threshold."""


Rule = Callable[[Any, Any, Any], np.ndarray]
"""(matched, predicted, annotated cells) -> what a threshold is to maximise; NaN where
undefined."""


class PointCounts(NamedTuple):
    """Cells of each image and class at the operating thresholds, int64 [I, K]."""

    num_matched: np.ndarray
    """Pairs of a prediction and a cell: the true positives."""
    num_predicted: np.ndarray
    num_truth: np.ndarray


def point_counts(
    results: Sequence[results_lib.ImageResult],
    thresholds: np.ndarray,
    radius_px: float,
    *,
    protocol: str = "max",
    strict: bool = False,
) -> PointCounts:
    """Counts predictions, cells and matches of each image and class.

    From each class's least score, `thresholds` [K], but for ignored ones; matched
    inside classes within `radius_px`, by `protocol` and `strict` of
    `matching.match_points`.
    """
    counts = np.zeros((3, len(results), len(thresholds)), np.int64)
    for i, result in enumerate(results_lib.above_thresholds(results, thresholds)):
        for label in range(len(thresholds)):
            pred, true = results_lib.class_indices(result, label)
            pairs = matching.match_points(
                result.pred_points_yx[pred],
                result.true_points_yx[true],
                radius_px,
                method=protocol,
                strict=strict,
                scores=result.pred_scores[pred],
            )
            counts[:, i, label] = len(pairs), len(pred), len(true)
    return PointCounts(*counts)


def pool(counts: PointCounts, weights: np.ndarray) -> PointCounts:
    """Sums counts [I, K] over sets, [S, K], by int64 `weights` [S, I] of images."""
    return PointCounts(*(weights @ part for part in counts))


def ratios(counts: PointCounts) -> dict[str, np.ndarray]:
    """F1, precision and recall of counts of any equal shape; NaN where undefined."""
    matched, predicted, truth = counts
    return {
        "F1": samples.ratio(2 * matched, predicted + truth),
        "precision": samples.ratio(matched, predicted),
        "recall": samples.ratio(matched, truth),
    }


def image_f1(counts: PointCounts, *, empty_is_one: bool = False) -> np.ndarray:
    """F1 of each image and class, f64 [I, K].

    NaN without cells and predictions, or 1 (`empty_is_one`).
    """
    f1 = ratios(counts)["F1"]
    return np.where(np.isnan(f1), 1.0, f1) if empty_is_one else f1


def mean_f1(f1: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Means over the images that have one, [S, K], by int64 weights [S, I]."""
    defined = np.isfinite(f1)
    return samples.ratio(weights @ np.where(defined, f1, 0.0), weights @ defined)


def count_samples(
    counts: PointCounts, weights: np.ndarray, radius_px: float
) -> samples.ByClass:
    """Measures resampled sets by counts [I, K] and int64 `weights` [S, I] of images.

    `F1@12px`, `precision@12px` and `recall@12px` are pooled (12 is `radius_px`),
    `count_mae` is the mean absolute error of the number of cells an image.
    """
    drawn = pool(counts, weights)
    together = PointCounts(*(part.sum(axis=1) for part in drawn))
    by_class = ratios(drawn)
    found = {
        f"{name}@{radius_px:g}px": (values, by_class[name])
        for name, values in ratios(together).items()
    }
    num_images = weights.sum(axis=1)
    errors = counts.num_predicted - counts.num_truth
    found["count_mae"] = (
        samples.ratio(weights @ np.abs(errors.sum(axis=1)), num_images),
        samples.ratio(weights @ np.abs(errors), num_images[:, None]),
    )
    return found


class OperatingPoint(NamedTuple):
    """How scores become detections, chosen on validation images."""

    min_distance: float
    """px; predictions nearer than this to a better one are dropped first (0: none)."""
    thresholds: np.ndarray
    """f32 [K] least score of a prediction, per class."""
    num_labels: np.ndarray
    """int64 [K] annotated validation cells of each class; 0 if they had no say."""
    scope: str
    """What they chose: see `scope`, or "fixed" where nothing was fitted."""
    value: float | None
    """Of the rule, counts of all classes pooled; None without cells and predictions."""
    rule: str = "f1"
    """Its name, of `partial.RULES`."""
    withheld: bool = False
    """Whether labels of training images chose, which training has not seen."""
    intervals: np.ndarray | None = None
    """f32 [K, 2] 95 % intervals of the thresholds; NaN and None are unknown."""
    once: "OperatingPoint | None" = None
    """Of images that are seen once, where this one is of several views."""


def scope(num_labels: np.ndarray, shared: bool = False) -> str:
    """How many thresholds can be told by int [K] labels of each class.

    "own" is one for each class, "shared" one for all, as asked for or because a class
    has fewer than `LEAST_OF_A_CLASS`, "default" none: fewer than `LEAST_LABELS` in all.

    Example:
      >>> [scope(np.array(n)) for n in ([50, 60], [49, 600], [49], [10, 9])]
      ['own', 'shared', 'own', 'default']
    """
    if num_labels.sum() < LEAST_LABELS:
        return "default"
    few = len(num_labels) > 1 and num_labels.min() < LEAST_OF_A_CLASS
    return "shared" if shared or few else "own"


def f1_of(matched: Any, predicted: Any, num_truth: Any) -> np.ndarray:
    """F1 of counts, elementwise; NaN where there is nothing."""
    twice = 2.0 * np.asarray(matched, np.float64)
    return samples.ratio(twice, np.asarray(predicted) + num_truth)


def best_threshold(
    scores: np.ndarray, is_tp: np.ndarray, num_truth: int, rule: Rule = f1_of
) -> float:
    """Finds the score threshold with the largest F1 = 2 TP / (predicted + annotated).

    Or with the largest value of another `rule`. At every cut between two different
    scores [M] in [0, 1], the highest of equal values; the number of True in `is_tp` [M]
    above must be its true positives. `DEFAULT_THRESHOLD` where no cut gives one.

    Example:
      >>> best_threshold(np.array([0.9, 0.8, 0.4]), np.array([True, True, False]), 2)
      0.6000000238418579
    """
    order = np.argsort(-np.asarray(scores, np.float32), kind="stable")
    hits = np.cumsum(np.asarray(is_tp, bool)[order])
    predicted = np.arange(1, len(order) + 1)
    return best_cut(np.asarray(scores)[order], hits, predicted, num_truth, rule)


def best_cut(
    scores: np.ndarray,
    matched: np.ndarray,
    predicted: np.ndarray,
    num_truth: float,
    rule: Rule = f1_of,
) -> float:
    """Does the work of `best_threshold` on falling scores [M] and counts up to each.

    In float32 for `score >= threshold`, half way to the next lower score (0 below the
    lowest), so that no last digit decides.
    """
    scores = np.asarray(scores, np.float32)
    if len(scores) == 0 or matched[-1] == 0:
        return DEFAULT_THRESHOLD
    lower = np.append(scores[1:], np.float32(0.0))
    values = np.nan_to_num(rule(matched, predicted, num_truth), nan=-1.0)
    # Inside a run of equal scores no threshold can cut; the end always can.
    values[:-1][scores[:-1] == scores[1:]] = -1.0
    best = int(np.argmax(values))
    middle = np.float32((np.float64(scores[best]) + np.float64(lower[best])) / 2)
    # Between neighbouring floats the middle may round down onto the lower score.
    return float(middle if middle > lower[best] else scores[best])


def fit_thresholds(
    results: Sequence[results_lib.ImageResult],
    radius_px: float,
    class_names: Sequence[str],
    *,
    shared: bool = False,
    strict: bool = False,
    rule: Rule = f1_of,
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses the operating score threshold of each class on validation images.

    By the largest value of `rule`, see `partial`. Matched inside the class within
    `radius_px` (`strict`: nearer), or, for one `shared` threshold, all with all; by
    maximum matching in any protocol (`ordered_matches`). Returns f32 [K],
    `DEFAULT_THRESHOLD` where nothing chooses, and int64 [K] annotated validation cells
    that chose (0: none).
    """
    if shared:
        merged = results_lib.as_one_class(results)
        threshold, number = fit_thresholds(
            merged, radius_px, ["cell"], strict=strict, rule=rule
        )
        return threshold.repeat(len(class_names)), number.repeat(len(class_names))
    thresholds = np.full(len(class_names), DEFAULT_THRESHOLD, np.float32)
    num_labels = np.zeros(len(class_names), np.int64)
    for label in range(len(class_names)):
        pooled = results_lib.pool_points(results, label, radius_px, strict=strict)
        num_labels[label] = pooled.num_truth.sum()
        thresholds[label] = best_threshold(
            pooled.scores, pooled.is_tp, int(num_labels[label]), rule
        )
    return thresholds, num_labels


def fit_operating_point(
    results: Sequence[results_lib.ImageResult],
    radius_px: float,
    class_names: Sequence[str],
    distances: Sequence[float],
    *,
    threshold: float = 0.0,
    shared: bool = False,
    strict: bool = False,
    ratios: Sequence[float] = (),
    rule: Rule = f1_of,
) -> OperatingPoint:
    """Chooses the least distance of two predictions together with the thresholds.

    For each of the `distances` (px, >= 0; 0 keeps all; ValueError for none or others;
    of each image divided by its one of `ratios`, if there are any) predictions are
    thinned, then `fit_thresholds` chooses as many as labels can tell (`scope`), unless
    `threshold` is fixed. The largest value of `rule` wins, of counts of all classes
    together (a match is inside its class), of equal ones the smallest.
    """
    if len(distances) == 0:
        raise ValueError("no distances to choose from; (0.0,) keeps all predictions")
    num_labels = count_labels(results, len(class_names))
    found = "fixed" if threshold else scope(num_labels, shared)
    fitted = []
    for distance in sorted({float(distance) for distance in distances}):
        thinned = results_lib.suppress(results, distance, ratios)
        if found in ("own", "shared"):
            one = found == "shared"
            thresholds, _ = fit_thresholds(
                thinned, radius_px, class_names, shared=one, strict=strict, rule=rule
            )
        else:
            cut = threshold or DEFAULT_THRESHOLD
            thresholds = np.full(len(class_names), cut, np.float32)
        counts = point_counts(thinned, thresholds, radius_px, strict=strict)
        value = samples.number(float(rule(*(part.sum() for part in counts))))
        asked = num_labels * (not threshold)
        fitted.append(OperatingPoint(distance, thresholds, asked, found, value))
    # The first of equal ones, so the smallest distance.
    return max(fitted, key=lambda point: point.value or 0.0)


def count_labels(
    results: Sequence[results_lib.ImageResult], num_classes: int
) -> np.ndarray:
    """Annotated cells of each class, int64 [K]."""
    counts = np.zeros(num_classes, np.int64)
    for result in results:
        counts += np.bincount(result.true_labels, minlength=num_classes)
    return counts
