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
`chosen` tells of the worst of it. Cells nearer to each other than the radius may
share a detection; their labels seldom do, so that r is a little high where cells crowd.

Withheld labels of training images need more. Their places are ignored in training, but
the cells about them that have no label are learnt as background (by boxes, points and
plain maps). So r(t) of withheld labels may be higher than that of those cells, and n(t)
counts the cells whose labels were trained on, too.

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

_NEARLY_ALL = 0.9  # of detections are cells, as the labels among them have it
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


def estimates(
    counts: counting.PointCounts,
    share: float,
    radius_px: float,
    *,
    exact: bool = False,
    num: int = 1000,
    seed: int = 0,
) -> samples.ByClass:
    """Estimates of images' metrics, and the same of `num` sets of labels drawn anew.

    Counts [I, K] at the operating thresholds, where "truth" are labels. Named
    `recall_estimated@12px`, likewise `precision` and `F1` (12 is `radius_px`; at most
    1), and `count_estimated`, the number of cells; only recall where `share` is 0,
    unknown. Row 0 is the estimate. The others keep the detections and draw from the
    cells that the labels stand for: each at the chance `share`, or, if `exact`, as many
    as there are labels of all classes, for shares that were drawn. To the cells of each
    class half a label is added that matches and half a one that does not, so that no
    share is certain.
    """
    matched, predicted, labels = (part.sum(axis=0) for part in counts)
    missed = labels - matched
    rng = np.random.default_rng(seed)
    drawn = _drawn_anew(matched, missed, share, exact, rng, num)
    hits, misses = (
        np.concatenate([first[None], others])
        for first, others in zip((matched, missed), drawn, strict=True)
    )
    sums = [part.sum(axis=-1) for part in (hits, misses, predicted)]
    together = _ratios(sums[0], sums[1], sums[2], share)
    by_class = _ratios(hits, misses, predicted, share)
    return {
        f"{name}_estimated{f'@{radius_px:g}px' * (name != 'count')}": (
            together[name],
            by_class[name],
        )
        for name in by_class
    }


def _drawn_anew(
    matched: np.ndarray,
    missed: np.ndarray,
    share: float,
    exact: bool,
    rng: np.random.Generator,
    num: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Labels [num, K] that match and that do not."""
    size, total = (num, len(matched)), matched + missed
    if not share:
        hits = rng.binomial(total, (matched + _HALF) / (total + 2 * _HALF), size)
        return hits, total - hits
    found, lost = (
        np.rint((part + _HALF) / share).astype(np.int64) for part in (matched, missed)
    )
    if exact:  # of all classes together: how many are of each is chance, too
        cells = np.concatenate([found, lost])
        drawn = rng.multivariate_hypergeometric(cells, total.sum(), num, "marginals")
        return drawn[:, : len(found)], drawn[:, len(found) :]
    return rng.binomial(found, share, size), rng.binomial(lost, share, size)


def _ratios(
    hits: np.ndarray, misses: np.ndarray, predicted: np.ndarray, share: float
) -> dict[str, np.ndarray]:
    """Name -> estimates, elementwise; NaN where undefined."""
    labels = hits + misses
    found = {"recall": samples.ratio(hits, labels)}
    if not share:
        return found
    marked = share * np.broadcast_to(predicted, hits.shape)
    right = np.minimum(hits, marked)  # as precision is at most 1
    found["precision"] = samples.ratio(right, marked)
    found["F1"] = samples.ratio(2 * right, marked + labels)
    found["count"] = labels / share
    return found


def chosen(
    scores: np.ndarray,
    labelled: np.ndarray,
    share: float = 0.0,
    stains: np.ndarray | None = None,
) -> dict[str, float]:
    """How likely labels that are a random sample of the cells look as these do.

    Of detections above the threshold: `scores` [D], whether a label matches, bool [D],
    and `stains` [D], such as lightness, if known. Name -> p value in [0, 1]:
    "lower scores" than others have: labels of a random sample seldom do, as false
    detections score lower than cells. In the better half of detections "too many of the
    best", more than a `share` of them (0 unknown), by the binomial; and "higher scores"
    and "another stain", which tell of labels where nearly all there are cells alone:
    left out where a known share says that fewer are. By Mann and Whitney.
    """
    from scipy import stats  # late: it takes a second

    def rank(values: np.ndarray, among: np.ndarray, side: str) -> float:
        own, others = values[among & labelled], values[among & ~labelled]
        if not len(own) or not len(others):
            return 1.0
        return float(stats.mannwhitneyu(own, others, alternative=side).pvalue)

    everywhere = np.ones(len(scores), bool)
    if not len(scores):
        return {}
    best = scores >= np.median(scores)
    number = int((best & labelled).sum())
    found = {"lower scores": rank(scores, everywhere, "less")}
    if not share or number >= _NEARLY_ALL * share * best.sum():
        found["higher scores"] = rank(scores, best, "greater")
        if stains is not None:
            found["another stain"] = rank(stains, best, "two-sided")
    if share:
        many = stats.binomtest(number, int(best.sum()), share, alternative="greater")
        found["too many of the best"] = float(many.pvalue)
    return found
