import itertools

import numpy as np
import pytest

from cellrec_jax.losses import class_prior
from cellrec_jax.losses.class_prior import fixed_prior, penl1_prior


def gaussians(rng, truth, *, separation=3.0, count=800, dims=2):
    """Positive samples, and unlabelled ones of which `truth` are positive."""
    shift = np.eye(dims)[0] * separation
    positive = rng.normal(size=(count, dims)) + shift
    unlabeled = rng.normal(size=(count, dims))
    unlabeled[: round(count * truth)] += shift
    return positive, unlabeled


def mean_kernel(sample, center, sigma):
    return np.mean([np.exp(-np.sum((x - center) ** 2) / 2 / sigma**2) for x in sample])


def coefficients(positive, unlabeled, centers, prior, sigma):
    return np.array(
        [
            prior * mean_kernel(positive, center, sigma)
            - mean_kernel(unlabeled, center, sigma)
            for center in centers
        ]
    )


def brute_force(positive, unlabeled, seed, num_centers, num_folds, grids):
    """One kernel value, one fold and one candidate at a time."""
    priors, factors, lambdas = grids
    rng = np.random.default_rng(seed)
    centers = unlabeled[rng.choice(len(unlabeled), num_centers, replace=False)]
    fold_p, fold_u = (
        rng.permutation([i * num_folds // len(sample) for i in range(len(sample))])
        for sample in (positive, unlabeled)
    )
    median = np.median([[np.linalg.norm(x - c) for c in centers] for x in unlabeled])

    def held_out(prior, sigma, lambda_):
        total = 0.0
        for fold in range(num_folds):
            train, test = (
                (positive[chosen_p], unlabeled[chosen_u], centers)
                for chosen_p, chosen_u in (
                    (fold_p != fold, fold_u != fold),
                    (fold_p == fold, fold_u == fold),
                )
            )
            beta = coefficients(*train, prior, sigma)
            tested = coefficients(*test, prior, sigma)
            total -= np.maximum(0, beta) / lambda_ @ tested / num_folds
        return total

    scores, chosen = [], []
    for prior in priors:
        pairs = list(itertools.product(median * np.array(factors), lambdas))
        sigma, lambda_ = min(pairs, key=lambda pair: held_out(prior, *pair))
        beta = coefficients(positive, unlabeled, centers, prior, sigma)
        scores.append(np.maximum(0, beta) / lambda_ @ beta - prior + 1)
        chosen.append((sigma, lambda_))
    best = int(np.argmin(scores))
    return priors[best], *chosen[best], scores


@pytest.mark.parametrize("seed", range(3))
def test_against_brute_force(seed):
    rng = np.random.default_rng(seed)
    positive, unlabeled = rng.normal(1, 1, (13, 2)), rng.normal(0, 1, (17, 2))
    grids = (0.1, 0.4, 0.8), (0.3, 1.0), (0.01, 1.0)
    # An odd count of distances: the root of their median is the median of the roots.
    result = penl1_prior(
        positive,
        unlabeled,
        seed=seed,
        num_centers=7,
        num_folds=3,
        priors=grids[0],
        sigma_factors=grids[1],
        lambdas=grids[2],
    )
    *expected, scores = brute_force(positive, unlabeled, seed, 7, 3, grids)
    np.testing.assert_allclose(result[:3], expected, rtol=1e-10)
    np.testing.assert_allclose(result.scores, scores, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(result.candidates, grids[0])


@pytest.mark.parametrize("truth", [0.2, 0.5, 0.8])
def test_finds_the_prior_of_classes_that_lie_apart(truth, rng):
    result = penl1_prior(*gaussians(rng, truth))
    assert result.prior == pytest.approx(truth, abs=0.1)
    assert result.scores.shape == result.candidates.shape == (19,)
    assert result.prior == result.candidates[result.scores.argmin()]


def test_overlap_raises_the_estimate(rng):
    apart, mixed = (
        penl1_prior(*gaussians(rng, 0.2, separation=gap, dims=5), num_centers=100)
        for gap in (4.0, 1.5)
    )
    assert apart.prior <= 0.3
    assert mixed.prior >= 0.35


def test_is_a_function_of_the_seed(rng):
    samples = gaussians(rng, 0.5, count=100)
    first, again, other = (
        penl1_prior(*samples, seed=seed, num_centers=20) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.scores, again.scores)
    assert first[:3] == again[:3]
    assert not np.array_equal(first.scores, other.scores)


def test_neither_origin_nor_unit_matters(rng):
    positive, unlabeled = gaussians(rng, 0.5, count=200)
    here = penl1_prior(positive, unlabeled)
    there = penl1_prior(positive * 100 + 1e5, unlabeled * 100 + 1e5)
    np.testing.assert_allclose(there.scores, here.scores, atol=1e-6)
    assert there.sigma == pytest.approx(here.sigma * 100)


def test_folds_are_even(rng):
    folds = class_prior._fold_members(13, 5, rng)
    assert sorted(folds.sum(axis=1)) == [2, 2, 3, 3, 3]
    assert (folds.sum(axis=0) == 1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positive": np.zeros((8, 3))}, r"\[P, D\] and \[U, D\]"),
        ({"positive": np.full((8, 2), np.nan)}, "positive features hold NaN"),
        ({"unlabeled": np.ones((8, 2))}, "features are equal"),
        ({"positive": np.zeros((4, 2))}, "too few for 5 folds"),
    ],
)
def test_bad_input_is_named(change, message, rng):
    samples = {
        "positive": rng.normal(size=(8, 2)),
        "unlabeled": rng.normal(size=(8, 2)),
    }
    with pytest.raises(ValueError, match=message):
        penl1_prior(**(samples | change))


def test_fixed_prior():
    assert fixed_prior(10, 90) == pytest.approx(0.55)
    assert fixed_prior(10, 30, unlabeled_share=0.2) == pytest.approx(0.4)
