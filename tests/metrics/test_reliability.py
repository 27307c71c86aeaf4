import numpy as np
import pytest

from cellrec_jax.metrics import reliability


def test_bins_and_error_by_hand():
    scores = np.array([0.1, 0.2, 0.6, 0.8, 1.0])
    is_tp = np.array([False, True, True, False, True])
    found = reliability.reliability(scores, is_tp, num_bins=2)
    assert found.counts.tolist() == [2, 3]
    np.testing.assert_allclose(found.mean_score, [0.15, 0.8])
    np.testing.assert_allclose(found.fraction_true, [0.5, 2 / 3])
    expected = 2 / 5 * 0.35 + 3 / 5 * (0.8 - 2 / 3)
    assert found.ece == pytest.approx(expected)


def test_borders_belong_to_the_upper_bin_and_one_to_the_last():
    found = reliability.reliability(np.array([0.0, 0.5, 1.0]), np.ones(3, bool), 2)
    assert found.counts.tolist() == [1, 2]


def test_empty_bins_and_empty_sets():
    found = reliability.reliability(np.array([0.9]), np.array([True]), 4)
    assert np.isnan(found.mean_score[:3]).all()
    assert found.ece == pytest.approx(0.1)
    found = reliability.reliability(np.zeros(0), np.zeros(0, bool))
    assert found.ece is None
    assert found.counts.sum() == 0


def test_honest_scores_have_a_small_error(rng):
    scores = rng.random(20000)
    is_tp = rng.random(20000) < scores
    assert reliability.reliability(scores, is_tp).ece < 0.02
    assert reliability.reliability(scores**0.2, is_tp).ece > 0.2
