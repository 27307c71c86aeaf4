"""Stains of pixels that were made of known amounts."""

import numpy as np
import pytest

from cellrec_jax.methods.blob_filter import signals

HAEMATOXYLIN, EOSIN = np.array([0.65, 0.70, 0.29]), np.array([0.07, 0.99, 0.11])
DAB = np.array([0.27, 0.57, 0.78])


def _pixel(*densities):
    return (10.0 ** -sum(densities)).reshape(1, 1, 3).astype(np.float32)


def test_stains_are_the_amounts_of_haematoxylin_and_dab():
    image = _pixel(0.4 * HAEMATOXYLIN, 0.3 * EOSIN, 0.5 * DAB)
    np.testing.assert_allclose(signals.signal(image, "stains", 1.0), 0.9, atol=1e-5)
    np.testing.assert_allclose(
        signals.dab(image, np.array([[0.5, 0.5]]), 1.0), 0.5, 1e-5
    )


def test_less_than_no_stain_is_none():
    """Haematoxylin that is bluer than the published one: DAB would be below 0."""
    image = _pixel(0.4 * HAEMATOXYLIN - 0.1 * DAB)
    np.testing.assert_allclose(signals.signal(image, "stains", 1.0), 0.4, atol=1e-5)
    assert signals.dab(image, np.array([[0.5, 0.5]]), 1.0) == 0


def test_density_and_light_are_means_over_the_channels():
    image = np.array([[[0.1, 0.01, 1.0]]], np.float32)
    np.testing.assert_allclose(signals.signal(image, "density", 1.0), 1.0, rtol=1e-6)
    np.testing.assert_allclose(signals.signal(image, "light", 1.0), 0.37, rtol=1e-6)
    black = np.zeros((1, 1, 1), np.float32)
    np.testing.assert_allclose(
        signals.signal(black, "density", 1.0), np.log10(255), rtol=1e-6
    )


def test_contrast_is_high_on_both_sides_of_an_edge():
    """Far from it there is none; a pixel from it 1/2 of the step is missing, nearly."""
    image = np.zeros((5, 80, 1), np.float32)
    image[:, 40:] = 0.6
    found = signals.signal(image, "contrast", 8.0)
    np.testing.assert_allclose(found[:, [0, -1]], 0, atol=1e-4)
    np.testing.assert_allclose(found[:, [39, 40]], 0.285, atol=5e-3)


def test_dab_is_the_mean_of_a_disc_in_the_image():
    """One of the five pixels within 1 px of (1, 2), of the three of a corner."""
    image = np.ones((4, 6, 3), np.float32)
    image[0, 2] = _pixel(0.6 * DAB)[0, 0]
    image[0, 0] = image[0, 2]
    points_yx = np.array([[1.5, 2.5], [0.5, 0.5], [3.5, 5.5]])
    np.testing.assert_allclose(
        signals.dab(image, points_yx, 1.0), [0.6 / 5, 0.6 / 3, 0], atol=1e-6
    )


@pytest.mark.parametrize("garbage", [0.0, 7.0, np.nan])
def test_what_is_not_valid_becomes_the_median_of_the_rest(garbage):
    image = np.array([[0.2, 0.3, 0.8, garbage]], np.float32)[..., None]
    valid = np.array([[True, True, True, False]])
    np.testing.assert_array_equal(
        signals.filled(image, valid)[0, :, 0], np.float32([0.2, 0.3, 0.8, 0.3])
    )
    assert not signals.filled(image, np.zeros_like(valid)).any()
