"""Windows of a slide: the same px whatever the tiles, at every scale."""

import time

import numpy as np
import pytest

from cellrec_jax.data.pixels import slide_scale
from cellrec_jax.data.transforms import resize_image
from cellrec_jax.predict.slide import grid as grids
from cellrec_jax.predict.slide import windows
from tests.predict.slide import fakes


def _stitched(slide, grid):
    """The whole slide at the network's scale, of the tiles' own parts."""
    rows = []
    for row in range(grid.num_rows):
        parts = []
        for column in range(grid.num_columns):
            own = slice(grid.margin_px, grid.margin_px + grid.own_px)
            parts.append(windows.pixels(slide, grid, row, column)[own, own])
        rows.append(np.concatenate(parts, axis=1))
    height, width = grid.size_hw
    return np.concatenate(rows)[:height, :width]


@pytest.mark.parametrize("scale", [1.0, 1.05, 0.77, 0.5, 0.31, 1.6])
def test_px_do_not_depend_on_tiles(rng, scale):
    image = rng.integers(0, 256, (203, 310, 3)).astype(np.uint8)
    slide = fakes.slide(image, 2)
    sizes = ((32, 32), (64, 8), (96, 40), (92, 2))
    found = [
        _stitched(slide, grids.plan(slide.levels, (scale, scale), *size))
        for size in sizes
    ]
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_px_are_those_of_the_image_resized_as_for_training(rng):
    """Where the scale is exact, and far from the border, which is white beyond."""
    image = rng.integers(0, 256, (192, 256, 3)).astype(np.uint8)
    slide = fakes.slide(image)
    grid = grids.plan(slide.levels, (0.25, 0.25), 32, 16)
    found = _stitched(slide, grid)
    expected = resize_image(image, (48, 64))
    np.testing.assert_array_equal(found[2:-2, 2:-2], expected[2:-2, 2:-2])
    beyond = windows.pixels(slide, grid, 0, 0)
    assert (beyond[:14] == 255).all()


def test_a_level_far_finer_than_the_network_is_read_in_strips(rng, monkeypatch):
    """Of the same px as in one, and of no more than asked for."""
    image = rng.integers(0, 256, (1400, 1500, 3)).astype(np.uint8)
    asked = []

    def counted(slide, level, origin_yx, size_hw):
        asked.append(np.prod(size_hw))
        return read(slide, level, origin_yx, size_hw)

    read = windows.slides.read_region
    monkeypatch.setattr(windows.slides, "read_region", counted)
    slide = fakes.slide(image)
    grid = grids.plan(slide.levels, (1 / 8, 1 / 7.5), 96, 16)
    whole = [windows.pixels(slide, grid, row, 1) for row in (0, 1)]
    assert len(asked) == 2
    monkeypatch.setattr(slide_scale, "_STRIP_PX", 2**16)
    for row in (0, 1):
        np.testing.assert_array_equal(windows.pixels(slide, grid, row, 1), whole[row])
    assert len(asked) > 20
    assert max(asked[2:]) < 2**16 * 1.5  # the filter reaches beyond


def test_windows_come_in_order_and_damage_is_told(rng):
    image = rng.integers(0, 256, (96, 96, 3)).astype(np.uint8)
    slide = fakes.slide(image, bad_yxyx=(40, 40, 41, 41), block_hw=(8, 16))
    grid = grids.plan(slide.levels, (1.0, 1.0), 32, 0)
    tiles = [(row, column) for row in range(3) for column in range(3)]
    found = list(windows.read(slide, grid, tiles))
    assert [(one.row, one.column) for one in found] == tiles
    assert [bool(one.bad) for one in found] == [i == 4 for i in range(9)]
    (block,) = found[4].bad
    assert block.yxyx == (40, 32, 48, 48)  # of tiles of 8 x 16 px
    assert "y 40, x 32 cannot be read: damaged" in block.why
    expected = image[32:64, 32:64].copy()
    expected[8:16, :16] = 255
    np.testing.assert_array_equal(found[4].image, expected)
    np.testing.assert_array_equal(found[5].image, image[32:64, 64:])


@pytest.mark.parametrize("scale", [1.0, 0.77])
def test_windows_agree_on_what_is_damaged(rng, scale):
    """White is the same part of all, also where they go beyond the slide."""
    image = rng.integers(0, 255, (203, 310, 3)).astype(np.uint8)
    white = image.copy()
    white[80:88, 0:16] = white[200:, 304:] = 255
    bad = fakes.slide(image, bad_yxyx=(80, 0, 88, 16), block_hw=(8, 16))
    other = fakes.slide(white)
    bad = bad._replace(reader=bad.reader._replace(read=_bad_twice(bad.reader.read)))
    for sizes in ((32, 32), (64, 8)):
        grid = grids.plan(bad.levels, (scale, scale), *sizes)
        for row, column in np.ndindex(grid.num_rows, grid.num_columns):
            blocks = []
            found = windows.pixels(bad, grid, row, column, blocks)
            expected = windows.pixels(other, grid, row, column)
            np.testing.assert_array_equal(found, expected)
            known = {(80, 0, 88, 16), (200, 304, 203, 310)}
            assert {one.yxyx for one in blocks} <= known


def _bad_twice(read):
    """Also the last tile of the file."""

    def both(level, origin_yx, size_hw):
        if np.all(np.add(origin_yx, size_hw) > (200, 304)):
            raise windows.slides.BadRegion("damaged")
        return read(level, origin_yx, size_hw)

    return both


def test_cells_nearer_than_half_a_box_to_damage_are_lost():
    """A block of a level that is read at 2 px a px of the network: 20 to 30 there."""
    grid = grids.Grid(1, (2.0, 2.0), (4.0, 4.0), (100, 100), 32, 8)
    points = np.array([[14.9, 25.0], [15.0, 25.0], [25.0, 34.9], [25.0, 35.0]])
    near = grid.near(points, (40, 40, 60, 60), 5.0)
    assert near.tolist() == [False, True, True, False]


def test_few_windows_are_held_at_a_time(monkeypatch):
    """Read or being read, and not taken yet, whatever the number of tiles."""
    begun, most = [], windows.THREADS + 2
    assert windows.THREADS <= 8
    monkeypatch.setattr(windows, "pixels", lambda *given: begun.append(given))
    tiles = [(0, column) for column in range(3 * most)]
    for taken, one in enumerate(windows.read(None, None, tiles)):
        assert one.column == taken
        time.sleep(0.001)  # others could be read
        assert len(begun) - taken <= most
    assert len(begun) == len(tiles)
