"""Paired differences by hand, and by a loop over drawn sets."""

import numpy as np
import pytest

from cellrec_jax.metrics import counting, paired, samples


def _counts(*seeds):
    """From (matched, predicted, truth) of each image, seed by seed."""
    return counting.PointCounts(*np.moveaxis(np.array(seeds), -1, 0).swapaxes(1, 2))


# Two images, two seeds. F1 of the first: 1 and 1/2, then 1 and 1; of the second: 1/2
# and 1/2, then 1/2 and 1.
FIRST = _counts([(2, 2, 2), (1, 2, 2)], [(2, 2, 2), (2, 2, 2)])
SECOND = _counts([(1, 2, 2), (1, 2, 2)], [(1, 2, 2), (2, 2, 2)])


def test_two_seeds_by_hand():
    found = paired.compare(FIRST, SECOND, num_bootstrap=200)
    # Pooled: 6/8 - 4/8 and 8/8 - 6/8; of images: 1/2 and 0 with both seeds.
    assert found.total.value == pytest.approx(0.25)
    assert found.total.by_seed == pytest.approx((0.25, 0.25))
    assert found.mean.value == pytest.approx(0.25)
    assert found.mean.by_seed == pytest.approx((0.25, 0.25))
    assert (found.mean.low, found.mean.high) == (0, 0.5)  # one image twice
    assert found.num_skipped == 0


def test_large_images_weigh_more_in_the_total():
    """F1 is 1 against 0 in the image of one cell, 1/2 against 1/2 in that of 20."""
    first, second = _counts([(1, 1, 1), (10, 20, 20)]), _counts([(0, 1, 1), (10,) * 3])
    second = second._replace(num_predicted=np.array([[1], [20]]))
    second = second._replace(num_truth=np.array([[1], [20]]))
    found = paired.compare(first, second, num_bootstrap=0)
    assert found.total.value == pytest.approx(2 * 11 / 42 - 2 * 10 / 42)
    assert found.mean.value == pytest.approx(0.5)
    assert found.total.low is found.mean.high is None


def test_an_image_without_cells_and_detections_in_either_is_skipped():
    first = _counts([(0, 0, 0), (2, 2, 2), (0, 0, 0)])
    second = _counts([(0, 3, 0), (1, 2, 2), (0, 0, 0)])
    found = paired.compare(first, second)
    assert found.mean.value == pytest.approx(0.5)
    assert found.num_skipped == 2
    assert found.total.value == pytest.approx(1 - 2 / 7)
    as_one = paired.compare(first, second, empty_is_one=True)
    assert as_one.mean.value == pytest.approx((1 + 0.5 + 0) / 3)
    assert as_one.num_skipped == 0


def test_a_class_that_is_nowhere_is_undefined():
    nothing = _counts([(0, 0, 0), (0, 0, 0)])
    found = paired.compare(nothing, nothing)
    assert found.total == found.mean == (None, None, None, ())
    assert found.num_skipped == 2


def test_intervals_are_of_images_drawn_alike_for_both():
    rng = np.random.default_rng(0)
    truth = np.repeat(rng.integers(0, 9, (12, 1)), 3, axis=1)
    sides = []
    for _ in range(2):
        predicted = rng.integers(0, 9, truth.shape)
        matched = rng.integers(0, np.minimum(truth, predicted) + 1)
        sides.append(counting.PointCounts(matched, predicted, truth))
    found = paired.compare(*sides, num_bootstrap=60, seed=3)
    total, mean = [], []
    for weights in samples.draw(12, 60, 3)[1:]:
        drawn = np.repeat(np.arange(12), weights)
        by_seed = []
        for seed in range(3):
            f1 = [
                2
                * one.num_matched[drawn, seed].sum()
                / (one.num_predicted[drawn, seed] + one.num_truth[drawn, seed]).sum()
                for one in sides
            ]
            by_seed.append(f1[0] - f1[1])
        total.append(np.mean(by_seed))
        own = [np.array(_image_means(sides))[drawn]]
        mean.append(np.nanmean(own))
    np.testing.assert_allclose(
        (found.total.low, found.total.high), np.quantile(total, [0.025, 0.975])
    )
    np.testing.assert_allclose(
        (found.mean.low, found.mean.high), np.quantile(mean, [0.025, 0.975])
    )


def _image_means(sides):
    """An image's differences averaged over the seeds that have one, else NaN."""
    means = []
    for image in range(12):
        values = []
        for seed in range(3):
            below = [
                one.num_predicted[image, seed] + one.num_truth[image, seed]
                for one in sides
            ]
            if all(below):
                f1 = [
                    2 * one.num_matched[image, seed] / n
                    for one, n in zip(sides, below, strict=True)
                ]
                values.append(f1[0] - f1[1])
        means.append(np.mean(values) if values else np.nan)
    return means
