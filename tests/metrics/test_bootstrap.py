import numpy as np
import pytest

from cellrec_jax.metrics import bootstrap


def test_sets_have_the_size_of_the_original():
    counts = bootstrap.resample_counts(7, 50, seed=3)
    assert counts.shape == (50, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert (counts == bootstrap.resample_counts(7, 50, seed=3)).all()
    assert (counts != bootstrap.resample_counts(7, 50, seed=4)).any()


@pytest.mark.parametrize("num_images", [0, 1])
def test_one_image_gives_no_sets(num_images):
    assert bootstrap.resample_counts(num_images, 50, seed=0).shape == (0, num_images)


def test_interval_by_hand():
    low, high = bootstrap.interval(np.append(np.arange(101.0), np.nan))
    assert low == pytest.approx(2.5)
    assert high == pytest.approx(97.5)
    assert bootstrap.interval(np.array([np.nan])) == (None, None)
    assert bootstrap.interval(np.zeros(0)) == (None, None)


def test_interval_of_a_mean_has_the_known_width(rng):
    values = rng.normal(size=200)
    counts = bootstrap.resample_counts(200, 4000, seed=0)
    low, high = bootstrap.interval(counts @ values / 200)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 200**0.5, rel=0.1)
