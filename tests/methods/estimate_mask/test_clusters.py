"""Clusters of colour, and masks cleaned within their polygons."""

import dataclasses
import warnings

import numpy as np

from cellrec_jax.methods.estimate_mask import clusters, voronoi
from cellrec_jax.methods.estimate_mask.options import MaskOptions

OPTIONS = MaskOptions()
POINTS = np.array([[20.5, 20.5], [20.5, 60.5], [60.5, 40.5]], np.float32)
SIZE_HW = (80, 80)


def scene():
    """Dark discs of 8 px at points, a brownish ring around each, on white, noisy."""
    rng = np.random.default_rng(0)
    _, distance = voronoi.nearest(POINTS, SIZE_HW)
    image = np.full((*SIZE_HW, 3), 240.0)
    image[distance <= 14] = (190, 160, 120)
    image[distance <= 8] = (60, 60, 110)
    return image + rng.normal(0, 4, image.shape), distance


def split(image, distance, valid=None, near=None, seed=0, **options):
    return clusters.split(
        image.astype(np.float32),
        distance,
        distance <= 2 if near is None else near,
        np.ones(SIZE_HW, bool) if valid is None else valid,
        options=dataclasses.replace(OPTIONS, **options),
        seed=seed,
    )


def test_nuclei_are_where_points_are_and_background_is_away():
    image, distance = scene()
    for seed in range(3):
        nuclei, background = split(image, distance, seed=seed)
        assert nuclei[distance <= 7].mean() > 0.99
        assert not nuclei[distance > 10].any()
        assert background[distance > 18].mean() > 0.99
        assert not background[distance <= 8].any()
        again = split(image, distance, seed=seed)
        np.testing.assert_array_equal(nuclei, again[0])


def test_colours_and_distances_are_weighed():
    """A dark and a bright half: by a tenth of colours, points tell; by colours not."""
    _, distance = voronoi.nearest(POINTS, SIZE_HW)
    image = np.full((*SIZE_HW, 3), 100.0)
    image[:, 40:] = 160
    near = distance <= 2
    left = np.indices(SIZE_HW)[1] < 40
    nuclei, _ = split(image, distance, num_clusters=4)
    assert nuclei[near & left].all() != nuclei[near & ~left].all()
    nuclei, _ = split(image, distance, num_clusters=2, color_scale=100.0)
    assert nuclei[near].all()
    assert not nuclei[distance > 15].any()


def test_background_is_what_is_far_from_points():
    """Not what is largest: here that is the seam; and far pixels are few."""
    _, distance = voronoi.nearest(POINTS, SIZE_HW)
    image = np.full((*SIZE_HW, 3), 200.0)
    image[distance <= 24] = 140
    image[distance <= 8] = 40
    for seed in range(3):
        nuclei, background = split(image, distance, seed=seed, far_px=8.0)
        np.testing.assert_array_equal(nuclei, distance <= 8)
        np.testing.assert_array_equal(background, distance > 24)
        assert background.sum() < (~nuclei & ~background).sum()


def test_pixels_outside_of_the_region_are_in_no_cluster():
    image, distance = scene()
    valid = np.ones(SIZE_HW, bool)
    valid[:, 50:] = False
    whole = split(image, distance, valid)
    image[~valid] = 0  # garbage
    distance = np.where(valid, distance, 1e6).astype(np.float32)
    for one, other in zip(whole, split(image, distance, valid), strict=True):
        assert not one[~valid].any()
        np.testing.assert_array_equal(one, other)


def test_what_has_no_clusters_has_none():
    """One value everywhere, two values, no point, no pixel: and no warning."""
    image, distance = scene()
    far = np.full(SIZE_HW, np.inf, np.float32)
    nowhere = np.zeros(SIZE_HW, bool)
    constant = np.full((*SIZE_HW, 3), 128.0)
    near = distance <= 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same = np.full_like(distance, 5.0)
        assert not np.any(split(constant, same, near=near))
        assert not np.any(split(constant, distance))
        nuclei, background = split(
            np.where(near[..., None], 9.0, 99.0), same, near=near
        )
        np.testing.assert_array_equal(nuclei, near)
        np.testing.assert_array_equal(background, ~near)
        assert not np.any(split(image, far, near=nowhere))
        assert not np.any(split(image, distance, valid=nowhere))


def test_masks_are_cleaned_and_stay_in_their_polygons():
    owners, distance = voronoi.nearest(POINTS, SIZE_HW)
    nuclei = distance <= 9
    nuclei[18:21, 22:24] = False  # a hole
    nuclei[40, :] = True  # a line through polygons
    nuclei[2:4, 2:4] = True  # a speck
    options = dataclasses.replace(OPTIONS, dilate_px=2, erode_px=3)
    kept = clusters.clean(nuclei, owners, options)
    assert kept[18:21, 22:24].all()
    assert not kept[2:4, 2:4].any()
    assert not kept[40, :5].any()
    discs = [kept & (owners == i) for i in range(3)]
    area = np.array([disc.sum() for disc in discs])
    assert (abs(area - np.pi * 8**2) < 40).all()  # a pixel less than before
    options = dataclasses.replace(OPTIONS, dilate_px=6, erode_px=1)
    alone = (owners == 0) & (distance <= 25)  # up to the others' edges
    grown = clusters.clean(alone, owners, options)
    assert grown[alone].all()
    assert not grown[owners != 0].any()
    options = dataclasses.replace(OPTIONS, dilate_px=2, erode_px=3)
    touching = np.ones(SIZE_HW, bool)
    whole = clusters.clean(touching, owners, options)
    for i in range(3):  # each shrinks from its own edge
        inside = owners == i
        assert 0 < (whole & inside).sum() < inside.sum()
    assert not whole[voronoi.edges(owners)].any()
