"""Filters and cuts that are best by counts worked out by hand."""

import numpy as np
import pytest

from cellrec_jax.methods.blob_filter import blobs, search

CELLS_YX = np.array([[20.5, 24.5], [44.5, 60.5], [18.5, 70.5]], np.float32)
VALID = np.ones((64, 96), bool)


@pytest.fixture
def image(rng):
    """Dark discs of 12 px on noise."""
    y, x = np.mgrid[:64, :96] + 0.5
    grey = 0.8 + rng.normal(0, 0.02, (64, 96))
    for cy, cx in CELLS_YX:
        grey[np.hypot(y - cy, x - cx) <= 6] -= 0.4
    return grey[..., None].astype(np.float32)


def test_the_size_and_the_signal_of_the_cells_are_found(image):
    sigmas = [blobs.sigma_of(size) for size in (3.0, 12.0, 60.0)]
    grid = (("light", "density"), sigmas, (1.0, 2.0))
    found = search.search([image], [CELLS_YX], [VALID], 4.0, grid, most=50)
    assert found.filter == search.Filter("density", sigmas[1], 1.0, rim=True)
    assert found.f1 == 1.0
    points_yx, heights = search.find(image, VALID, found.filter, 50)
    kept = points_yx[heights >= found.height]
    assert len(kept) == 3
    gaps = np.linalg.norm(kept[:, None] - CELLS_YX, axis=-1)
    assert gaps.min(axis=0).max() < 1.5


@pytest.mark.parametrize("marked", [True, False])
def test_cells_on_the_rim_are_found_where_they_are_marked(image, marked):
    """On its upper edge is a cell of 12 px, cut in half."""
    y, x = np.mgrid[:64, :96] + 0.5
    image[np.hypot(y, x - 46.5) <= 6] -= 0.4
    points_yx = np.vstack([CELLS_YX, [[0.5, 46.5]]])[: 4 if marked else 3]
    grid = (("density",), (blobs.sigma_of(12.0),), (1.0,))
    found = search.search([image], [points_yx], [VALID], 4.0, grid, most=50)
    assert found.filter.rim is marked
    assert found.f1 == 1.0
    kept, heights = search.find(image, VALID, found.filter, 50)
    on_rim = (kept[heights >= found.height, 0] < 1).any()
    assert on_rim == marked


def test_counts_of_images_are_pooled(image):
    """In the other image all that is found is wrong: 3 of 6 with 3 cells, 2/3."""
    grid = (("density",), (blobs.sigma_of(12.0),), (1.0,))
    found = search.search(
        [image, image], [CELLS_YX, CELLS_YX[:0]], [VALID] * 2, 4.0, grid, most=3
    )
    assert found.f1 == pytest.approx(2 / 3)


def test_a_search_without_cells_or_hits_is_refused(image):
    grid = (("density",), (4.0,), (1.0,))
    with pytest.raises(ValueError, match="no image has a cell"):
        search.search([image], [CELLS_YX[:0]], [VALID], 4.0, grid, most=9)
    flat = np.full_like(image, 0.5)
    with pytest.raises(ValueError, match=r"one of the 3 cells.*model\.signal"):
        search.search([flat], [CELLS_YX], [VALID], 4.0, grid, most=9)


def test_the_best_cut_takes_all_of_one_height():
    """Cuts at 5, 4, 2, 1 find 1, 3, 4, 5 with 1, 2, 3, 3 right, of 4 cells."""
    rows = np.array([[4, 1], [5, 1], [1, 0], [4, 0], [2, 1]], float)
    assert search.best_cut(rows, 4) == (6 / 8, 2.0)
    assert search.best_cut(rows[:0], 4) == (0.0, 0.0)
    # A cut between the two of height 4 would have F1 4/4 of two cells.
    assert search.best_cut(rows[[0, 1, 3]], 2) == (4 / 5, 4.0)


@pytest.mark.parametrize(("labels", "above"), [([0, 0, 1, 1], 1), ([1, 1, 0, 0], 0)])
def test_a_cut_tells_two_classes_in_either_direction(labels, above):
    values = np.array([0.9, 0.1, 0.3, 0.7])[[1, 2, 3, 0]]
    assert search.stump(values, np.array(labels)) == search.Stump(0.5, above, 1.0)
    shuffled = [2, 0, 3, 1]
    assert search.stump(values[shuffled], np.array(labels)[shuffled]).above == above


def test_a_cut_is_the_most_accurate_one_and_never_between_equal_values():
    """1 above 3.5 is right for 4 of 5; between the two of 2 it could be for 5."""
    found = search.stump(np.array([1, 2, 2, 3, 4.0]), np.array([0, 0, 1, 1, 1]))
    assert found == search.Stump(1.5, 1, 0.8)
    found = search.stump(np.array([1.0, 1.0, 1.0]), np.array([1, 0, 1]))
    assert found == search.Stump(0.0, 1, pytest.approx(2 / 3))
    found = search.stump(np.array([1.0, 1.0, 1.0]), np.array([1, 0, 0]))
    assert found == search.Stump(0.0, 0, pytest.approx(2 / 3))
