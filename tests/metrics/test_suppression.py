from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.metrics import suppression
from cellrec_jax.ops import nms


def slow_suppress(points_yx, scores, distance):
    kept = []
    for i in np.argsort(-scores, kind="stable"):
        if all(np.sum((points_yx[i] - points_yx[j]) ** 2) >= distance**2 for j in kept):
            kept.append(i)
    return np.isin(np.arange(len(scores)), kept)


@given(
    seed=st.integers(0, 10**6),
    num=st.integers(0, 40),
    distance=st.floats(0.0, 30.0),
    block=st.sampled_from([1, 7, 100]),
)
def test_against_a_loop(seed, num, distance, block):
    rng = np.random.default_rng(seed)
    points_yx = rng.uniform(0, 1, (num, 2)) * np.array([30, 70])
    scores = rng.integers(0, 8, num) / 8  # ties
    with mock.patch.object(suppression, "_BLOCK", block):
        kept = suppression.suppress(points_yx, scores, distance)
    np.testing.assert_array_equal(kept, slow_suppress(points_yx, scores, distance))


@given(seed=st.integers(0, 10**6), distance=st.integers(1, 10))
def test_whole_pixels_on_the_border_and_equal_points(seed, distance):
    rng = np.random.default_rng(seed)
    points_yx = rng.integers(0, (9, 14), (40, 2)).astype(np.float32)
    scores = rng.integers(0, 5, 40).astype(np.float32)
    kept = suppression.suppress(points_yx, scores, distance)
    np.testing.assert_array_equal(kept, slow_suppress(points_yx, scores, distance))


def test_a_dropped_point_drops_no_other():
    points_yx = np.array([[4.0, 6.0], [4.0, 0.0], [4.0, 3.0]])
    kept = suppression.suppress(points_yx, np.array([0.7, 0.9, 0.8]), 5.0)
    assert kept.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("distance", "expected"), [(5.0, [True, True]), (5.001, [True, False])]
)
def test_exactly_at_the_distance(distance, expected):
    points_yx = np.array([[1.0, 2.0], [4.0, 6.0]])
    kept = suppression.suppress(points_yx, np.array([0.5, 0.4]), distance)
    assert kept.tolist() == expected


def test_zero_keeps_equal_points():
    assert suppression.suppress(np.ones((3, 2)), np.ones(3), 0.0).all()


def test_agrees_with_the_compiled_one():
    rng = np.random.default_rng(3)
    points_yx = rng.integers(0, (40, 90), (64, 2)).astype(np.float32)
    scores = -np.arange(64.0)
    expected = nms.point_nms(
        jnp.asarray(points_yx), jnp.ones(64, bool), jnp.asarray(7.0)
    )
    kept = suppression.suppress(points_yx, scores, 7.0)
    np.testing.assert_array_equal(kept, np.asarray(expected))
    assert 0 < kept.sum() < 64


@pytest.mark.parametrize("num", [0, 1])
def test_too_few_to_drop(num):
    kept = suppression.suppress(np.zeros((num, 2)), np.zeros(num), 12.0)
    assert kept.tolist() == [True] * num


@pytest.mark.parametrize("distance", [-1.0, np.nan])
def test_bad_distance(distance):
    with pytest.raises(ValueError, match="distance"):
        suppression.suppress(np.zeros((2, 2)), np.zeros(2), distance)


def test_points_of_one_group_do_not_drop_each_other():
    points_yx = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 1.5], [0.0, 0.5]])
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    groups = np.array([0, 0, 1, 1])
    kept = suppression.suppress(points_yx, scores, 2.0, groups=groups)
    assert kept.tolist() == [True, True, False, False]
    kept = suppression.suppress(points_yx, scores, 2.0, groups=np.zeros(4))
    assert kept.all()
