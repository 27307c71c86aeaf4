"""Class priors for the positive-unlabelled risk: a fixed rule and an estimate.

On the host, in NumPy. penL1 finds the prior whose multiple of the positive density is
nearest to that of all, in an L1 distance that forbids exceeding it: with Gaussian
kernels and beta = prior mean_P(kernel) - mean_U(kernel), the sum over kernels of max(0,
beta)^2 / lambda, + 1 - prior; width and lambda are cross-validated for each prior.

Sources: du Plessis, Niu and Sugiyama, Class-prior Estimation for Learning from Positive
and Unlabeled Data, ACML 2015 (penL1; grids as in T. Sakai's public code); Fujii et al.,
Cell Detection from Imperfect Annotation by Pseudo Label Selection Using
P-classification, MICCAI 2021.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

PRIORS = tuple(np.arange(1, 20) / 20)
"""0.05 to 0.95."""
SIGMA_FACTORS = tuple(np.logspace(-2, 1, 10))
"""Kernel widths, in units of the median distance."""
LAMBDAS = tuple(np.logspace(-3, 1, 10))


class PriorEstimate(NamedTuple):
    """A prior, its kernel width (in units of the features) and regularisation."""

    prior: float
    sigma: float
    lambda_: float
    candidates: np.ndarray  # f64 [G], the priors tried
    scores: np.ndarray  # f64 [G], penalised L1 distance; least at `prior`


class _FoldMeans(NamedTuple):
    """Mean kernel values of one sample."""

    train: np.ndarray  # [F, b], without each fold
    test: np.ndarray  # [F, b], of each fold
    all: np.ndarray  # [b]


def fixed_prior(
    num_positive: int, num_unlabeled: int, unlabeled_share: float = 0.5
) -> float:
    """Prior (N_P + share N_U) / (N_P + N_U), as the public code of Fujii et al.

    The share of positives among all. The risk is about that among the unlabelled, just
    the share in [0, 1), and with this one takes too many for positive.

    Example:
      >>> fixed_prior(100, 300)
      0.625
    """
    total = num_positive + num_unlabeled
    return (num_positive + unlabeled_share * num_unlabeled) / total


def penl1_prior(
    positive: np.ndarray,
    unlabeled: np.ndarray,
    *,
    seed: int = 0,
    num_centers: int = 300,
    num_folds: int = 5,
    priors: Sequence[float] = PRIORS,
    sigma_factors: Sequence[float] = SIGMA_FACTORS,
    lambdas: Sequence[float] = LAMBDAS,
) -> PriorEstimate:
    """Estimates the share of positives among unlabelled samples (penL1).

    The classes must lie apart, else the estimate is too high: for two 2-D Gaussians
    with priors .2, .5, .8 it is .21, .48, .78 at 3 standard deviations, .29, .56, .82
    at 1.5. A ValueError for features not finite or of unequal D, fewer than folds or in
    one place.

    Args:
      positive: [P, D] features of labelled samples, of comparable scale along D.
      unlabeled: [U, D].
      seed: of the draw of centres and folds.
      num_centers: kernels; all unlabelled samples where there are fewer.
      num_folds: >= 2, of the cross-validation.
      priors: candidates in (0, 1); of equal scores the first is taken.
      sigma_factors: > 0, kernel widths in median distances of samples to centres.
      lambdas: > 0, regularisation of the divergence.
    """
    positive, unlabeled = _as_samples(positive, unlabeled)
    grids = [np.asarray(grid, np.float64) for grid in (priors, sigma_factors, lambdas)]
    if min(len(positive), len(unlabeled)) < num_folds:
        raise ValueError(
            f"{len(positive)} positive and {len(unlabeled)} unlabelled samples are too "
            f"few for {num_folds} folds: add samples or take fewer folds"
        )
    candidates, factors, strengths = grids
    rng = np.random.default_rng(seed)
    count = min(num_centers, len(unlabeled))
    centers = unlabeled[rng.choice(len(unlabeled), count, replace=False)]
    folds_p = _fold_members(len(positive), num_folds, rng)
    folds_u = _fold_members(len(unlabeled), num_folds, rng)
    squared_p = _squared_distances(positive, centers)
    squared_u = _squared_distances(unlabeled, centers)
    sigmas = _kernel_widths(squared_u, factors)
    divergences = [
        _divergences(
            _fold_means(squared_p, folds_p, sigma),
            _fold_means(squared_u, folds_u, sigma),
            candidates,
        )
        for sigma in sigmas
    ]
    return _best_prior(np.stack(divergences, axis=1), sigmas, strengths, candidates)


def _best_prior(
    divergences: np.ndarray,
    sigmas: np.ndarray,
    strengths: np.ndarray,
    candidates: np.ndarray,
) -> PriorEstimate:
    """The prior of least distance, of divergences [2, S, G], held out and fitted."""
    held_out, fitted = divergences
    objective = -held_out[:, None] / strengths[:, None]
    chosen = objective.reshape(-1, len(candidates)).argmin(axis=0)
    sigma_idx, lambda_idx = np.unravel_index(chosen, objective.shape[:2])
    divergence = fitted[sigma_idx, np.arange(len(candidates))]
    scores = divergence / strengths[lambda_idx] - candidates + 1.0
    best = int(scores.argmin())
    return PriorEstimate(
        prior=float(candidates[best]),
        sigma=float(sigmas[sigma_idx[best]]),
        lambda_=float(strengths[lambda_idx[best]]),
        candidates=candidates,
        scores=scores,
    )


def _kernel_widths(squared: np.ndarray, factors: np.ndarray) -> np.ndarray:
    median = np.sqrt(np.median(squared))
    if median == 0:
        raise ValueError("most unlabelled features are equal: no kernel width fits")
    return median * factors


def _divergences(
    positive: _FoldMeans, unlabeled: _FoldMeans, priors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Divergence times lambda (a factor) of a width: held out, fitted, both [G]."""
    share = priors[:, None, None]
    fit = np.maximum(share * positive.train - unlabeled.train, 0.0)
    held_out = np.sum(fit * (share * positive.test - unlabeled.test), axis=2)
    fit_all = np.maximum(priors[:, None] * positive.all - unlabeled.all, 0.0)
    return held_out.mean(axis=1), np.sum(fit_all**2, axis=1)


def _fold_means(squared: np.ndarray, folds: np.ndarray, sigma: float) -> _FoldMeans:
    """Averages exp(-d^2 / 2 sigma^2) of [N, b] distances; `folds` is one-hot [F, N]."""
    sums = folds @ np.exp(squared * (-0.5 / sigma**2))
    counts = folds.sum(axis=1, keepdims=True)
    total, count = sums.sum(axis=0), counts.sum()
    return _FoldMeans((total - sums) / (count - counts), sums / counts, total / count)


def _fold_members(count: int, num_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Draws folds of equal size (within one) as a one-hot [num_folds, count] matrix."""
    fold = rng.permutation(np.arange(count) * num_folds // count)
    return (fold == np.arange(num_folds)[:, None]).astype(np.float64)


def _squared_distances(samples: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """[N, b] by a matrix product, which for thousands of features is what is fast."""
    middle = centers.mean(axis=0)  # near 0 fewer digits cancel
    samples, centers = samples - middle, centers - middle
    norms = np.sum(samples**2, axis=1)[:, None] + np.sum(centers**2, axis=1)
    return np.maximum(norms - 2.0 * samples @ centers.T, 0.0)


def _as_samples(
    positive: np.ndarray, unlabeled: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    samples = np.asarray(positive, np.float64), np.asarray(unlabeled, np.float64)
    shapes = [array.shape for array in samples]
    if any(len(shape) != 2 for shape in shapes) or shapes[0][1:] != shapes[1][1:]:
        raise ValueError(f"features must be [P, D] and [U, D], not {shapes}")
    for name, array in zip(("positive", "unlabelled"), samples, strict=True):
        if not np.isfinite(array).all():
            raise ValueError(f"{name} features hold NaN or infinity: drop those rows")
    return samples
