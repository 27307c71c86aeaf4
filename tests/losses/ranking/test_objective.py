import functools

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
import jax
import jax.numpy as jnp
from jax.test_util import check_grads
import numpy as np
import pytest

from cellrec_jax.losses.ranking import objective as ranking

COUNT = 6
SCORES = npst.arrays(
    np.float32, COUNT, elements=st.integers(-6, 6).map(lambda k: k / 2)
)
KINDS = npst.arrays(np.int32, COUNT, elements=st.integers(-1, 1))

log_loss = ranking.log_p_classification
graded = jax.jit(jax.value_and_grad(log_loss))


def loop_loss(scores, kinds, p):
    """The definition in loops; kinds: 1 positive, -1 negative, 0 padding."""
    total = 0.0
    for score, kind in zip(np.asarray(scores, float), kinds, strict=True):
        if kind == 1:
            total += np.exp(-score)
        elif kind == -1:
            total += np.exp(p * score) / p
    return total


def mixed(rng, count=COUNT):
    """Scores of positives and negatives, and two of padding."""
    kinds = np.resize([1, -1, 0, -1, 1, 0], count)
    return rng.normal(size=count).astype(np.float32), kinds == 1, kinds == -1


def test_by_hand():
    # e^0 + e^-ln2 = 1.5 of the positives, (2^2 + 2^-2) / 2 of the negatives.
    ln2 = np.log(2)
    scores = jnp.array([0.0, ln2, ln2, -ln2])
    positive = jnp.arange(4) < 2
    negative = ~positive
    assert log_loss(scores, positive, negative, p=2) == pytest.approx(np.log(3.625))


@given(scores=SCORES, kinds=KINDS, p=st.sampled_from([1.0, 2.5, 4.0]))
def test_against_loops(scores, kinds, p):
    value, _ = graded(scores, kinds == 1, kinds == -1, p=np.float32(p))
    expected = np.log(loop_loss(scores, kinds, p)) if kinds.any() else 0
    assert value == pytest.approx(expected, rel=1e-5, abs=2e-6)


def test_least_over_a_constant_bounds_the_pairs(rng):
    scores, positive, negative = mixed(rng)
    low, high = np.exp(-scores[positive]).sum(), np.exp(scores[negative]).sum()
    shift = np.float32(np.log(low / high) / 2)
    value, slope = graded(scores + shift, positive, negative, p=1.0)
    pairs = np.exp(scores[negative][None] - scores[positive][:, None])
    assert np.exp(value) == pytest.approx(2 * np.sqrt(pairs.sum()), rel=1e-5)
    assert slope.sum() == pytest.approx(0, abs=1e-5)


def test_gradients_against_differences(rng):
    scores, positive, negative = mixed(rng)
    check_grads(
        lambda values: log_loss(values, positive, negative, p=2.0),
        (scores,),
        order=1,
        modes=["rev"],
        rtol=1e-2,
    )


def test_no_score_overflows_the_logarithm():
    # Alone, the largest exponent: 4 * 1e4 - log 4 for negatives, 1e4 for positives.
    positive = jnp.array([True, True, False, False])
    for scores, expected, gradient in [
        ([0.0, 1e4, 1e4, 0.0], 4e4 - np.log(4), [0, 0, 4, 0]),
        ([-1e4, 1e4, -1e4, 0.0], 1e4, [-1, 0, 0, 0]),
        ([1e4, 1e4, -1e4, -1e4], -1e4 + np.log(2), [-0.5, -0.5, 0, 0]),
    ]:
        value, slope = graded(jnp.array(scores), positive, ~positive, p=4.0)
        assert value == pytest.approx(expected, rel=1e-6)
        np.testing.assert_allclose(slope, gradient, atol=1e-6)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -1e30])
def test_padding_changes_nothing(garbage, rng):
    scores, positive, negative = mixed(rng)
    padding = ~(positive | negative)
    value, gradient = graded(scores, positive, negative)
    dirty = np.where(padding, np.float32(garbage), scores)
    dirty_value, dirty_gradient = graded(dirty, positive, negative)
    assert dirty_value == value
    np.testing.assert_array_equal(dirty_gradient, gradient)
    assert not gradient[padding].any()
    real = ~padding
    without = log_loss(scores[real], positive[real], negative[real])
    assert without == pytest.approx(float(value), rel=1e-6)


def test_half_precision_accumulates_in_float32():
    count = 4096  # beyond 256, bfloat16 does not count
    scores = jnp.full(count, 0.5, jnp.bfloat16)
    positive = jnp.arange(count) < 1000
    expected = 1000 * np.exp(-0.5) + 3096 * np.exp(2) / 4
    value, gradient = graded(scores, positive, ~positive)
    assert value.dtype == jnp.float32
    assert value == pytest.approx(np.log(expected), rel=1e-6)
    assert gradient.dtype == jnp.bfloat16


def test_vmap_takes_one_p_per_column(rng):
    kinds = rng.integers(-1, 2, (COUNT, 3))
    kinds[:2] = [[1], [-1]]
    scores = rng.normal(size=(COUNT, 3)).astype(np.float32)
    powers = np.array([1.0, 2.0, 8.0], np.float32)

    @functools.partial(jax.vmap, in_axes=(1, 1, 1, 0))
    def columns(scores, positive, negative, p):
        return log_loss(scores, positive, negative, p=p)

    together = columns(scores, kinds == 1, kinds == -1, powers)
    for k in range(3):
        expected = loop_loss(scores[:, k], kinds[:, k], powers[k])
        assert together[k] == pytest.approx(np.log(expected), rel=1e-5, abs=2e-6)


def test_bad_input_is_finite_inside_jit():
    scores, none = jnp.array([1.0, -2.0]), jnp.zeros(2, bool)
    for positive, negative, expected in [
        (~none, none, np.exp(-1) + np.exp(2)),
        (none, ~none, (np.exp(4) + np.exp(-8)) / 4),
        (~none, ~none, np.exp(-1) + np.exp(2)),  # both: counted as positive
        (none, none, 1.0),
    ]:
        value, gradient = graded(scores, positive, negative)
        assert value == pytest.approx(np.log(expected), rel=1e-5)
        assert np.isfinite(gradient).all()
    assert graded(scores[:0], none[:0], none[:0])[0] == 0
    right = graded(scores, ~none, none, p=1.0)[0]
    for p in (0.5, 0.0, -1.0, np.nan, np.inf):  # as 1
        assert graded(scores, ~none, none, p=p)[0] == right
