"""All metrics of a set of images, with intervals, and the rows of a per-image table.

Undefined values are None, never NaN: AP and recall of a class without cells, precision
without predictions, F1 with neither, box metrics of a method without boxes, intervals
of fewer than two images. F1 is 0 when there are cells but no predictions, or the other
way round.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cellrec_jax.metrics import bootstrap, counting, curves
from cellrec_jax.metrics import results as results_lib
from cellrec_jax.metrics.results import ImageResult as ImageResult


def evaluate(
    results: Sequence[ImageResult],
    class_names: Sequence[str],
    *,
    radius_px: float,
    thresholds: np.ndarray,
    iou: float = 0.5,
    voc_plus_one: bool = False,
    num_bootstrap: int = 1000,
    seed: int = 0,
    num_threshold_labels: np.ndarray | None = None,
) -> dict[str, dict[str, Any]]:
    """Computes every metric of a set, with bootstrap 95 % intervals over images.

    Over all detections, whatever their score, by box overlap: `AP11` (11 points),
    `AP` (area) and `recall` (end of the curve). At the operating thresholds, within
    the radius, one to one: `F1@12px`, `precision@12px`, `recall@12px` (the radius in
    px is part of the name); `count_mae` is the mean absolute error of the number of
    cells an image. Detections of all images are pooled. With several classes, each
    metric also exists per class (`AP11/NAME`); AP11, AP and recall are then means over
    the classes that have cells, precision, recall and F1 within the radius count a
    match only inside its class and pool the counts of all classes, and `count_mae`
    counts all classes together.

    Args:
      results: the images.
      class_names: names of the K classes.
      radius_px: largest distance of a match in px.
      thresholds: [K] operating score thresholds.
      iou: overlap that a true positive must exceed.
      voc_plus_one: see `curves.pairwise_iou`.
      num_bootstrap: resampled sets; 0 for no intervals.
      seed: of the resampling.
      num_threshold_labels: [K] validation cells that chose the thresholds, to be
        reported beside the metrics that depend on them; None if unknown.

    Returns:
      Name -> `value`, `low`, `high` (floats or None), `num_images`, `num_truth`,
      `num_predicted` (those the metric looks at), and for metrics at the operating
      thresholds `thresholds` and `num_threshold_labels` (class name -> number).
      Everything can be written as JSON.
    """
    resampled = bootstrap.resample_counts(len(results), num_bootstrap, seed)
    # Row 0 is the set itself, so that values and their samples share one code.
    weights = np.concatenate([np.ones((1, len(results)), np.int64), resampled])
    samples, detected, truth = _box_samples(
        results, len(class_names), weights, iou, voc_plus_one
    )
    metrics = _entries(samples, class_names, len(results), detected, truth)
    counts = counting.point_counts(results, thresholds, radius_px)
    at_thresholds = _entries(
        _count_samples(counts, weights, radius_px),
        class_names,
        len(results),
        counts.num_predicted.sum(axis=0),
        counts.num_truth.sum(axis=0),
    )
    chosen = {"thresholds": _by_class(class_names, thresholds, float)}
    if num_threshold_labels is not None:
        chosen["num_threshold_labels"] = _by_class(
            class_names, num_threshold_labels, int
        )
    return metrics | {name: entry | chosen for name, entry in at_thresholds.items()}


def per_image_rows(
    results: Sequence[ImageResult],
    class_names: Sequence[str],
    *,
    radius_px: float,
    thresholds: np.ndarray,
) -> list[dict[str, Any]]:
    """Describes each image at the operating thresholds, for a table.

    Args:
      results: the images.
      class_names: names of the K classes.
      radius_px: largest distance of a match in px.
      thresholds: [K] operating score thresholds.

    Returns:
      One dict an image with equal keys: `image`, `group`, `num_truth`,
      `num_predicted`, `num_matched`, `precision`, `recall`, `F1` (None where
      undefined) and `count_error` (predicted - annotated), all classes together;
      with several classes the counts follow again per class (`num_truth/NAME`).
    """
    counts = counting.point_counts(results, thresholds, radius_px)
    matched, predicted, truth = (part.sum(axis=1) for part in counts)
    ratios = {
        "precision": _ratio(matched, predicted),
        "recall": _ratio(matched, truth),
        "F1": _ratio(2 * matched, predicted + truth),
    }
    rows = []
    for i, result in enumerate(results):
        row: dict[str, Any] = {"image": result.image_id, "group": result.group}
        row |= {"num_truth": int(truth[i]), "num_predicted": int(predicted[i])}
        row["num_matched"] = int(matched[i])
        row |= {name: _number(ratio[i]) for name, ratio in ratios.items()}
        row["count_error"] = int(predicted[i] - truth[i])
        if len(class_names) > 1:
            for label, name in enumerate(class_names):
                row[f"num_truth/{name}"] = int(counts.num_truth[i, label])
                row[f"num_predicted/{name}"] = int(counts.num_predicted[i, label])
                row[f"num_matched/{name}"] = int(counts.num_matched[i, label])
        rows.append(row)
    return rows


# Metric name -> ([S] of all classes together, [S, K] per class); S sets, NaN where
# undefined.
_Samples = dict[str, tuple[np.ndarray, np.ndarray]]


def _box_samples(
    results: Sequence[ImageResult],
    num_classes: int,
    weights: np.ndarray,
    iou: float,
    voc_plus_one: bool,
) -> tuple[_Samples, np.ndarray, np.ndarray]:
    """Samples of the box metrics, and [K] numbers of detections and of cells."""
    by_class = np.full((len(weights), num_classes, 3), np.nan)
    detected, truth = np.zeros((2, num_classes), np.int64)
    for label in range(num_classes):
        for result in results:
            pred, true = results_lib.class_indices(result, label)
            detected[label] += len(pred)
            truth[label] += len(true)
        pooled = results_lib.pool_boxes(
            results, label, iou=iou, voc_plus_one=voc_plus_one
        )
        if pooled is not None:
            by_class[:, label] = _curve_samples(pooled, weights)
    names = ("AP11", "AP", "recall")
    samples = {
        name: (_mean_defined(by_class[..., i]), by_class[..., i])
        for i, name in enumerate(names)
    }
    return samples, detected, truth


def _curve_samples(pooled: results_lib.Pooled, weights: np.ndarray) -> np.ndarray:
    """AP11, AP and last recall of one class in each set, f64 [S, 3]."""
    samples = np.full((len(weights), 3), np.nan)
    for row, num_truth, counts in zip(
        samples, weights @ pooled.num_truth, weights, strict=True
    ):
        if num_truth == 0:
            continue
        # A detection drawn n times counts n times at its place in the one sorted
        # list: nothing is sorted again.
        recall, precision = curves.curve_from_sorted(
            pooled.is_tp, counts[pooled.image_index], num_truth
        )
        row[0] = curves.average_precision(recall, precision, 11)
        row[1] = curves.average_precision(recall, precision)
        row[2] = recall[-1] if len(recall) else 0.0
    return samples


def _count_samples(
    counts: counting.PointCounts, weights: np.ndarray, radius_px: float
) -> _Samples:
    """Samples of the metrics at the operating thresholds."""
    matched, predicted, truth = (weights @ part for part in counts)
    samples = {}
    for name, above, below in (
        ("F1", 2 * matched, predicted + truth),
        ("precision", matched, predicted),
        ("recall", matched, truth),
    ):
        pooled = _ratio(above.sum(axis=1), below.sum(axis=1))
        samples[f"{name}@{radius_px:g}px"] = (pooled, _ratio(above, below))
    num_images = weights.sum(axis=1)
    errors = counts.num_predicted - counts.num_truth
    samples["count_mae"] = (
        _ratio(weights @ np.abs(errors.sum(axis=1)), num_images),
        _ratio(weights @ np.abs(errors), num_images[:, None]),
    )
    return samples


def _entries(
    samples: _Samples,
    class_names: Sequence[str],
    num_images: int,
    num_predicted: np.ndarray,
    num_truth: np.ndarray,
) -> dict[str, dict[str, Any]]:
    """Turns samples into values, intervals and counts."""

    def entry(values: np.ndarray, predicted: int, truth: int) -> dict[str, Any]:
        value = _number(values[0])
        low, high = bootstrap.interval(values[1:])
        if value is None:
            low = high = None
        return {
            "value": value,
            "low": low,
            "high": high,
            "num_images": num_images,
            "num_truth": truth,
            "num_predicted": predicted,
        }

    entries = {}
    for name, (together, by_class) in samples.items():
        entries[name] = entry(together, int(num_predicted.sum()), int(num_truth.sum()))
        if len(class_names) > 1:
            for label, class_name in enumerate(class_names):
                entries[f"{name}/{class_name}"] = entry(
                    by_class[:, label], int(num_predicted[label]), int(num_truth[label])
                )
    return entries


def _by_class(
    class_names: Sequence[str], values: np.ndarray, kind: type
) -> dict[str, Any]:
    return {name: kind(value) for name, value in zip(class_names, values, strict=True)}


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Divides in float64; NaN where `below` is 0."""
    below = np.broadcast_to(below, above.shape)
    out = np.full(above.shape, np.nan)
    return np.divide(above, below, out=out, where=below > 0)


def _mean_defined(by_class: np.ndarray) -> np.ndarray:
    """Mean over the last axis without its NaNs; NaN where all are."""
    defined = np.isfinite(by_class)
    return _ratio(np.where(defined, by_class, 0.0).sum(axis=-1), defined.sum(axis=-1))


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
