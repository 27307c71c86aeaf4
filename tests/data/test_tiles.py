"""Tiles cover an axis, own each place once and overlap enough."""

import itertools

import numpy as np
import pytest

from cellrec_jax.data import tiles


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


def test_tiles_start_at_multiples_of_the_stride():
    spans = tiles.spans(333, 100, 10, stride=32)
    assert [start % 32 for start, *_ in spans] == [0] * len(spans)
    assert spans[-1][1] == spans[-1][3] == 333
    assert all(end - start == 100 for start, end, *_ in spans[:-1])
    assert 100 <= spans[-1][1] - spans[-1][0] < 132
    for (_, end, _, high), (start, _, low, _) in itertools.pairwise(spans):
        assert high == low
        assert end - high >= 10
        assert low - start >= 10


@pytest.mark.parametrize(
    ("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1.0)]
)
def test_short_images_get_white(dtype, white):
    padded = tiles.pad_white(np.zeros((3, 9, 1), dtype), np.array([5, 7]))
    assert (padded.shape, padded.dtype) == ((5, 9, 1), dtype)
    assert (padded[3:] == white).all()
    assert not padded[:3].any()
