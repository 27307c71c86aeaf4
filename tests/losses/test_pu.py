"""Golden: `tests/golden/nnpu_case.npz`, outputs of the original implementation.

Of Kiryo et al. 2017 (github.com/kiryor/nnPUlearning), run on the CPU under chainer
7.8.1 with prior 0.55. Keys `<surrogate>_<pos|neg>_<beta>_<gamma>_{x,g,l}`: 40 scores,
their gradient and the loss, with labels `t` (+1 positive, -1 unlabelled). The `neg`
cases have a negative R_u^- - prior R_p^-.
"""

import functools
import itertools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
import jax
import jax.numpy as jnp
from jax.test_util import check_grads
import numpy as np
import pytest

from cellrec_jax.losses import pu

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "nnpu_case.npz")
CASES = list(
    itertools.product(
        ("sigmoid", "logistic"),
        ("pos", "neg"),
        (("0.0", "1.0"), ("0.0", "0.5"), ("0.1", "1.0")),
    )
)
COUNT = 6
SCORES = npst.arrays(
    np.float32, COUNT, elements=st.integers(-8, 8).map(lambda k: k / 2)
)
KINDS = npst.arrays(np.int32, COUNT, elements=st.integers(-1, 1))

STATIC = ("estimator", "surrogate")


def _risk(scores, *args, **options):
    result = pu.pu_risk(scores, *args, **options)
    return result.risk, result


pu_risk = jax.jit(pu.pu_risk, static_argnames=STATIC)
risk_and_grad = jax.jit(jax.value_and_grad(_risk, has_aux=True), static_argnames=STATIC)


def loss(name: str, margin: float) -> float:
    """Surrogates of one number in float64."""
    if name == "zero_one":
        return 0.5 if margin == 0 else float(margin < 0)
    return 1 / (1 + np.exp(margin)) if name == "sigmoid" else np.log1p(np.exp(-margin))


def loop_risk(scores, kinds, prior, estimator, surrogate, beta=0.0):
    """The definition in loops; kinds: 1 positive, -1 unlabelled, 0 padding."""
    positives = [float(s) for s, kind in zip(scores, kinds, strict=True) if kind == 1]
    unlabeled = [float(s) for s, kind in zip(scores, kinds, strict=True) if kind == -1]

    def mean(values, sign):
        losses = [loss(surrogate, sign * value) for value in values]
        return sum(losses) / max(len(losses), 1)

    positive_risk = prior * mean(positives, 1)
    negative_risk = 0.0
    if unlabeled:
        negative_risk = mean(unlabeled, -1) - prior * mean(positives, -1)
    if estimator == "clip":
        return positive_risk + max(0.0, negative_risk)
    if estimator == "non_negative":
        return positive_risk + (negative_risk if negative_risk >= -beta else -beta)
    return positive_risk + negative_risk


def test_risk_by_hand():
    # Zero-one: R_p^+ = 1/4, R_p^- = 3/4; of the unlabelled one is right, one wrong and
    # one undecided, R_u^- = 1/2. R^- is 1/2 - .8 * 3/4 = -.1.
    scores = jnp.array([3.0, 1.0, 2.0, -1.0, 5.0, -2.0, 0.0, 9.0])
    positive = jnp.arange(8) < 4
    unlabeled = ~positive & (jnp.arange(8) < 7)
    for estimator, beta, expected in [
        ("unbiased", 0.0, 0.1),
        ("clip", 0.0, 0.2),
        ("non_negative", 0.0, 0.2),
        ("non_negative", 0.05, 0.15),
        ("non_negative", 0.2, 0.1),
    ]:
        result = pu_risk(
            scores,
            positive,
            unlabeled,
            0.8,
            estimator=estimator,
            surrogate="zero_one",
            beta=beta,
        )
        np.testing.assert_allclose(result, [expected, 0.2, -0.1], atol=1e-6)


@pytest.mark.parametrize(("surrogate", "sign", "numbers"), CASES)
def test_golden(surrogate, sign, numbers):
    case = "_".join([surrogate, sign, *numbers])
    beta, gamma = map(float, numbers)
    (value, parts), grad = risk_and_grad(
        GOLDEN[f"{case}_x"],
        GOLDEN["t"] == 1,
        GOLDEN["t"] == -1,
        0.55,
        estimator="non_negative",
        surrogate=surrogate,
        beta=beta,
        gamma=gamma,
    )
    assert value == pytest.approx(float(GOLDEN[f"{case}_l"]), abs=1e-6)
    np.testing.assert_allclose(grad, GOLDEN[f"{case}_g"], atol=1e-6)
    assert (parts.negative_risk < 0) == (sign == "neg")


@pytest.mark.parametrize("estimator", pu.ESTIMATORS)
@pytest.mark.parametrize("surrogate", sorted(pu.SURROGATES))
@given(scores=SCORES, kinds=KINDS, prior=st.sampled_from([0.1, 0.5, 0.9]))
def test_risk_against_loops(estimator, surrogate, scores, kinds, prior):
    args = scores, kinds == 1, kinds == -1, np.float32(prior)
    result = pu_risk(*args, estimator=estimator, surrogate=surrogate, beta=0.05)
    expected = loop_risk(scores, kinds, prior, estimator, surrogate, beta=0.05)
    assert result.risk == pytest.approx(expected, abs=2e-6)


def overfitted(rng, count=40):
    """Scores that tell positives from unlabelled: R^- is below 0."""
    positive = np.arange(count) < count // 4
    unlabeled = ~positive & (np.arange(count) < count - 5)
    scores = np.where(positive, 3.0, -3.0) + rng.normal(size=count)
    return scores.astype(np.float32), positive, unlabeled


def test_below_zero_clip_forgets_the_unlabeled_and_ascent_the_positive_risk(rng):
    args = overfitted(rng)
    _, positive, unlabeled = args
    grads = {}
    for estimator in pu.ESTIMATORS:
        (_, parts), grads[estimator] = risk_and_grad(*args, 0.5, estimator=estimator)
        assert parts.negative_risk < 0
    assert not grads["clip"][unlabeled].any()
    assert (grads["clip"][positive] < 0).all()
    # The step back: unlabelled scores are raised less, positive ones lowered.
    ascent = grads["non_negative"]
    np.testing.assert_allclose(
        ascent, grads["clip"] - grads["unbiased"], rtol=1e-5, atol=1e-8
    )
    _, half = risk_and_grad(*args, 0.5, estimator="non_negative", gamma=0.5)
    np.testing.assert_allclose(half, ascent / 2, rtol=1e-6)


def test_above_zero_all_estimators_agree(rng):
    scores, positive, unlabeled = overfitted(rng)
    results = [
        risk_and_grad(-scores, positive, unlabeled, 0.3, estimator=estimator)
        for estimator in pu.ESTIMATORS
    ]
    same = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    for other in results[1:]:
        jax.tree.map(same, other, results[0])


@pytest.mark.parametrize("surrogate", ["logistic", "sigmoid"])
@pytest.mark.parametrize("estimator", ["unbiased", "clip"])
def test_gradients_against_differences(estimator, surrogate, rng):
    scores, positive, unlabeled = overfitted(rng)
    options = {"estimator": estimator, "surrogate": surrogate}

    def risk(values):
        return pu_risk(values, positive, unlabeled, 0.5, **options).risk

    check_grads(risk, (scores,), order=1, modes=["rev"], rtol=1e-2)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -1e30])
def test_padding_changes_nothing(garbage, rng):
    scores, positive, unlabeled = overfitted(rng)
    padding = ~(positive | unlabeled)
    for estimator in pu.ESTIMATORS:
        (value, _), grad = risk_and_grad(
            np.where(padding, np.float32(garbage), scores),
            positive,
            unlabeled,
            0.4,
            estimator=estimator,
        )
        kinds = positive.astype(int) - unlabeled
        expected = loop_risk(scores, kinds, 0.4, estimator, "logistic")
        assert value == pytest.approx(expected, rel=1e-5)
        assert not grad[padding].any()
        assert np.isfinite(grad).all()


def test_certain_negatives_cost_nothing():
    scores = jnp.array([0.0, -jnp.inf])
    (value, _), grad = risk_and_grad(
        scores, jnp.array([True, False]), jnp.array([False, True]), 0.5
    )
    assert value == pytest.approx(np.log(2) / 2)
    assert grad.tolist() == [-0.25, 0.0]


@pytest.mark.parametrize("estimator", pu.ESTIMATORS)
def test_missing_kinds_are_finite_inside_jit(estimator):
    scores, none = jnp.array([1.0, -2.0]), jnp.zeros(2, bool)
    softplus = np.log1p(np.exp([-1.0, 1.0, 2.0, -2.0]))
    for positive, unlabeled, expected in [
        (~none, none, 0.5 * (softplus[0] + softplus[2]) / 2),
        (none, ~none, (softplus[1] + softplus[3]) / 2),
        (none, none, 0.0),
    ]:
        (value, _), grad = risk_and_grad(
            scores, positive, unlabeled, 0.5, estimator=estimator
        )
        assert value == pytest.approx(expected, rel=1e-6)
        assert np.isfinite(grad).all()
        assert (grad[0] != 0) == bool((positive | unlabeled).any())
    assert pu_risk(jnp.zeros(0), none[:0], none[:0], 0.5, estimator=estimator).risk == 0


def test_numbers_out_of_range_are_clipped_inside_jit(rng):
    args = overfitted(rng)

    def found(prior=0.5, **numbers):
        numbers = {"beta": 0.0, "gamma": 1.0} | numbers
        return risk_and_grad(*args, prior, estimator="non_negative", **numbers)

    same = functools.partial(jax.tree.map, np.testing.assert_array_equal)
    for wrong, right in [(-1.0, 0.0), (np.nan, 0.0), (1.5, 1.0), (np.inf, 1.0)]:
        assert np.isfinite(found(wrong)[0][0])
        same(found(wrong), found(right))
        same(found(gamma=wrong), found(gamma=right))
    for wrong in (-1.0, np.nan):
        same(found(beta=wrong), found())
    assert not found(gamma=np.nan)[1].any()  # no step back


def test_half_precision_accumulates_in_float32():
    count = 4096  # beyond 256, bfloat16 does not count
    scores = jnp.full(count, 0.5, jnp.bfloat16)
    positive = jnp.arange(count) < 1000
    (value, _), grad = risk_and_grad(scores, positive, ~positive, 0.25)
    wrong, right = np.log1p(np.exp([0.5, -0.5]))
    assert value.dtype == jnp.float32
    assert value == pytest.approx(0.25 * right + 0.75 * wrong, rel=1e-6)
    assert grad.dtype == jnp.bfloat16


def test_vmap_takes_one_prior_per_class(rng):
    kinds = rng.integers(-1, 2, (COUNT, 3))
    scores = rng.normal(size=(COUNT, 3)).astype(np.float32)
    priors = np.array([0.2, 0.5, 0.7], np.float32)
    risk = functools.partial(pu.pu_risk, estimator="non_negative", surrogate="sigmoid")
    columns = jax.vmap(risk, in_axes=(1, 1, 1, 0))
    together = jax.jit(columns)(scores, kinds == 1, kinds == -1, priors)
    for k in range(3):
        column = scores[:, k], kinds[:, k] == 1, kinds[:, k] == -1, priors[k]
        alone = pu_risk(*column, estimator="non_negative", surrogate="sigmoid")
        np.testing.assert_allclose([part[k] for part in together], alone, rtol=1e-6)


def test_prior_has_no_gradient(rng):
    scores, positive, unlabeled = overfitted(rng)
    grad = jax.grad(lambda prior: pu.pu_risk(scores, positive, unlabeled, prior).risk)
    assert grad(0.5) == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sigmoid", [0.880797, 0.5, 0.119203]),
        ("logistic", [2.126928, 0.693147, 0.126928]),
        ("zero_one", [1, 0.5, 0]),
    ],
)
def test_surrogates_by_hand(name, expected):
    # 1 / (1 + e^z) and log(1 + e^-z) at -2, 0 and 2.
    margins = jnp.array([-2.0, 0.0, 2.0])
    np.testing.assert_allclose(pu.SURROGATES[name](margins), expected, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(pu.SURROGATES))
def test_surrogates_far_out_are_finite(name):
    margins = jnp.array([-1e4, -100.0, 0.0, 100.0, 1e4])
    surrogate = pu.SURROGATES[name]
    slopes = jax.vmap(jax.grad(surrogate))(margins)
    assert np.isfinite(surrogate(margins)).all()
    assert np.isfinite(slopes).all()
    assert (name != "zero_one") or not slopes.any()


def test_logistic_gradient():
    check_grads(pu.logistic, (jnp.array([-3.0, 0.0, 0.5]),), order=1, rtol=1e-2)
    assert jax.grad(jax.grad(pu.logistic))(0.0) == 0.25
