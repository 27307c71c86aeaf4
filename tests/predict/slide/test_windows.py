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
    slide = fakes.slide(image, bad_yxyx=(40, 40, 41, 41))
    grid = grids.plan(slide.levels, (1.0, 1.0), 32, 0)
    tiles = [(row, column) for row in range(3) for column in range(3)]
    found = list(windows.read(slide, grid, tiles))
    assert [(one.row, one.column) for one in found] == tiles
    assert [bool(one.fault) for one in found] == [i == 4 for i in range(9)]
    assert found[4].image is None
    assert "y 32, x 32 cannot be read: damaged" in found[4].fault
    np.testing.assert_array_equal(found[5].image, image[32:64, 64:])


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
