"""How good a ranking of positives over negatives is: NumPy, exact, on the host."""

import numpy as np


def auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: share of pairs with the positive on top, ties half.

    From ranks (Mann-Whitney) of scores [N], high where `positive` [N]. ValueError for
    unequal shapes, scores that are not finite, or a kind missing.

    Example:
      >>> auc(np.array([3, 1, 1]), np.array([True, True, False]))
      0.75
    """
    scores, positive = _checked(scores, positive)
    num_positive = int(positive.sum())
    num_negative = len(positive) - num_positive
    if num_positive == 0 or num_negative == 0:
        raise ValueError(
            f"AUC needs positives and negatives, not {num_positive} and {num_negative}"
        )
    negatives = np.sort(scores[~positive])
    below = np.searchsorted(negatives, scores[positive], side="left").sum()
    not_above = np.searchsorted(negatives, scores[positive], side="right").sum()
    return float(below + not_above) / (2 * num_positive * num_negative)


def best_iou(scores: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """Finds the largest overlap of `scores >= threshold` [N] with `positive` [N].

    Intersection over union, and the (highest) threshold; errors as `auc`, but without
    negatives all are right.

    Example:
      >>> best_iou(np.array([3, 2, 2, 1]), np.array([True, True, False, False]))
      (0.6666666666666666, 2.0)
    """
    scores, positive = _checked(scores, positive)
    num_positive = int(positive.sum())
    if not num_positive:
        raise ValueError("an overlap needs positives, not 0")
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(positive[order])
    iou = hits / (np.arange(1, len(ranked) + 1) + num_positive - hits)
    iou[:-1][ranked[1:] == ranked[:-1]] = -1.0  # no threshold parts equal scores
    best = int(np.argmax(iou))
    return float(iou[best]), float(ranked[best])


def _checked(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, positive = np.asarray(scores, np.float64), np.asarray(positive)
    if scores.ndim != 1 or scores.shape != positive.shape:
        raise ValueError(
            f"scores and positive must both be [N], not {scores.shape} and "
            f"{positive.shape}"
        )
    if positive.dtype != bool:
        raise ValueError(f"positive must be bool, not {positive.dtype}")
    if not np.isfinite(scores).all():
        raise ValueError("a score is NaN or infinite: it has no rank")
    return scores, positive
