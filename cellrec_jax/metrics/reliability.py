"""Whether a score of 0.8 is right in 8 of 10 cases."""

from typing import NamedTuple

import numpy as np


class Reliability(NamedTuple):
    """Scores compared with how often they are right, in S equal bins of [0, 1]."""

    edges: np.ndarray
    """f64 [S + 1] bin borders."""
    mean_score: np.ndarray
    """f64 [S] mean score in each bin; NaN where it is empty."""
    fraction_true: np.ndarray
    """f64 [S] share of true positives in each bin; NaN where it is empty."""
    counts: np.ndarray
    """int64 [S] detections in each bin."""
    ece: float | None
    """Expected calibration error in [0, 1]; None without detections."""


def reliability(
    scores: np.ndarray, is_tp: np.ndarray, num_bins: int = 10
) -> Reliability:
    """Bins detections by score [M] and compares it with precision (`is_tp` [M]).

    ECE (Guo et al., On Calibration of Modern Neural Networks, 2017, Eq. (3)): mean over
    detections of |share of true positives - mean score| of their bin, without missed
    cells. Equal bins [a, b); the outermost take the rest.
    https://arxiv.org/abs/1706.04599
    """
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    scores = np.asarray(scores, np.float64)
    bins = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    score_sum = np.bincount(bins, weights=scores, minlength=num_bins)
    true_sum = np.bincount(bins, weights=is_tp, minlength=num_bins)
    filled = np.where(counts > 0, counts, np.nan)
    ece = (
        float(np.abs(true_sum - score_sum).sum() / len(scores)) if len(scores) else None
    )
    return Reliability(edges, score_sum / filled, true_sum / filled, counts, ece)
