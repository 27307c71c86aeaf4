"""Windows around points, at borders, of odd and even sides."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.ops import patches

SIZE_HW = (9, 12)

cut = jax.jit(patches.cut, static_argnames="side_px")


def numbered(size_hw: tuple[int, int] = SIZE_HW) -> np.ndarray:
    """[H, W, 1] whose values are 100 y + x."""
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
    return (100 * rows + columns)[..., None].astype(np.float32)


def corners(windows: jax.Array) -> list[tuple[int, int]]:
    """(y, x) of each window's first pixel."""
    return [divmod(int(window[0, 0, 0]), 100) for window in windows]


@pytest.mark.parametrize(("side_px", "middle"), [(5, 2), (4, 2), (1, 0)])
def test_pixel_of_the_point_is_in_the_middle(side_px, middle):
    points = np.array([[4.0, 6.0], [4.99, 6.5], [5.0, 3.2]], np.float32)
    windows = cut(numbered(), points, side_px=side_px)
    assert windows.shape == (3, side_px, side_px, 1)
    assert windows[:, middle, middle, 0].tolist() == [406, 406, 503]


def test_windows_are_moved_inside():
    points = [[0, 0], [0, 12], [9, 0], [9, 12], [4.5, 0.5], [8.5, 6], [1, 10]]
    windows = cut(numbered(), np.array(points, np.float32), side_px=5)
    assert corners(windows) == [(0, 0), (0, 7), (4, 0), (4, 7), (2, 0), (4, 4), (0, 7)]


def test_every_pixel_against_slices(rng):
    image = rng.integers(0, 255, (*SIZE_HW, 3)).astype(np.uint8)
    points = np.argwhere(np.ones(SIZE_HW)) + 0.5
    for side_px in (3, 6):
        windows = cut(image, points.astype(np.float32), side_px=side_px)
        assert windows.dtype == np.uint8
        for window, (y, x) in zip(np.asarray(windows), points.astype(int), strict=True):
            top = min(max(y - side_px // 2, 0), SIZE_HW[0] - side_px)
            left = min(max(x - side_px // 2, 0), SIZE_HW[1] - side_px)
            expected = image[top : top + side_px, left : left + side_px]
            np.testing.assert_array_equal(window, expected)


def test_reflected_windows_keep_their_points_in_the_middle(rng):
    """The obvious reference pads the whole image and slices it."""
    image = rng.integers(0, 255, (*SIZE_HW, 2)).astype(np.uint8)
    points = np.argwhere(np.ones(SIZE_HW)) + 0.5
    for side_px in (5, 6):
        around = side_px // 2
        padded = np.pad(image, ((around,) * 2, (around,) * 2, (0, 0)), mode="reflect")
        windows = patches.cut(image, jnp.asarray(points), side_px, "reflect")
        for window, (y, x) in zip(np.asarray(windows), points.astype(int), strict=True):
            expected = padded[y : y + side_px, x : x + side_px]
            np.testing.assert_array_equal(window, expected)
    with pytest.raises(ValueError, match="unknown border 'wrap'"):
        patches.cut(image, jnp.asarray(points), 3, "wrap")


@pytest.mark.parametrize("border", patches.BORDERS)
def test_padding_is_no_part_of_the_image(rng, border):
    """Windows are those of the image alone, also where a hole touches its border."""
    image = rng.normal(size=(*SIZE_HW, 2)).astype(np.float32)
    padded = np.pad(image, ((0, 4), (0, 7), (0, 0)), constant_values=np.nan)
    valid = np.zeros(padded.shape[:2], bool)
    valid[: SIZE_HW[0], : SIZE_HW[1]] = True
    valid[6:9, 3:5] = False
    points = jnp.asarray(np.argwhere(np.ones(SIZE_HW)) + 0.5)
    for side_px in (1, 5, 6, 9):
        expected = patches.cut(image, points, side_px, border)
        windows = patches.cut(padded, points, side_px, border, valid)
        np.testing.assert_array_equal(windows, expected)


def test_images_narrower_than_a_window_are_filled_up():
    image = np.pad(numbered((3, 12)), ((0, 6), (0, 0), (0, 0)), constant_values=-1)
    valid = np.arange(9)[:, None] < np.full(12, 3)
    point = jnp.array([[2.5, 6.5]])
    (window,) = patches.cut(image, point, 5, "shift", valid)
    assert window[:, 0, 0].tolist() == [4, 104, 204, -1, -1]
    (window,) = patches.cut(image, point, 5, "reflect", valid)
    assert window[:, 0, 0].tolist() == [4, 104, 204, 104, 4]
    nothing = np.zeros((9, 12), bool)
    assert patches.cut(image, point, 5, "shift", nothing)[0, 0, 0, 0] == 0


def test_turned_image_has_turned_windows(rng):
    image = rng.normal(size=(*SIZE_HW, 2)).astype(np.float32)
    points = rng.uniform(0, SIZE_HW, (4, 2)).astype(np.float32)
    turned = cut(image.transpose(1, 0, 2), points[:, ::-1], side_px=5)
    expected = cut(image, points, side_px=5)
    np.testing.assert_array_equal(turned.transpose(0, 2, 1, 3), expected)


def test_points_outside_and_garbage():
    garbage = [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e10]
    points = np.array([[value, 6.5] for value in garbage], np.float32)
    windows = cut(numbered(), points, side_px=3)
    top, bottom = (0, 5), (6, 5)
    assert corners(windows) == [top, bottom, top, bottom, top, bottom]


def test_vmap_over_images(rng):
    images = rng.normal(size=(2, *SIZE_HW, 1)).astype(np.float32)
    points = rng.uniform(0, SIZE_HW, (2, 4, 2)).astype(np.float32)
    together = jax.jit(jax.vmap(lambda i, p: patches.cut(i, p, 5)))(images, points)
    for windows, image, image_points in zip(together, images, points, strict=True):
        np.testing.assert_array_equal(windows, cut(image, image_points, side_px=5))


def test_no_point_and_a_window_of_the_image():
    image = numbered((5, 5))
    assert cut(image, jnp.zeros((0, 2)), side_px=3).shape == (0, 3, 3, 1)
    np.testing.assert_array_equal(cut(image, jnp.ones((1, 2)), side_px=5)[0], image)


@pytest.mark.parametrize("side_px", [0, 10])
def test_impossible_sides(side_px):
    with pytest.raises(ValueError, match=f"no windows of {side_px} px .* 9 x 12 px"):
        cut(numbered(), np.ones((1, 2), np.float32), side_px=side_px)


def test_shrunk_patches_are_means_of_squares(rng):
    windows = rng.normal(size=(2, 6, 6, 3)).astype(np.float32)
    small = patches.shrink(jnp.asarray(windows), 3)
    assert small.shape == (2, 2, 2, 3)
    for y, x in np.ndindex(2, 2):
        square = windows[:, 3 * y : 3 * y + 3, 3 * x : 3 * x + 3]
        np.testing.assert_allclose(small[:, y, x], square.mean((1, 2)), atol=1e-6)
    np.testing.assert_array_equal(patches.shrink(jnp.asarray(windows), 1), windows)
    with pytest.raises(ValueError, match="6 px is no multiple of a step of 4"):
        patches.shrink(jnp.asarray(windows), 4)
