from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
import numpy as np
import pytest
from scipy import ndimage
from skimage import measure, morphology

from cellrec_jax.methods.vicar import watershed_seeds

SIZE_HW = (18, 25)
MASKS = npst.arrays(bool, SIZE_HW, elements=st.booleans())
OPTIONS = watershed_seeds.SeedOptions(0.5, min_area_px=10, max_hole_px=5, h_px=1.0)


def find_seeds(restored, options):
    threshold, min_area_px, max_hole_px, h_px = options
    mask = watershed_seeds.foreground(restored, threshold, min_area_px, max_hole_px)
    distance = watershed_seeds.distance_map(mask)
    return watershed_seeds.centroids(watershed_seeds.h_maxima(distance, h_px))


def discs(size_hw, centers_yx, radius):
    y, x = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    inside = [np.hypot(y - cy, x - cx) < radius for cy, cx in centers_yx]
    return np.any(inside, axis=0)


def slow_large(mask, least_area):
    out = np.zeros_like(mask)
    for region in measure.regionprops(measure.label(mask, connectivity=2)):
        if region.area >= least_area:
            out[tuple(region.coords.T)] = True
    return out


def coarse(mask):
    """Larger objects than single random pixels have."""
    return ndimage.binary_dilation(mask & np.roll(mask, 1, 0) & np.roll(mask, 1, 1))


@given(MASKS, st.integers(0, 12), st.integers(0, 12))
def test_foreground_equals_the_slow_one(mask, min_area, max_hole):
    found = watershed_seeds.foreground(mask.astype(float), 0.5, min_area, max_hole)
    filled = ~slow_large(~mask, max_hole)
    np.testing.assert_array_equal(found, slow_large(filled, min_area))


def test_foreground_by_hand():
    image = np.zeros((8, 12))
    image[1:6, 1:6] = 1
    image[3, 3] = 0  # a hole of 1 px
    image[2, 9:11] = 1  # an object of 2 px
    image[7, 11] = np.nan
    count = {
        (min_area, max_hole): watershed_seeds.foreground(
            image, 0.5, min_area, max_hole
        ).sum()
        for min_area in (2, 3)
        for max_hole in (1, 2)
    }
    assert count == {(2, 1): 26, (2, 2): 27, (3, 1): 24, (3, 2): 25}


@given(MASKS, st.sampled_from([0.0, 0.4, 1.0, 1.5]))
def test_h_maxima_equal_scikit_image(mask, h_px):
    distance = watershed_seeds.distance_map(coarse(mask))
    square = np.ones((3, 3))
    cut = morphology.reconstruction(
        distance - np.float32(h_px), distance, footprint=square
    )
    expected = morphology.local_maxima(cut, connectivity=2) & (cut > 0)
    found = watershed_seeds.h_maxima(distance, h_px)
    np.testing.assert_array_equal(found > 0, expected)
    np.testing.assert_array_equal(found, ndimage.label(expected, square)[0])


def test_h_maxima_of_a_profile():
    """Peaks of 5 and 4 with a saddle of 3 between; a step of 2 is no peak."""
    profile = np.array([[0, 1, 2, 2, 3, 5, 3, 4, 0, 1, 0]], np.float32)

    def tops(h_px):
        return np.flatnonzero(watershed_seeds.h_maxima(profile, h_px)[0]).tolist()

    assert tops(0) == [5, 7, 9]
    assert tops(0.5) == [5, 7, 9]
    assert tops(1) == [5]
    assert tops(2) == [4, 5, 6, 7]
    assert tops(5) == []


def test_touching_discs_have_two_seeds():
    centers_yx = np.array([[12.5, 13.5], [16.5, 29.5]])
    image = discs((32, 45), centers_yx, 9).astype(np.float32)
    assert ndimage.label(image)[1] == 1
    points_yx = find_seeds(image, OPTIONS)
    assert points_yx.dtype == np.float32
    order = np.argsort(points_yx[:, 0])
    np.testing.assert_allclose(points_yx[order], centers_yx, atol=1.0)
    merged = find_seeds(image, OPTIONS._replace(h_px=6.0))
    assert len(merged) == 1


def test_centroids_are_centres_of_pixels():
    labels = np.zeros((4, 6), int)
    labels[1, 2:4] = 1
    labels[3, 0] = 2
    points_yx = watershed_seeds.centroids(labels)
    np.testing.assert_array_equal(points_yx, [[1.5, 3.0], [3.5, 0.5]])


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0, np.nan])
def test_one_value_has_no_seed(value):
    points_yx = find_seeds(np.full(SIZE_HW, value), OPTIONS)
    assert points_yx.shape == (0, 2)
