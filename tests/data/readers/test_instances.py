from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest

from cellrec_jax.data.readers.instances import instances_from_ids


def test_centroid_is_that_of_the_largest_part() -> None:
    ids = np.zeros((5, 8), np.uint16)
    ids[1:3, 2:6] = 900  # rows 1, 2 and columns 2..5: centre (2.0, 4.0)
    ids[4, 7] = 900  # a stray pixel
    ids[4, 0] = 30
    found = instances_from_ids(ids)
    np.testing.assert_allclose(found.points_yx, [[4.5, 0.5], [2.0, 4.0]])
    np.testing.assert_array_equal(found.parts, [1, 2])
    assert found.masks.dtype == np.int32
    assert found.masks[4, 7] == 2
    assert found.masks[4, 0] == 1
    assert found.masks[0, 0] == 0


def test_diagonal_neighbours_are_one_part() -> None:
    found = instances_from_ids(np.eye(3, 4, dtype=np.uint8))
    np.testing.assert_array_equal(found.parts, [1])
    np.testing.assert_allclose(found.points_yx, [[1.5, 1.5]])


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint32])
def test_no_instance(dtype: type) -> None:
    found = instances_from_ids(np.zeros((3, 5), dtype))
    assert found.points_yx.shape == (0, 2)
    assert found.parts.shape == (0,)
    assert found.masks.shape == (3, 5)


def test_no_background() -> None:
    found = instances_from_ids(np.full((3, 5), 4, np.uint8))
    np.testing.assert_allclose(found.points_yx, [[1.5, 2.5]])


@given(hnp.arrays(np.uint8, (6, 9), elements=st.integers(0, 4)))
def test_numbers_keep_the_partition(ids: np.ndarray) -> None:
    found = instances_from_ids(ids)
    old = [value for value in np.unique(ids) if value]
    assert len(found.points_yx) == len(old)
    for number, value in enumerate(old, start=1):
        np.testing.assert_array_equal(found.masks == number, ids == value)


@given(hnp.arrays(np.uint8, (4, 7), elements=st.integers(0, 1)))
def test_transposing_swaps_the_part_counts_nowhere(ids: np.ndarray) -> None:
    np.testing.assert_array_equal(
        instances_from_ids(ids).parts, instances_from_ids(ids.T).parts
    )
