"""What was predicted and what was annotated, image by image and pooled over a set."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cellrec_jax.metrics import curves, matching, suppression


class ImageResult(NamedTuple):
    """Predictions and annotations of one image, in px of the image at native size."""

    image_id: str
    group: str
    """Slide or patient; "" where unknown."""
    pred_points_yx: np.ndarray
    """f32 [M, 2]."""
    pred_scores: np.ndarray
    """f32 [M] in [0, 1]; any order."""
    pred_labels: np.ndarray
    """i32 [M] class ids 0..K-1."""
    pred_boxes_yxyx: np.ndarray | None
    """f32 [M, 4], or None for methods that predict points only."""
    pred_ignored: np.ndarray
    """bool [M]; outside the annotated region or inside an ignored one. Such a
    prediction is left out everywhere: neither true nor false, and not counted."""
    true_points_yx: np.ndarray
    """f32 [N, 2]; only cells that count."""
    true_labels: np.ndarray
    """i32 [N] class ids 0..K-1."""
    true_boxes_yxyx: np.ndarray | None
    """f32 [N, 4] in the points' order, or None where there are none."""
    num_cells: int | None = None
    """Cells that count, of which those here were drawn; None: these are all."""


class Pooled(NamedTuple):
    """One class's detections over images, best score first; ties by image."""

    scores: np.ndarray  # f32 [D], falling
    is_tp: np.ndarray  # bool [D]
    image_index: np.ndarray  # int64 [D] which image each detection belongs to
    num_truth: np.ndarray  # int64 [I] annotated cells of the class in each image


def pool_points(
    results: Sequence[ImageResult],
    label: int,
    radius_px: float,
    *,
    strict: bool = False,
) -> Pooled:
    """Pools one class, true where a prediction raises the maximum point matching.

    Above any cut these are as many as pairs of `matching.match_points` with "max".
    """
    flags = []
    for result in results:
        pred, true = class_indices(result, label)
        flags.append(
            matching.ordered_matches(
                result.pred_points_yx[pred],
                result.true_points_yx[true],
                radius_px,
                result.pred_scores[pred],
                strict=strict,
            )
        )
    return _pool(results, label, flags)


def pool_boxes(
    results: Sequence[ImageResult],
    label: int,
    *,
    iou: float = 0.5,
    voc_plus_one: bool = False,
) -> Pooled | None:
    """Pools one class, true by `curves.match_boxes`; None if an image lacks boxes."""
    flags = []
    for result in results:
        if result.pred_boxes_yxyx is None or result.true_boxes_yxyx is None:
            return None
        pred, true = class_indices(result, label)
        flags.append(
            curves.match_boxes(
                result.pred_boxes_yxyx[pred],
                result.pred_scores[pred],
                result.true_boxes_yxyx[true],
                iou=iou,
                voc_plus_one=voc_plus_one,
            )
        )
    return _pool(results, label, flags)


def class_indices(result: ImageResult, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices, int64, of a class's predictions that count and of its cells."""
    counted = (result.pred_labels == label) & ~result.pred_ignored
    return np.flatnonzero(counted), np.flatnonzero(result.true_labels == label)


def select(result: ImageResult, kept: np.ndarray) -> ImageResult:
    """Keeps the predictions of a mask, bool [M], or of indices."""
    boxes = result.pred_boxes_yxyx
    return result._replace(
        pred_points_yx=result.pred_points_yx[kept],
        pred_scores=result.pred_scores[kept],
        pred_labels=result.pred_labels[kept],
        pred_boxes_yxyx=None if boxes is None else boxes[kept],
        pred_ignored=result.pred_ignored[kept],
    )


def above_thresholds(
    results: Sequence[ImageResult], thresholds: np.ndarray
) -> list[ImageResult]:
    """Keeps predictions not ignored that reach `thresholds` [K], as float32."""
    cuts = np.asarray(thresholds, np.float32)
    return [
        select(
            result,
            ~result.pred_ignored
            & (
                np.asarray(result.pred_scores, np.float32)
                >= cuts[np.asarray(result.pred_labels, int)]
            ),
        )
        for result in results
    ]


def suppress(
    results: Sequence[ImageResult], distance: float, ratios: Sequence[float] = ()
) -> list[ImageResult]:
    """Thins the predictions of each image, all classes together.

    A cell has one class: the better of two nearer than `distance` (px, in each image
    divided by its one of `ratios`, if there are any; 0 keeps all; ValueError if
    negative or not finite) stays; ignored ones thin out as any do.
    """
    distances = [distance / ratio for ratio in ratios or [1.0] * len(results)]
    return [
        select(
            result,
            suppression.suppress(result.pred_points_yx, result.pred_scores, least),
        )
        for result, least in zip(results, distances, strict=True)
    ]


def as_one_class(results: Sequence[ImageResult]) -> list[ImageResult]:
    """Forgets the classes: every prediction and every cell gets class id 0."""
    return [
        result._replace(
            pred_labels=np.zeros_like(result.pred_labels),
            true_labels=np.zeros_like(result.true_labels),
        )
        for result in results
    ]


def _pool(
    results: Sequence[ImageResult], label: int, flags: Sequence[np.ndarray]
) -> Pooled:
    indices = [class_indices(result, label) for result in results]
    scores = [
        np.asarray(result.pred_scores, np.float32)[pred]
        for result, (pred, _) in zip(results, indices, strict=True)
    ]
    num_pred = [len(pred) for pred, _ in indices]
    all_scores = np.concatenate([np.zeros(0, np.float32), *scores])
    order = np.argsort(-all_scores, kind="stable")
    return Pooled(
        scores=all_scores[order],
        is_tp=np.concatenate([np.zeros(0, bool), *flags])[order],
        image_index=np.repeat(np.arange(len(results)), num_pred)[order],
        num_truth=np.array([len(true) for _, true in indices], np.int64),
    )
