"""Detection apart from classification, and which classes are mistaken for which.

As Shui et al., MICCAI 2022, Table 1: detection whatever the class, pooled over images;
classification matched inside each class, then averaged. Details, left out there, follow
the authors' code of their next method; the printed numbers agree.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cellrec_jax.metrics import counting, matching, samples
from cellrec_jax.metrics import results as results_lib

ALL_CLASSES = "all classes"
"""Name of the threshold curve that ignores the classes."""

CURVE_THRESHOLDS = np.linspace(0.0, 1.0, 101)
"""Scores at which a threshold curve is read."""


def confusion_matrices(
    results: Sequence[results_lib.ImageResult],
    thresholds: np.ndarray,
    radius_px: float,
    *,
    protocol: str = "max",
    strict: bool = False,
) -> np.ndarray:
    """Counts annotated (row) against predicted classes, matched whatever the class.

    As `counting.point_counts`. int64 [I, K + 1, K + 1]: last column missed cells, last
    row false detections, corner 0.
    """
    num_classes = len(thresholds)
    out = np.zeros((len(results), num_classes + 1, num_classes + 1), np.int64)
    kept = results_lib.above_thresholds(results, thresholds)
    for matrix, result in zip(out, kept, strict=True):
        pairs = matching.match_points(
            result.pred_points_yx,
            result.true_points_yx,
            radius_px,
            method=protocol,
            strict=strict,
            scores=result.pred_scores,
        )
        pred, true = pairs.T
        predicted = np.asarray(result.pred_labels, int)
        found_as = np.full(len(result.true_labels), num_classes)
        found_as[true] = predicted[pred]
        np.add.at(matrix, (np.asarray(result.true_labels, int), found_as), 1)
        invented = np.delete(predicted, pred)
        matrix[-1, :-1] = np.bincount(invented, minlength=num_classes)
    return out


def detection_counts(confusion: np.ndarray) -> counting.PointCounts:
    """Counts whatever the class, each [I, 1], of `confusion_matrices`."""
    return counting.PointCounts(
        num_matched=confusion[:, :-1, :-1].sum(axis=(1, 2))[:, None],
        num_predicted=confusion[:, :, :-1].sum(axis=(1, 2))[:, None],
        num_truth=confusion[:, :-1, :].sum(axis=(1, 2))[:, None],
    )


def macro_ratios(counts: counting.PointCounts) -> dict[str, np.ndarray]:
    """Means of F1, precision and recall over the classes that have cells.

    From counts [..., K]: name -> [...], NaN where no class has cells; the mean F1 is
    not the F1 of the means. Precision is 0 here for a class never predicted.
    """
    has_cells = counts.num_truth > 0
    by_class = counting.ratios(counts)
    missed = has_cells & (counts.num_predicted == 0)
    by_class["precision"] = np.where(missed, 0.0, by_class["precision"])
    return {
        name: samples.mean_defined(np.where(has_cells, values, np.nan))
        for name, values in by_class.items()
    }


def entries(
    confusion: np.ndarray,
    counts: counting.PointCounts,
    weights: np.ndarray,
    radius_px: float,
) -> dict[str, dict[str, Any]]:
    """Metrics of detection and of classification, with intervals, as `samples.entry`.

    From confusion [I, K + 1, K + 1], counts [I, K] and weights [S, I]:
    `detection_F1@12px`, `class_F1@12px`, likewise `precision` and `recall`.
    """
    pooled = counting.ratios(counting.pool(detection_counts(confusion), weights))
    macro = macro_ratios(counting.pool(counts, weights))
    named = {f"detection_{name}": values[:, 0] for name, values in pooled.items()}
    named |= {f"class_{name}": values for name, values in macro.items()}
    return {
        f"{name}@{radius_px:g}px": samples.entry(
            values,
            num_images=weights.shape[1],
            num_truth=counts.num_truth.sum(),
            num_predicted=counts.num_predicted.sum(),
        )
        for name, values in named.items()
    }


class Curve(NamedTuple):
    """One class over the score threshold, f64 [T]; NaN where undefined."""

    f1: np.ndarray
    precision: np.ndarray
    recall: np.ndarray


def threshold_curves(
    results: Sequence[results_lib.ImageResult],
    class_names: Sequence[str],
    radius_px: float,
    thresholds: np.ndarray = CURVE_THRESHOLDS,
    *,
    strict: bool = False,
) -> dict[str, Curve]:
    """Class name -> curve at T score thresholds, maximum matching within `radius_px`.

    Several classes start with `ALL_CLASSES`: whatever the class, one threshold for all.
    """
    curves = {}
    if len(class_names) > 1:
        merged = results_lib.as_one_class(results)
        curves[ALL_CLASSES] = _curve(
            results_lib.pool_points(merged, 0, radius_px, strict=strict), thresholds
        )
    for label, name in enumerate(class_names):
        pooled = results_lib.pool_points(results, label, radius_px, strict=strict)
        curves[name] = _curve(pooled, thresholds)
    return curves


def _curve(pooled: results_lib.Pooled, thresholds: np.ndarray) -> Curve:
    cuts = np.asarray(thresholds, np.float32)
    predicted = np.searchsorted(-pooled.scores, -cuts, side="right")
    matched = np.concatenate([[0], np.cumsum(pooled.is_tp)])[predicted]
    truth = np.full_like(predicted, pooled.num_truth.sum())
    found = counting.ratios(counting.PointCounts(matched, predicted, truth))
    return Curve(found["F1"], found["precision"], found["recall"])


def confusion_to_json(
    confusion: np.ndarray, class_names: Sequence[str]
) -> dict[str, Any]:
    """Confusion of all images together, with names, for results.json."""
    return {
        "annotated": [*class_names, "false detection"],
        "predicted": [*class_names, "missed"],
        "counts": confusion.sum(axis=0).tolist(),
    }


def curves_to_json(
    curves: dict[str, Curve], thresholds: np.ndarray = CURVE_THRESHOLDS
) -> dict[str, Any]:
    """Threshold curves for results.json; None where undefined."""

    def numbers(values: np.ndarray) -> list[float | None]:
        return [samples.number(value) for value in values]

    return {
        "thresholds": np.asarray(thresholds, np.float64).tolist(),
        "curves": {
            name: {
                "F1": numbers(curve.f1),
                "precision": numbers(curve.precision),
                "recall": numbers(curve.recall),
            }
            for name, curve in curves.items()
        },
    }
