"""Solvers of the convex problem, against SciPy in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from cellrec_jax.losses.ranking import solvers as ranking_solvers
from cellrec_jax.metrics import ranking

COUNT, DIM = 192, 4  # one shape, so that each solver compiles once
SOLVERS = {
    "lbfgs": ranking_solvers.solve_lbfgs,
    "sgd": functools.partial(ranking_solvers.solve_sgd, epochs=50, learning_rate=1e-4),
}
jitted = {name: jax.jit(solve) for name, solve in SOLVERS.items()}


def solved(name, features, positive, negative=None, **options):
    """Result with the features, given as [n, d], padded to the one shape."""
    count, dim = features.shape
    padded = np.zeros((COUNT, DIM), features.dtype)
    padded[:count, DIM - dim :] = features
    masks = np.zeros((2, COUNT), bool)
    masks[:, :count] = positive, (~positive if negative is None else negative)
    options = {"p": 4.0, "ridge": 0.1, "initial": np.zeros(DIM)} | options
    options = {name: np.float32(option) for name, option in options.items()}
    return jitted[name](padded, *masks, **options)


def overlapping(rng, count=COUNT):
    """Features that do not separate the labels; the last column is constant."""
    positive = np.arange(count) % 3 == 0
    features = rng.normal(size=(count, DIM)) + 0.5 * positive[:, None]
    features[:, -1] = 1.0
    return features.astype(np.float32), positive


def objective(weights, features, positive, p=4.0, ridge=0.1):
    """Value and gradient in float64, written out."""
    features = np.asarray(features, np.float64)
    scores = features @ weights
    kept, lost = np.exp(-scores) * positive, np.exp(p * scores) / p * ~positive
    free_bias = np.arange(len(weights)) < len(weights) - 1
    value = kept.sum() + lost.sum() + ridge * np.sum(weights[free_bias] ** 2)
    slope = features.T @ (p * lost - kept) + 2 * ridge * weights * free_bias
    return value, slope


def optimum(*args):
    return optimize.minimize(
        objective,
        np.zeros(DIM),
        args,
        jac=True,
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000},
    )


def test_reaches_the_optimum(rng):
    features, positive = overlapping(rng)
    for p, ridge in [(1.0, 0.1), (4.0, 0.1), (4.0, 0.0), (16.0, 1.0)]:
        found = solved("lbfgs", features, positive, p=p, ridge=ridge)
        expected = optimum(features, positive, p, ridge)
        weights = np.asarray(found.weights, np.float64)
        value, _ = objective(weights, features, positive, p, ridge)
        assert found.converged
        assert value == pytest.approx(expected.fun, rel=1e-6)
        np.testing.assert_allclose(weights, expected.x, atol=1e-4)
        history = np.asarray(found.history)
        assert history[-1, 0] == pytest.approx(value, rel=1e-5)
        np.testing.assert_allclose(history[:, 0], history[:, 1:].sum(1), rtol=1e-5)
        assert (np.diff(history[:, 0]) <= 1e-5 * history[0, 0]).all()
        assert history[0, 0] == pytest.approx(64 + 128 / p)  # at 0
        assert (history[int(found.steps) :] == history[-1]).all()


def trade_off():
    """Most positives are told by the first feature, the top few by the second.

    A few negatives lie highest in the first.
    """
    rng = np.random.default_rng(0)
    groups = [
        ((1.0, 0.0), 60, True),
        ((1.0, 2.0), 20, True),
        ((-1.0, 0.5), 100, False),
        ((2.5, -0.5), 10, False),
    ]
    points = np.concatenate(
        [np.array(center) + 0.6 * rng.normal(size=(n, 2)) for center, n, _ in groups]
    )
    positive = np.concatenate([np.full(n, kind) for _, n, kind in groups])
    features = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    return features.astype(np.float32), positive


def ranked(features, positive, p):
    """Precision of the top 10 and AUC."""
    found = solved("lbfgs", features, positive, p=p, ridge=1e-3)
    scores = features @ np.asarray(found.weights)[1:]
    top = positive[np.argsort(-scores)[:10]].mean()
    return top, ranking.auc(scores, positive)


def test_larger_p_raises_precision_at_the_top_and_lowers_auc():
    measures = [ranked(*trade_off(), p) for p in (1.0, 2.0, 4.0, 16.0)]
    tops, areas = zip(*measures, strict=True)
    assert tops == (0.6, 0.7, 0.9, 1.0)
    assert list(areas) == sorted(areas, reverse=True)
    assert areas[0] - areas[-1] > 0.05


@pytest.mark.parametrize(("scale", "start"), [(1e-3, 300.0), (1e3, 0.1)])
def test_starts_where_the_objective_overflows(scale, start, rng):
    features, positive = overlapping(rng)
    expected = optimum(features, positive)
    scaled = features * np.append(np.full(DIM - 1, scale), 1.0).astype(np.float32)
    options = {"initial": np.full(DIM, start), "ridge": 0.1 * scale**2}
    found = solved("lbfgs", scaled, positive, **options)
    assert np.isinf(found.history[0, 0])
    assert found.history[-1, 0] == pytest.approx(expected.fun, rel=1e-4)


def test_separable_without_ridge_ends_finite():
    features = np.array([[2.0, 1.0], [1.0, 1.0], [-1.0, 1.0]], np.float32)
    positive = np.array([True, True, False])
    found = solved("lbfgs", features, positive, ridge=0.0)
    scores = features @ np.asarray(found.weights)[-2:]
    assert np.isfinite(scores).all()
    assert scores[positive].min() > scores[~positive].max()


@pytest.mark.parametrize("name", SOLVERS)
def test_padding_changes_nothing(name, rng):
    features, positive = overlapping(rng)
    real = np.arange(COUNT) < COUNT - 4
    masks = positive & real, ~positive & real
    clean = solved(name, features, *masks)
    without = solved(name, features[real], positive[real])
    np.testing.assert_allclose(clean.weights, without.weights, atol=1e-6)
    for garbage in (np.nan, np.inf, 1e30):
        features[~real] = garbage
        dirty = solved(name, features, *masks)
        jax.tree.map(np.testing.assert_array_equal, dirty, clean)


@pytest.mark.parametrize("name", SOLVERS)
def test_bad_input_keeps_the_start_inside_jit(name, rng):
    features, positive = overlapping(rng)
    none, start = np.zeros(COUNT, bool), np.arange(DIM, dtype=np.float32)
    for rows, *masks in [
        (features, none, none),
        (features, ~none, none),
        (features, none, ~none),
        (np.full_like(features, np.nan), positive, ~positive),
    ]:
        found = solved(name, rows, *masks, initial=start)
        assert found.weights.tolist() == start.tolist()
        assert not found.converged
    args = name, features, positive
    jax.tree.map(
        np.testing.assert_array_equal,
        solved(*args, p=0.5, ridge=-1.0),
        solved(*args, p=1.0, ridge=0.0),
    )
    wrong = np.array([np.nan] + [0.0] * (DIM - 2) + [np.inf])
    jax.tree.map(
        np.testing.assert_array_equal,
        solved(*args, p=np.inf, ridge=np.inf, initial=wrong),
        solved(*args, p=1.0, ridge=0.0),
    )
    if name == "lbfgs":
        found = solved(*args, tolerance=np.nan, initial=start)
        assert found.weights.tolist() == start.tolist()
        assert not found.converged


@pytest.mark.slow
@pytest.mark.parametrize("name", SOLVERS)
def test_no_rows_inside_jit(name):
    none = np.zeros(0, bool)
    found = jitted[name](np.zeros((0, 2), np.float32), none, none)
    assert found.weights.tolist() == [0.0, 0.0]


@pytest.mark.slow
@pytest.mark.parametrize("name", SOLVERS)
def test_half_precision_features(name, rng):
    features, positive = overlapping(rng)
    rough = jnp.asarray(features, jnp.bfloat16)
    found = SOLVERS[name](rough, positive, ~positive, ridge=0.1)
    assert found.weights.dtype == jnp.float32
    expected = solved(name, np.asarray(rough, np.float32), positive)
    np.testing.assert_allclose(found.weights, expected.weights, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", SOLVERS)
def test_vmap_is_a_loop(name, rng):
    cases = [overlapping(rng) for _ in range(3)]
    features, positive = (np.stack(parts) for parts in zip(*cases, strict=True))
    solve = functools.partial(SOLVERS[name], ridge=0.1)
    together = jax.vmap(solve)(features, positive, ~positive)
    for index, case in enumerate(cases):
        alone = solved(name, *case)
        np.testing.assert_allclose(together.weights[index], alone.weights, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", SOLVERS)
def test_only_rows_of_a_mask_need_to_be_finite(name, rng):
    features, positive = overlapping(rng)
    positive[0], negative = False, ~positive
    negative[0], features[0] = False, np.nan
    found = SOLVERS[name](features, positive, negative)
    assert np.isfinite(found.weights).all()
