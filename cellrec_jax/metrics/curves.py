"""Precision, recall and average precision of boxes, by the rules of Pascal VOC.

By falling score, a detection is a true positive if its overlap with the box that it
overlaps most exceeds the threshold and no better one took that box; else a false one,
even where another box is free.

References:
  Everingham et al., The Pascal Visual Object Classes (VOC) Challenge, 2010, section 4.
  Differs from the paper: boxes are half open, without "+1 px", unless asked for.
"""

import numpy as np

# Recall 0.3 may be computed as 0.2999...: the grid of thresholds must not miss it.
_RECALL_SLACK = 1e-9


def pairwise_iou(
    boxes_yxyx: np.ndarray, others_yxyx: np.ndarray, *, voc_plus_one: bool = False
) -> np.ndarray:
    """Intersection over union of boxes [M, 4] and [N, 4]: f64 [M, N], 0 if both empty.

    `voc_plus_one`: heights and widths count one px more, as for boxes in VOC.
    """
    extra = 1.0 if voc_plus_one else 0.0
    boxes = np.asarray(boxes_yxyx, np.float64).reshape(-1, 4)
    others = np.asarray(others_yxyx, np.float64).reshape(-1, 4)
    start = np.maximum(boxes[:, None, :2], others[None, :, :2])
    end = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.clip(end - start + extra, 0.0, None), axis=-1)
    area = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2] + extra, 0.0, None), axis=-1)
    other_area = np.prod(
        np.clip(others[:, 2:] - others[:, :2] + extra, 0.0, None), axis=-1
    )
    union = area[:, None] + other_area[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def match_boxes(
    pred_boxes_yxyx: np.ndarray,
    scores: np.ndarray,
    true_boxes_yxyx: np.ndarray,
    *,
    iou: float = 0.5,
    voc_plus_one: bool = False,
    ignored: np.ndarray | None = None,
) -> np.ndarray:
    """Marks, bool [M], the true positives among detections of one image and class.

    Boxes [M, 4] and [N, 4] in px; ties of scores [M] in the order given; `iou` must be
    exceeded. `ignored` bool [M] neither count nor take a box and stay False here: leave
    them out of the false positives too.
    """
    is_tp = np.zeros(len(pred_boxes_yxyx), bool)
    if len(true_boxes_yxyx) == 0:
        return is_tp
    overlaps = pairwise_iou(pred_boxes_yxyx, true_boxes_yxyx, voc_plus_one=voc_plus_one)
    best = np.argmax(overlaps, axis=1)
    eligible = overlaps[np.arange(len(best)), best] > iou
    if ignored is not None:
        eligible &= ~np.asarray(ignored, bool)
    order = np.argsort(-np.asarray(scores), kind="stable")
    candidates = order[eligible[order]]
    _, first = np.unique(best[candidates], return_index=True)
    is_tp[candidates[first]] = True
    return is_tp


def precision_recall(
    scores: np.ndarray,
    is_tp: np.ndarray,
    num_truth: float,
    *,
    weights: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision, f64 [M] in [0, 1], after each detection, best score first.

    Of scores and `is_tp` [M] of all images without ignored ones, `weights` [M] for
    resampled sets. Ties as given; recall 0 without cells, precision before any count.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    hits = np.asarray(is_tp, np.float64)[order]
    ones = np.ones(len(order)) if weights is None else np.asarray(weights)[order]
    return curve_from_sorted(hits, ones, num_truth)


def curve_from_sorted(
    is_tp: np.ndarray, weights: np.ndarray, num_truth: float
) -> tuple[np.ndarray, np.ndarray]:
    """Does the work of `precision_recall` on detections already sorted by score."""
    true_positives = np.cumsum(is_tp * weights, dtype=np.float64)
    counted = np.cumsum(weights, dtype=np.float64)
    recall = true_positives / num_truth if num_truth > 0 else true_positives * 0.0
    return recall, true_positives / np.maximum(counted, 1e-12)


def average_precision(
    recall: np.ndarray, precision: np.ndarray, points: int | None = None
) -> float:
    """Averages precision [M] over recall [M], rising: in [0, 1]; 0 for an empty curve.

    Precision at recall t is the largest at a recall of t or more, 0 beyond the end.
    Over `points` equal steps in [0, 1] (VOC 2007: 11); None is the area (VOC 2010).

    Example:
      >>> average_precision(np.array([0.5, 1.0]), np.array([1.0, 0.5]))
      0.75
    """
    if len(recall) == 0:
        return 0.0
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if points is None:
        return float(np.sum(np.diff(recall, prepend=0.0) * envelope))
    thresholds = np.linspace(0.0, 1.0, points)
    first = np.searchsorted(recall, thresholds - _RECALL_SLACK)
    return float(np.append(envelope, 0.0)[first].mean())
