from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import geometry

SIZE_HW = (30, 50)
POINTS = np.array([[2.5, 7.25], [0.0, 49.5], [29.75, 12.0]], np.float32)
ORIGIN = np.array([10.0, -4.0], np.float32)
SCALE = np.array([0.5, 2.0], np.float32)

# Functions whose docstring says "any", and what they make of POINTS.
ANY = [
    (geometry.swap_xy, (), [[7.25, 2.5], [49.5, 0.0], [12.0, 29.75]]),
    (geometry.pixel_to_point, (), POINTS + 0.5),
    (geometry.resize_points, (SCALE,), [[1.25, 14.5], [0.0, 99.0], [14.875, 24.0]]),
    (geometry.crop_points, (ORIGIN,), [[-7.5, 11.25], [-10.0, 53.5], [19.75, 16.0]]),
    (geometry.tile_to_slide, (ORIGIN,), [[12.5, 3.25], [10.0, 45.5], [39.75, 8.0]]),
]


@pytest.mark.parametrize("module", [np.asarray, jnp.asarray])
@pytest.mark.parametrize(("function", "arguments", "expected"), ANY)
def test_by_hand(module, function, arguments, expected):
    batched = module(np.stack([POINTS, POINTS]))
    for points in (module(POINTS), batched):
        rank = (1,) * (points.ndim - 1)  # the suite forbids silent broadcasting
        result = function(points, *(a.reshape((*rank, 2)) for a in arguments))
        assert isinstance(result, type(points))
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, np.broadcast_to(expected, points.shape))


@pytest.mark.slow
@pytest.mark.parametrize(("function", "arguments", "expected"), ANY)
def test_by_hand_in_tensorflow(function, arguments, expected):
    tf = pytest.importorskip("tensorflow")
    result = function(tf.constant(POINTS), *arguments)
    assert result.dtype == tf.float32
    np.testing.assert_array_equal(result.numpy(), expected)


@given(npst.arrays(np.int64, (4, 2), elements=st.integers(-100, 100_000)))
def test_pixels_and_points_round_trip(index_yx):
    points = geometry.pixel_to_point(index_yx)
    np.testing.assert_array_equal(geometry.point_to_pixel(points), index_yx)
    for near in (points - 0.5, points + 0.49):  # half open
        np.testing.assert_array_equal(geometry.point_to_pixel(near), index_yx)
    assert geometry.point_to_pixel(points).dtype == np.int64


def test_crop_and_tile_are_inverse():
    there = geometry.crop_points(POINTS, ORIGIN)
    np.testing.assert_array_equal(geometry.tile_to_slide(there, ORIGIN), POINTS)


@pytest.mark.parametrize("factor", [2, 3])
def test_resized_images_keep_cells_under_their_points(factor):
    """The half-pixel frame agrees with the resize of JAX: no shift by half a px."""
    image = np.zeros((12, 20), np.float32)
    image[4:7, 9:14] = 1.0
    center = geometry.pixel_to_point(np.array([[5, 11]]))
    size_hw = (12 * factor, 20 * factor)
    large = np.asarray(jax.image.resize(image, size_hw, "linear"))
    index = geometry.pixel_to_point(np.indices(size_hw).reshape(2, -1).T)
    centroid = (index * large.reshape(-1, 1)).sum(axis=0) / large.sum()
    expected = geometry.resize_points(center, np.array([factor, factor]))[0]
    np.testing.assert_allclose(centroid, expected, atol=1e-3)


@pytest.mark.parametrize("module", [np.asarray, jnp.asarray])
def test_boxes_around(module):
    boxes = geometry.boxes_around(module(POINTS), (4, 7))
    assert boxes[0].tolist() == [0.5, 3.75, 4.5, 10.75]
    assert boxes[1].tolist() == [-2.0, 46.0, 2.0, 53.0]  # reaches outside
    assert boxes.dtype == np.float32
    np.testing.assert_array_equal(geometry.box_centers(boxes), POINTS)
    assert geometry.boxes_around(module(POINTS[0]), (4, 7)).shape == (4,)
    assert geometry.boxes_around(module(POINTS[None]), (4, 7)).shape == (1, 3, 4)
    assert geometry.boxes_around(module(POINTS[:0]), (4, 7)).shape == (0, 4)


@pytest.mark.parametrize("module", [np.asarray, jnp.asarray])
def test_inside_is_half_open(module):
    points = module(
        np.array(
            [[0, 0], [29.9, 49.9], [30, 7], [7, 50], [-0.1, 7], [7, -0.1], [40, 20]],
            np.float32,
        )
    )
    expected = [True, True, False, False, False, False, False]
    assert geometry.inside(points, SIZE_HW).tolist() == expected
    turned = geometry.inside(geometry.swap_xy(points), SIZE_HW[::-1])
    assert turned.tolist() == expected


def test_units():
    assert geometry.um_to_px(8.0, 0.25) == 32.0
