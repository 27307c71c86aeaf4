import numpy as np
import pytest

from cellrec_jax.metrics import bootstrap, samples


def test_the_set_itself_comes_first():
    weights = samples.draw(4, 10, seed=3)
    assert weights[0].tolist() == [1, 1, 1, 1]
    np.testing.assert_array_equal(weights[1:], bootstrap.resample_counts(4, 10, 3))
    assert samples.draw(1, 10, seed=3).tolist() == [[1]]
    assert samples.draw(0, 10, seed=3).shape == (1, 0)


def test_entry_by_hand():
    values = np.array([0.5, *np.linspace(0, 1, 41), np.nan])
    found = samples.entry(
        values, num_images=np.int64(3), num_truth=np.int64(2), num_predicted=1
    )
    assert found == {
        "value": 0.5,
        "low": pytest.approx(0.025),
        "high": pytest.approx(0.975),
        "num_images": 3,
        "num_truth": 2,
        "num_predicted": 1,
    }
    assert type(found["num_truth"]) is int


def test_an_undefined_value_has_no_interval():
    found = samples.entry(
        np.array([np.nan, 0.1, 0.2]), num_images=0, num_truth=0, num_predicted=0
    )
    assert found["value"] is found["low"] is found["high"] is None


def test_ratio_and_mean_leave_out_what_is_undefined():
    found = samples.ratio(np.array([[1, 0], [3, 0]]), np.array([[2, 0], [4, 5]]))
    np.testing.assert_array_equal(found, [[0.5, np.nan], [0.75, 0.0]])
    np.testing.assert_array_equal(samples.mean_defined(found), [0.5, 0.375])
    assert np.isnan(samples.mean_defined(np.full((2, 3), np.nan))).all()
    assert samples.number(np.nan) is None
