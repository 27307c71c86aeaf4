"""Thresholds and metrics from labels that are a random part of the cells.

L labels mark a share c of the N cells of some images; what else is there is not known.
Of n detections above a threshold, m match a label. A label is found as likely as any
cell, so the recall r = m / L is unbiased, while m / n is no precision: a detection
beside no label may be right. But where c is known,

  N = L / c,  precision = r N / n = m / (c n),  F1 = 2 r N / (n + N) = 2 m / (c n + L),

and where it is not, r^2 / n still ranks thresholds: it is precision times recall up to
N, which no threshold changes (Lee and Liu). Neither needs a fully annotated image.

The assumption: labels are a random sample of the cells, drawn whatever a cell looks
like and however well it is found. Who marks the plainest cells first has labels with a
higher recall and, above high thresholds, a higher "precision" than is true;
nothing here can tell. Cells nearer to each other than the radius may
share a detection; their labels seldom do, so that r is a little high where cells crowd.

References:
  Lee and Liu, Learning with positive and unlabeled examples using weighted logistic
  regression, ICML 2003, section 4: r^2 / Pr[f(X) = 1].
  Elkan and Noto, Learning classifiers from only positive and unlabeled data, KDD 2008:
  what follows where labels are selected completely at random.
"""

from collections.abc import Sequence
import functools
from typing import Any

import numpy as np

from cellrec_jax.metrics import counting, samples
from cellrec_jax.metrics import results as results_lib

RULES = ("f1", "lee_liu", "known_share")
"""What a threshold maximises; see `rule_of`."""

_HALF = 0.5  # label, so that no share of few is certain


def rule_of(name: str, share: float = 1.0) -> counting.Rule:
    """What a threshold maximises: a function of m, n and L, in [0, 1].

    "f1" (all cells are labelled), "lee_liu" or "known_share" (of `share`, c in (0, 1]).

    Example:
      >>> m, n, labels = np.array([8]), np.array([100]), 10
      >>> [round(float(rule_of(r, 0.1)(m, n, labels)[0]), 3) for r in RULES]
      [0.145, 0.064, 0.8]
    """
    if name == "f1":
        return counting.f1_of
    if name == "lee_liu":
        return _lee_liu
    return functools.partial(_known_share, share=share)


def _lee_liu(matched: Any, predicted: Any, num_labels: Any) -> np.ndarray:
    """r^2 / n, times L to be at most 1."""
    matched = np.asarray(matched, np.float64)
    return samples.ratio(matched**2, np.asarray(predicted) * num_labels)


def _known_share(
    matched: Any, predicted: Any, num_labels: Any, *, share: float
) -> np.ndarray:
    """F1 if all cells were labelled; above 1 where more match than the share says."""
    twice = 2.0 * np.asarray(matched, np.float64)
    return samples.ratio(twice, share * np.asarray(predicted) + num_labels)


def threshold_intervals(
    results: Sequence[results_lib.ImageResult],
    radius_px: float,
    num_classes: int,
    rule: counting.Rule,
    *,
    shared: bool = False,
    strict: bool = False,
    by_image: bool = False,
    num: int = 200,
    seed: int = 0,
) -> np.ndarray:
    """95 % intervals f32 [K, 2] of thresholds that `counting.fit_thresholds` chose.

    From `num` resamplings, with replacement, of the labels of a class (of all, if
    `shared`), or of whole images `by_image`, where every cell is labelled. NaN without
    labels, or for a single image.
    """
    if shared:
        merged = results_lib.as_one_class(results)
        options: dict[str, Any] = {"strict": strict, "by_image": by_image}
        one = threshold_intervals(
            merged, radius_px, 1, rule, **options, num=num, seed=seed
        )
        return one.repeat(num_classes, axis=0)
    rng = np.random.default_rng(seed)
    found = np.full((num_classes, 2), np.nan, np.float32)
    for label in range(num_classes):
        pooled = results_lib.pool_points(results, label, radius_px, strict=strict)
        if not pooled.num_truth.sum() or (by_image and len(results) < 2):
            continue
        draw = _draw_images if by_image else _draw_labels
        cuts = [
            counting.best_cut(pooled.scores, *draw(pooled, rng), rule)
            for _ in range(num)
        ]
        found[label] = samples.interval(np.array(cuts))
    return found


def _draw_labels(
    pooled: results_lib.Pooled, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float]:
    """Matches and detections so far [D], and labels, of as many labels drawn anew."""
    total, matched = int(pooled.num_truth.sum()), int(pooled.is_tp.sum())
    drawn = rng.multinomial(total, np.full(total, 1 / total))
    hits = np.zeros(len(pooled.scores), np.int64)
    hits[pooled.is_tp] = drawn[:matched]  # of the others none is ever matched
    return np.cumsum(hits), np.arange(1, len(hits) + 1), total


def _draw_images(
    pooled: results_lib.Pooled, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float]:
    """The same of as many images drawn anew."""
    number = len(pooled.num_truth)
    drawn = rng.multinomial(number, np.full(number, 1 / number))
    weights = drawn[pooled.image_index]
    hits = np.cumsum(weights * pooled.is_tp)
    return hits, np.cumsum(weights), float(drawn @ pooled.num_truth)
