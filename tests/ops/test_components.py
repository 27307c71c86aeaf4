"""Connected parts against SciPy's."""

import jax
import numpy as np
import pytest
from scipy import ndimage

from cellrec_jax.ops import components

label = jax.jit(components.label)
measure = jax.jit(components.measure, static_argnums=2)
EIGHT = np.ones((3, 3))


def spiral(size=33):
    """One part whose ends are far along and near across."""
    mask = np.zeros((size, size), bool)
    low, high = 0, size - 1
    while low < high:
        mask[low, low : high + 1] = mask[low : high + 1, high] = True
        mask[high, low : high + 1] = mask[low + 2 : high + 1, low] = True
        mask[low + 2, low : low + 3] = True
        low, high = low + 2, high - 2
    return mask


MASKS = {
    "noise": np.random.default_rng(0).random((33, 33)) > 0.55,
    "sparse": np.random.default_rng(1).random((33, 33)) > 0.9,
    "spiral": spiral(),
    "checkers": np.indices((33, 33)).sum(axis=0) % 2 == 0,
    "full": np.ones((33, 33), bool),
    "empty": np.zeros((33, 33), bool),
}


@pytest.mark.parametrize("name", MASKS)
def test_labels_are_the_first_pixels_of_parts(name):
    mask = MASKS[name]
    expected, number = ndimage.label(mask, EIGHT)
    first = [np.flatnonzero(expected.ravel() == i).min() for i in range(1, number + 1)]
    table = np.array([mask.size, *first])
    np.testing.assert_array_equal(label(mask), table[expected])


def test_labels_of_several_masks_at_once():
    masks = np.stack(list(MASKS.values()))
    many = jax.jit(jax.vmap(components.label))(masks)
    for mask, found in zip(masks, many, strict=True):
        np.testing.assert_array_equal(found, label(mask))


def test_measures_are_those_of_each_part():
    mask = MASKS["sparse"]
    rng = np.random.default_rng(2)
    values = rng.random((*mask.shape, 2)).astype(np.float32)
    expected, number = ndimage.label(mask, EIGHT)
    index = np.arange(1, number + 1)
    area = ndimage.sum_labels(mask, expected, index)
    parts = measure(label(mask), values, number + 5)
    assert np.asarray(parts.mask).sum() == number
    np.testing.assert_array_equal(parts.area[:number], np.sort(area)[::-1])
    np.testing.assert_array_equal(parts.area[number:], 0)
    np.testing.assert_array_equal(parts.points_yx[number:], 0)
    centers = np.array(ndimage.center_of_mass(mask, expected, index)) + 0.5
    means = np.stack(
        [ndimage.mean(values[..., k], expected, index) for k in range(2)], axis=1
    )
    for i in range(number):
        (at,) = np.flatnonzero(
            np.abs(np.asarray(parts.points_yx) - centers[i]).max(axis=1) < 1e-4
        )
        assert parts.area[at] == area[i]
        np.testing.assert_allclose(parts.values[at], means[i], rtol=1e-5)


def test_only_the_largest_fit():
    mask = np.zeros((12, 12), bool)
    mask[0, 0] = mask[3:5, 3:5] = mask[7:10, 7:10] = True
    parts = measure(label(mask), np.ones((12, 12, 1), np.float32), 2)
    np.testing.assert_array_equal(parts.area, [9, 4])
    np.testing.assert_array_equal(parts.points_yx, [[8.5, 8.5], [4, 4]])
    nothing = measure(label(np.zeros_like(mask)), np.ones((12, 12, 1), np.float32), 2)
    assert not np.any(nothing.mask)
    assert not np.any(nothing.points_yx)
