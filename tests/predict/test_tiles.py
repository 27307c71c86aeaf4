"""Tiles cover an axis, own each place once and overlap enough."""

import itertools

import numpy as np
import pytest

from cellrec_jax.predict import tiles


@pytest.mark.parametrize("length", [64, 65, 100, 300, 1111])
def test_every_place_has_one_owner_away_from_the_edges(length):
    tile, margin = 64, 8
    spans = tiles.spans(length, tile, margin)
    assert spans[0][0] == spans[0][2] == 0
    assert spans[-1][1] == spans[-1][3] == length
    for (_, _, _, high), (_, _, low, _) in itertools.pairwise(spans):
        assert high == low
    for start, end, low, high in spans:
        assert end - start == tile
        assert start == 0 or low - start >= margin
        assert end == length or end - high >= margin


@pytest.mark.parametrize("length", [129, 160, 333, 352])
def test_tiles_start_at_multiples_of_the_stride(length):
    """All have one length; the last may reach beyond the axis by part of a stride."""
    spans = tiles.spans(length, 128, 10, stride=32)
    assert [start % 32 for start, *_ in spans] == [0] * len(spans)
    assert [end - start for start, end, *_ in spans] == [128] * len(spans)
    assert 0 <= spans[-1][1] - length < 32
    assert spans[-1][3] == length
    for (_, end, _, high), (start, _, low, _) in itertools.pairwise(spans):
        assert high == low
        assert end - high >= 10
        assert low - start >= 10


def test_a_grid_owns_each_point_once(rng):
    """Tiles of one size; the columns of a short image are mirrored."""
    image = np.arange(30 * 21, dtype=np.int32).reshape(30, 21, 1)
    cut = tiles.grid((30, 21), (12, 40), (2, 3), 4)
    points_yx = rng.uniform(0, (30, 21), (200, 2))
    owners = np.stack([tile.owns(points_yx) for tile in cut])
    assert (owners.sum(axis=0) == 1).all()
    assert owners.any(axis=1).all()
    mirrored = np.concatenate([image, image[:, :1:-1]], axis=1)
    padded = np.concatenate([mirrored, mirrored[:1:-1]])
    for tile in cut:
        (y0, _), (y1, _) = tile.origin_yx, tile.end_yx
        assert tile.size_hw == (12, 40)
        np.testing.assert_array_equal(tile.cut(image), padded[y0:y1, :40])


def test_parts_are_half_open():
    left, right = tiles.grid((6, 10), (6, 6), (1, 1))
    points_yx = np.array([[0, 4.99], [0, 5]])
    assert left.owns(points_yx).tolist() == [True, False]
    assert right.owns(points_yx).tolist() == [False, True]


def test_short_images_are_mirrored_or_padded():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    (tile,) = tiles.grid((2, 3), (5, 4), (1, 1))
    rows = [[0, 1, 2, 2], [3, 4, 5, 5]]
    mirrored = tile.cut(image)
    assert mirrored.dtype == np.uint8
    assert mirrored[:, :, 0].tolist() == [rows[0], rows[1], rows[1], rows[0], rows[0]]
    filled = tile.cut(image, mirror=False)[:, :, 0]
    assert filled.tolist() == [[0, 1, 2, 0], [3, 4, 5, 0], *[[0] * 4] * 3]


def test_windows_inside_of_the_image_are_views():
    image = np.zeros((8, 8, 3), np.uint8)
    assert all(
        np.shares_memory(tile.cut(image), image)
        for tile in tiles.grid((8, 8), (6, 6), (1, 1))
    )
