import functools

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
import jax
import numpy as np
import pytest
from scipy import ndimage

from cellrec_jax.ops import components

SIZE_HW = (13, 18)
MASKS = npst.arrays(bool, SIZE_HW, elements=st.booleans())
EIGHT = np.ones((3, 3))

label = jax.jit(components.label)


@functools.partial(jax.jit, static_argnames="max_components")
def measure(mask, values, max_components=5):
    return components.measure(components.label(mask), values, max_components)


def scipy_labels(mask) -> np.ndarray:
    """Least pixel numbers of SciPy's components; their number in the background."""
    found, count = ndimage.label(mask, EIGHT)
    labels = np.full(mask.shape, mask.size)
    for i in range(1, count + 1):
        labels[found == i] = np.flatnonzero(found == i)[0]
    return labels


def spiral(size_hw) -> np.ndarray:
    """A line of one px, turning inwards, one px apart from itself."""
    mask = np.zeros(size_hw, bool)
    place, step = np.array([0, 0]), np.array([0, 1])
    while True:
        mask[tuple(place)] = True
        for _ in range(2):
            ahead = [place + step, place + 2 * step]
            free = [all(p >= 0) and all(p < size_hw) for p in ahead]
            if free[0] and not (free[1] and mask[tuple(ahead[1])]):
                break
            step = np.array([step[1], -step[0]])
        if not free[0] or mask[tuple(ahead[0])] or (free[1] and mask[tuple(ahead[1])]):
            return mask
        place = place + step


@given(MASKS)
def test_labels_equal_scipys(mask):
    np.testing.assert_array_equal(label(mask), scipy_labels(mask))


@pytest.mark.parametrize("turn", range(8))
def test_labels_of_a_spiral(turn):
    """Its pixels' numbers rise and fall along it, whichever end is first."""
    mask = spiral((29, 29))
    mask = np.rot90(mask, turn)[:, :: 1 if turn < 4 else -1]
    assert mask.sum() > 29**2 // 3
    labels = np.asarray(label(mask))
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, np.where(mask, np.argmax(mask), mask.size))


def test_labels_of_all_and_of_nothing():
    for shape in ((29, 29), (1, 7)):
        assert not np.any(label(np.ones(shape, bool)))
        empty = label(np.zeros(shape, bool))
        np.testing.assert_array_equal(empty, shape[0] * shape[1])


def test_vmap_equals_scipy(rng):
    masks = np.stack([rng.random((29, 29)) < share for share in (0.0, 0.2, 0.6, 2)])
    masks = np.concatenate([masks, spiral((29, 29))[None]])
    together = jax.jit(jax.vmap(components.label))(masks)
    np.testing.assert_array_equal(together, [scipy_labels(mask) for mask in masks])


def loop_measure(mask, values, max_components):
    """Rows of (area, y, x, means) by area, then by the first pixel."""
    found, count = ndimage.label(mask, EIGHT)
    rows = []
    for i in range(1, count + 1):
        where = np.argwhere(found == i)
        means = values[found == i].astype(np.float64).mean(axis=0)
        rows.append((len(where), *(where + 0.5).mean(axis=0), *means))
    rows = sorted(rows, key=lambda row: -row[0])[:max_components]
    table = np.zeros((max_components, 3 + values.shape[-1]))
    for slot, row in enumerate(rows):
        table[slot] = row
    return table, len(rows)


@given(MASKS, st.sampled_from([1, 5, 300]), st.integers(0, 5))
def test_measures_against_a_loop(mask, max_components, seed):
    values = np.random.default_rng(seed).random((*SIZE_HW, 2)).astype(np.float32)
    table, count = loop_measure(mask, values, max_components)
    dirty = np.where(mask[..., None], values, np.float32(np.nan))
    found = jax.device_get(measure(mask, dirty, max_components))
    np.testing.assert_array_equal(found.mask, np.arange(max_components) < count)
    np.testing.assert_array_equal(found.area, table[:, 0])
    np.testing.assert_allclose(found.points_yx, table[:, 1:3], rtol=1e-6)
    np.testing.assert_allclose(found.values, table[:, 3:], rtol=1e-5)


def test_measures_by_hand():
    """An L of 4 px, and a pair that touches by a corner alone; equal pairs in order."""
    mask = np.zeros((6, 9), bool)
    mask[[0, 1, 2, 2], [0, 0, 0, 1]] = True
    mask[[0, 1], [4, 5]] = True
    mask[5, 7:9] = True
    values = np.arange(54, dtype=np.float32).reshape(6, 9, 1)
    found = jax.device_get(measure(mask, values))
    assert found.area.tolist() == [4, 2, 2, 0, 0]
    assert found.mask.tolist() == [True, True, True, False, False]
    expected = [[1.75, 0.75], [1.0, 5.0], [5.5, 8.0], [0, 0], [0, 0]]
    assert found.points_yx.tolist() == expected
    means = [(0 + 9 + 18 + 19) / 4, (4 + 14) / 2, (52 + 53) / 2, 0, 0]
    assert found.values.ravel().tolist() == means


def test_centres_far_from_the_origin_are_exact():
    """Sums of place itself would pass 2^24, where float32 skips whole numbers."""
    mask = np.zeros((1, 100_000), bool)
    mask[0, -201:] = True
    found = measure(mask, mask[..., None])
    assert found.points_yx[0].tolist() == [0.5, 100_000 - 100.5]
