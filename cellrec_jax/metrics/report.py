"""All metrics of a set of images, with intervals, and the rows of a per-image table.

Over all detections, by box overlap: `AP11` (11 points), `AP` (area) and `recall` (end
of the curve). At the operating thresholds, within the radius: `F1@12px`,
`precision@12px`, `recall@12px` (12 px the radius) of pooled detections; `count_mae`,
see `counting`; `mean_F1@12px`, the mean of the images' own, without those
(`num_skipped`) that have no cell and no detection. Several classes also have each per
class (`AP11/NAME`); then AP11, AP and recall are means over classes with cells,
precision, recall and F1 pool matches inside classes, `count_mae` counts all together;
`recognition` and, if names define one, `proportion` add theirs.

Undefined is None, never NaN: AP and recall without cells, precision without
predictions, F1 with neither (0 with one), box metrics without boxes, intervals of fewer
than two images.
"""

from collections.abc import Sequence
import functools
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
    strict: bool = False,
    beside: str = "",
    empty_is_one: bool = False,
) -> dict[str, dict[str, Any]]:
    """Computes every metric of a set, with bootstrap 95 % intervals over images.

    At `thresholds` [K] within `radius_px`, by `protocol` (of `matching.METHODS`) and
    `strict`; boxes must exceed `iou`. `num_bootstrap` 0 is no intervals;
    `num_threshold_labels` [K], validation cells that chose the thresholds, None
    unknown; `beside`, a second protocol, gives `F1(nearest)@12px`, empty for none; with
    `empty_is_one` `mean_F1` skips no image.

    Returns name -> `samples.entry`, at the operating thresholds with `protocol`,
    `strict`, `thresholds` and `num_threshold_labels` (class name -> number).
    """
    weights = samples.draw(len(results), num_bootstrap, seed)
    by_box, detected, truth = box_samples(
        results, len(class_names), weights, iou, voc_plus_one
    )
    metrics = samples.entries(by_box, class_names, detected, truth, len(results))
    matched = functools.partial(
        _matched_entries,
        results,
        class_names,
        thresholds,
        radius_px,
        weights,
        strict,
        empty_is_one,
    )
    at_thresholds = matched(protocol)
    if beside:
        at_thresholds |= _named_beside(matched(beside), beside)
    chosen = {"thresholds": _by_class(class_names, thresholds, float)}
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
    strict: bool = False,
) -> dict[str, Any]:
    """Who is mistaken for whom, and at which score; for JSON.

    As `evaluate`: `confusion` and `threshold_curves` (see `recognition`), and `score`:
    name, numerator and denominator (class names) of `proportion`'s, or None.
    """
    confusion = recognition.confusion_matrices(
        results, thresholds, radius_px, protocol=protocol, strict=strict
    )
    curves_by_class = recognition.threshold_curves(
        results, class_names, radius_px, strict=strict
    )
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
    strict: bool = False,
) -> list[dict[str, Any]]:
    """Describes each image at the operating thresholds; arguments as for `evaluate`.

    A dict an image: `image`, `group`, `num_truth`, `num_predicted`, `num_matched`,
    `precision`, `recall`, `F1` (None undefined), `count_error` (predicted - annotated);
    several classes add counts (`num_truth/NAME`), a score its `TPS_...` columns.
    """
    counts = counting.point_counts(
        results, thresholds, radius_px, protocol=protocol, strict=strict
    )
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


def _matched_entries(
    results: Sequence[ImageResult],
    class_names: Sequence[str],
    thresholds: np.ndarray,
    radius_px: float,
    weights: np.ndarray,
    strict: bool,
    empty_is_one: bool,
    protocol: str,
) -> dict[str, dict[str, Any]]:
    """Entries of the metrics at the operating thresholds, by one protocol."""
    rule: dict[str, Any] = {"protocol": protocol, "strict": strict}
    counts = counting.point_counts(results, thresholds, radius_px, **rule)
    found = samples.entries(
        counting.count_samples(counts, weights, radius_px),
        class_names,
        counts.num_predicted.sum(axis=0),
        counts.num_truth.sum(axis=0),
        len(results),
    )
    found |= _mean_entries(counts, class_names, weights, radius_px, empty_is_one)
    if len(class_names) > 1:
        confusion = recognition.confusion_matrices(
            results, thresholds, radius_px, **rule
        )
        found |= recognition.entries(confusion, counts, weights, radius_px)
    if definition := proportion.score_definition(class_names):
        found |= proportion.entries(definition, counts, weights)
    return {name: entry | rule for name, entry in found.items()}


def _mean_entries(
    counts: counting.PointCounts,
    class_names: Sequence[str],
    weights: np.ndarray,
    radius_px: float,
    empty_is_one: bool,
) -> dict[str, dict[str, Any]]:
    """Entries of the mean of the images' F1, of `num_images` that have one."""
    together = counting.PointCounts(*(part.sum(1, keepdims=True) for part in counts))
    rule = functools.partial(counting.image_f1, empty_is_one=empty_is_one)
    own, by_class = rule(together), rule(counts)
    means = counting.mean_f1(own, weights)[:, 0], counting.mean_f1(by_class, weights)
    found = samples.entries(
        {f"mean_F1@{radius_px:g}px": means},
        class_names,
        counts.num_predicted.sum(axis=0),
        counts.num_truth.sum(axis=0),
        len(own),
    )
    numbers = np.isfinite(np.concatenate([own, by_class], axis=1)).sum(axis=0)
    for entry, number in zip(found.values(), numbers.tolist(), strict=False):
        entry |= {"num_images": number, "num_skipped": len(own) - number}
    return found


def _named_beside(
    entries: dict[str, dict[str, Any]], protocol: str
) -> dict[str, dict[str, Any]]:
    """Entries that depend on the matching, under names that tell the protocol."""
    found = {}
    for name, entry in entries.items():
        metric, at, rest = name.partition("@")
        if at and "/" not in metric:  # an @ behind a / belongs to a class's name
            found[f"{metric}({protocol})@{rest}"] = entry
    return found


def box_samples(
    results: Sequence[ImageResult],
    num_classes: int,
    weights: np.ndarray,
    iou: float,
    voc_plus_one: bool,
) -> tuple[samples.ByClass, np.ndarray, np.ndarray]:
    """Samples of `BOX_METRICS`, and int64 [K] numbers of detections and of cells.

    `weights` int64 [S, I] of images, as of `samples.draw`.
    """
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


def _by_class(
    class_names: Sequence[str], values: np.ndarray, kind: type
) -> dict[str, Any]:
    return {name: kind(value) for name, value in zip(class_names, values, strict=True)}
