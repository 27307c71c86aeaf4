"""Voronoi polygons on the pixel grid against all distances."""

import itertools

import numpy as np
import pytest

from cellrec_jax.methods.estimate_mask import voronoi

SIZE_HW = (14, 18)
_RNG = np.random.default_rng(0)
POINTS = {
    "none": np.zeros((0, 2)),
    "one": [[3.2, 4.7]],
    "two": [[3.0, 4.0], [11.0, 4.0]],
    "row": [[7.0, 2.0], [7.0, 9.0], [7.0, 16.0]],
    "slant": [[2.0, 2.0], [5.0, 5.0], [8.0, 8.0], [11.0, 11.0]],
    "coincident": [[9.0, 9.0], [4.0, 4.0], [9.0, 9.0], [4.0, 4.0], [9.0, 9.0]],
    "square": [[5.0, 5.0], [5.0, 9.0], [9.0, 5.0], [9.0, 9.0]],
    "circle": [
        [7.5 + y, 9.5 + x]
        for y, x in itertools.product(range(-5, 6), repeat=2)
        if y * y + x * x == 25
    ],
    "many": _RNG.uniform(0, SIZE_HW, (40, 2)),
    "outside": [[-3.0, 5.0], [20.0, 30.0]],
}


@pytest.mark.parametrize("name", POINTS)
def test_each_pixel_has_the_nearest_point_and_the_first_of_equal_ones(name):
    points_yx = np.asarray(POINTS[name], np.float32)
    owners, distance = voronoi.nearest(points_yx, SIZE_HW)
    assert owners.dtype == np.int32
    if not len(points_yx):
        assert (owners == -1).all()
        assert np.isinf(distance).all()
        return
    centers = np.stack(np.indices(SIZE_HW), axis=-1) + 0.5
    gaps = np.linalg.norm(centers[:, :, None] - points_yx.astype(float), axis=-1)
    expected = np.argmax(gaps <= gaps.min(axis=2, keepdims=True) + 1e-6, axis=2)
    np.testing.assert_array_equal(owners, expected)
    np.testing.assert_allclose(distance, gaps.min(axis=2), rtol=1e-5)


def test_edges_lie_on_both_sides():
    owners = np.zeros((4, 6), np.int32)
    owners[:, 3:] = 1
    owners[2:, 3:] = 2
    assert voronoi.edges(owners).astype(int).tolist() == [
        [0, 0, 1, 1, 0, 0],
        [0, 0, 1, 1, 1, 1],
        [0, 0, 1, 1, 1, 1],
        [0, 0, 1, 1, 0, 0],
    ]
    assert not voronoi.edges(np.full((3, 3), -1)).any()
