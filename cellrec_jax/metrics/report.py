"""All metrics of a set of images, with intervals, and the rows of a per-image table.

Undefined values are None, never NaN: AP and recall of a class without cells, precision
without predictions, F1 with neither, box metrics of a method without boxes, intervals
of fewer than two images. F1 is 0 when there are cells but no predictions, or the other
way round.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cellrec_jax.metrics import counting, curves, proportion, recognition, samples
from cellrec_jax.metrics import results as results_lib
from cellrec_jax.metrics.results import ImageResult as ImageResult

BOX_METRICS = ("AP11", "AP", "recall")
"""Names of the metrics that a method without boxes leaves undefined."""


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
    protocol: str = "max",
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
    counts all classes together. Several classes also have `detection_F1@12px` and
    `class_F1@12px` (and precision, recall; see `recognition`), and the tumour
    proportion score or the like if their names define one (see `proportion`).

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
      protocol: how points are matched, one of `matching.METHODS`.

    Returns:
      Name -> `value`, `low`, `high` (floats or None), `num_images`, `num_truth`,
      `num_predicted` (those the metric looks at), and for metrics at the operating
      thresholds `protocol`, `thresholds` and `num_threshold_labels` (class name ->
      number). Everything can be written as JSON.
    """
    weights = samples.draw(len(results), num_bootstrap, seed)
    by_box, detected, truth = _box_samples(
        results, len(class_names), weights, iou, voc_plus_one
    )
    metrics = _entries(by_box, class_names, detected, truth, len(results))
    counts = counting.point_counts(results, thresholds, radius_px, protocol=protocol)
    at_thresholds = _entries(
        _count_samples(counts, weights, radius_px),
        class_names,
        counts.num_predicted.sum(axis=0),
        counts.num_truth.sum(axis=0),
        len(results),
    )
    if len(class_names) > 1:
        confusion = recognition.confusion_matrices(
            results, thresholds, radius_px, protocol=protocol
        )
        at_thresholds |= recognition.entries(confusion, counts, weights, radius_px)
    if definition := proportion.score_definition(class_names):
        at_thresholds |= proportion.entries(definition, counts, weights)
    chosen: dict[str, Any] = {"protocol": protocol}
    chosen["thresholds"] = _by_class(class_names, thresholds, float)
    if num_threshold_labels is not None:
        chosen["num_threshold_labels"] = _by_class(
            class_names, num_threshold_labels, int
        )
    return metrics | {name: entry | chosen for name, entry in at_thresholds.items()}


def tables(
    results: Sequence[ImageResult],
    class_names: Sequence[str],
    *,
    radius_px: float,
    thresholds: np.ndarray,
    protocol: str = "max",
) -> dict[str, Any]:
    """What one number cannot say: who is mistaken for whom, and at which score.

    Args:
      results: the images.
      class_names: names of the K classes.
      radius_px: largest distance of a match in px.
      thresholds: [K] operating score thresholds, for the confusion matrix.
      protocol: how points are matched there, one of `matching.METHODS`.

    Returns:
      `confusion` (see `recognition.confusion_to_json`), `threshold_curves` (see
      `recognition.curves_to_json`) and `score`: name, numerator and denominator (class
      names) of the score of `proportion`, or None. Can be written as JSON.
    """
    confusion = recognition.confusion_matrices(
        results, thresholds, radius_px, protocol=protocol
    )
    curves_by_class = recognition.threshold_curves(results, class_names, radius_px)
    definition = proportion.score_definition(class_names)
    return {
        "confusion": recognition.confusion_to_json(confusion, class_names),
        "threshold_curves": recognition.curves_to_json(curves_by_class),
        "score": definition
        and {
            "name": definition.name,
            "numerator": [class_names[label] for label in definition.numerator],
            "denominator": [class_names[label] for label in definition.denominator],
        },
    }


def per_image_rows(
    results: Sequence[ImageResult],
    class_names: Sequence[str],
    *,
    radius_px: float,
    thresholds: np.ndarray,
    protocol: str = "max",
) -> list[dict[str, Any]]:
    """Describes each image at the operating thresholds, for a table.

    Args:
      results: the images.
      class_names: names of the K classes.
      radius_px: largest distance of a match in px.
      thresholds: [K] operating score thresholds.
      protocol: how points are matched, one of `matching.METHODS`.

    Returns:
      One dict an image with equal keys: `image`, `group`, `num_truth`,
      `num_predicted`, `num_matched`, `precision`, `recall`, `F1` (None where
      undefined) and `count_error` (predicted - annotated), all classes together;
      with several classes the counts follow again per class (`num_truth/NAME`), and
      where these define a score `TPS_predicted`, `TPS_annotated`, `TPS_error`.
    """
    counts = counting.point_counts(results, thresholds, radius_px, protocol=protocol)
    together = counting.PointCounts(*(part.sum(axis=1) for part in counts))
    matched, predicted, truth = together
    ratios = counting.ratios(together)
    scores = proportion.image_columns(class_names, counts)
    rows = []
    for i, result in enumerate(results):
        row: dict[str, Any] = {"image": result.image_id, "group": result.group}
        row |= {"num_truth": int(truth[i]), "num_predicted": int(predicted[i])}
        row["num_matched"] = int(matched[i])
        for name in ("precision", "recall", "F1"):
            row[name] = samples.number(ratios[name][i])
        row["count_error"] = int(predicted[i] - truth[i])
        if len(class_names) > 1:
            for label, name in enumerate(class_names):
                row[f"num_truth/{name}"] = int(counts.num_truth[i, label])
                row[f"num_predicted/{name}"] = int(counts.num_predicted[i, label])
                row[f"num_matched/{name}"] = int(counts.num_matched[i, label])
        row |= {name: samples.number(column[i]) for name, column in scores.items()}
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
    found = {
        name: (samples.mean_defined(by_class[..., i]), by_class[..., i])
        for i, name in enumerate(BOX_METRICS)
    }
    return found, detected, truth


def _curve_samples(pooled: results_lib.Pooled, weights: np.ndarray) -> np.ndarray:
    """AP11, AP and last recall of one class in each set, f64 [S, 3]."""
    found = np.full((len(weights), 3), np.nan)
    for row, num_truth, counts in zip(
        found, weights @ pooled.num_truth, weights, strict=True
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
    return found


def _count_samples(
    counts: counting.PointCounts, weights: np.ndarray, radius_px: float
) -> _Samples:
    """Samples of the metrics at the operating thresholds."""
    drawn = counting.pool(counts, weights)
    together = counting.PointCounts(*(part.sum(axis=1) for part in drawn))
    by_class = counting.ratios(drawn)
    found = {
        f"{name}@{radius_px:g}px": (values, by_class[name])
        for name, values in counting.ratios(together).items()
    }
    num_images = weights.sum(axis=1)
    errors = counts.num_predicted - counts.num_truth
    found["count_mae"] = (
        samples.ratio(weights @ np.abs(errors.sum(axis=1)), num_images),
        samples.ratio(weights @ np.abs(errors), num_images[:, None]),
    )
    return found


def _entries(
    found: _Samples,
    class_names: Sequence[str],
    num_predicted: np.ndarray,
    num_truth: np.ndarray,
    num_images: int,
) -> dict[str, dict[str, Any]]:
    """Turns samples into values, intervals and counts."""
    entries = {}
    for name, (together, by_class) in found.items():
        entries[name] = samples.entry(
            together,
            num_images=num_images,
            num_truth=num_truth.sum(),
            num_predicted=num_predicted.sum(),
        )
        if len(class_names) == 1:
            continue
        for label, class_name in enumerate(class_names):
            entries[f"{name}/{class_name}"] = samples.entry(
                by_class[:, label],
                num_images=num_images,
                num_truth=num_truth[label],
                num_predicted=num_predicted[label],
            )
    return entries


def _by_class(
    class_names: Sequence[str], values: np.ndarray, kind: type
) -> dict[str, Any]:
    return {name: kind(value) for name, value in zip(class_names, values, strict=True)}
