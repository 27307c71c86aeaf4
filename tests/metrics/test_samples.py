import numpy as np
import pytest

from cellrec_jax.metrics import samples


def test_sets_have_the_size_of_the_original_which_comes_first():
    weights = samples.draw(7, 50, seed=3)
    assert weights.shape == (51, 7)
    assert weights[0].tolist() == [1] * 7
    assert (weights.sum(axis=1) == 7).all()
    assert (weights == samples.draw(7, 50, seed=3)).all()
    assert (weights[1:] != samples.draw(7, 50, seed=4)[1:]).any()


@pytest.mark.parametrize("num_images", [0, 1])
def test_one_image_gives_no_other_sets(num_images):
    assert samples.draw(num_images, 50, seed=0).tolist() == [[1] * num_images]


def test_interval_by_hand():
    low, high = samples.interval(np.append(np.arange(101.0), np.nan))
    assert low == pytest.approx(2.5)
    assert high == pytest.approx(97.5)
    assert samples.interval(np.array([np.nan])) == (None, None)
    assert samples.interval(np.zeros(0)) == (None, None)


def test_interval_of_a_mean_has_the_known_width(rng):
    values = rng.normal(size=200)
    counts = samples.draw(200, 4000, seed=0)[1:]
    low, high = samples.interval(counts @ values / 200)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 200**0.5, rel=0.1)


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
