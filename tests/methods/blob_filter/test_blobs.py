"""The filter's answers to shapes for which they can be worked out."""

import numpy as np
import pytest

from cellrec_jax.methods.blob_filter import blobs

SIZE_HW = (81, 101)
CENTER_YX = (38.5, 52.5)
EVERYWHERE = np.ones(SIZE_HW, bool)


def _distance():
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]] + 0.5
    return np.hypot(y - CENTER_YX[0], x - CENTER_YX[1])


@pytest.mark.parametrize("sigma", [4.0, 6.0, 9.0])
def test_a_gaussian_answers_as_calculated(sigma):
    """Of width s and height 1: 2 s^2 sigma^2 / (s^2 + sigma^2)^2 at its centre."""
    spot = np.exp(-(_distance() ** 2) / (2 * 6.0**2)).astype(np.float32)
    expected = 2 * 36 * sigma**2 / (36 + sigma**2) ** 2
    heights = blobs.response(spot, sigma)
    assert heights[38, 52] == pytest.approx(expected, rel=0.02)
    points_yx, found = blobs.peaks(heights, sigma, EVERYWHERE, 5)
    np.testing.assert_array_equal(points_yx[0], CENTER_YX)
    assert found[0] == heights[38, 52]


def test_a_disc_answers_most_to_its_own_size():
    """By 2 / e at sigma = r / sqrt(2), where r is half of its diameter."""
    disc = (_distance() <= 12).astype(np.float32)
    sigmas = blobs.sigma_of(24.0) * np.array([0.5, 0.7, 1.0, 1.4, 2.0])
    answers = [blobs.response(disc, sigma)[38, 52] for sigma in sigmas]
    assert np.argmax(answers) == 2
    assert answers[2] == pytest.approx(2 / np.e, rel=0.02)


def test_a_plain_image_and_a_ramp_have_no_blobs():
    ramp = np.broadcast_to(np.arange(101, dtype=np.float32) / 100, SIZE_HW)
    flat = np.full(SIZE_HW, 0.3, np.float32)
    assert np.abs(blobs.response(ramp, 5.0)[:, 30:70]).max() < 1e-4
    assert len(blobs.peaks(blobs.response(flat, 5.0) * 0, 5.0, EVERYWHERE, 9)[0]) == 0


def test_peaks_are_the_highest_within_the_distance_and_inside():
    heights = np.zeros((20, 30), np.float32)
    heights[5, 5:7] = 3.0  # a plateau of two
    heights[5, 9] = 2.0  # 3 px from it
    heights[14, 20], heights[14, 26], heights[18, 2] = 4.0, 1.0, -1.0
    heights[1, 28] = 9.0
    valid = np.ones((20, 30), bool)
    valid[:3] = False
    points_yx, found = blobs.peaks(heights, 3.0, valid, 9)
    assert points_yx.tolist() == [[14.5, 20.5], [5.5, 6.0], [14.5, 26.5]]
    assert found.tolist() == [4.0, 3.0, 1.0]
    assert len(blobs.peaks(heights, 6.0, valid, 9)[0]) == 2
    assert len(blobs.peaks(heights, 2.0, valid, 9)[0]) == 4
    assert blobs.peaks(heights, 2.0, valid, 1)[1].tolist() == [4.0]


def test_the_rim_is_that_of_the_valid_region():
    valid = np.ones((6, 9), bool)
    valid[:, 7:] = False
    points_yx = np.array([[1.2, 1.9], [0.9, 3.0], [3.0, 0.5], [3.0, 5.9], [3.0, 6.1]])
    kept = blobs.off_the_rim(points_yx, valid)
    assert kept.tolist() == [True, False, False, True, False]
    assert blobs.off_the_rim(points_yx[:0], valid).shape == (0,)
