import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.data.pixels.slides import Level
from cellrec_jax.predict.slide import grid as grids

LEVELS = (
    Level((4000, 6000), (1.0, 1.0)),
    Level((1999, 3000), (4000 / 1999, 2.0)),
    Level((500, 750), (8.0, 8.0)),
)


@pytest.mark.parametrize(
    ("scale", "level", "step_yx"),
    [
        (1.0, 0, (1.0, 1.0)),
        (1.005, 0, (1.0, 1.0)),  # 0.5 % off
        (0.97, 0, (66 / 64, 66 / 64)),
        (2.0, 0, (0.5, 0.5)),
        (0.5, 1, (1.0, 1.0)),
        (0.3, 1, (107 / 64, 107 / 64)),  # 3.33 px of level 0, 1.67 of level 1
        (0.125, 2, (1.0, 1.0)),
    ],
)
def test_the_nearest_finer_level_is_read(scale, level, step_yx):
    grid = grids.plan(LEVELS, (scale, scale), 320, 96)
    assert (grid.level, grid.step_yx) == (level, step_yx)
    native = np.multiply(step_yx, LEVELS[level].downsample_yx)
    np.testing.assert_allclose(grid.native_yx, native)
    sizes = np.ceil(np.divide(LEVELS[level].size_hw, step_yx))
    assert grid.size_hw == tuple(sizes)


def test_each_point_has_one_owner(rng):
    grid = grids.plan(LEVELS, (0.5, 0.5), 320, 96)
    assert (grid.tile_px, grid.num_rows, grid.num_columns) == (512, 7, 10)
    assert grid.origin_yx(0, 2) == (-96, 544)
    points_yx = rng.uniform(-50, 3100, (1000, 2))
    owners = np.sum(
        [
            grid.owns(row, column, points_yx)
            for row in range(grid.num_rows)
            for column in range(grid.num_columns)
        ],
        axis=0,
    )
    inside = np.all((points_yx >= 0) & (points_yx < grid.size_hw), axis=1)
    np.testing.assert_array_equal(owners, inside.astype(int))


@pytest.mark.parametrize("scale", [5.0, 0.005])
def test_scales_that_cannot_be_meant_are_refused(scale):
    with pytest.raises(errors.DataError, match="cannot be meant"):
        grids.plan(LEVELS, (scale, scale), 320, 96)


@pytest.mark.parametrize(
    ("stride", "receptive", "least", "tile", "own", "margin"),
    [
        (32, 191, 20.0, 1984, 1600, 192),
        (32, 0, 20.0, 640, 576, 32),
        (8, 0, 20.0, 40, 8, 24),
    ],
)
def test_sides_are_whole_strides(stride, receptive, least, tile, own, margin):
    assert grids.sides(stride, receptive, least, tile) == (own, margin)
