import numpy as np
import pytest

from cellrec_jax.data.synthetic import layout as layout_lib
from cellrec_jax.data.synthetic import lookalikes

SIZE_HW = (200, 260)
MPP = 0.3
NO_GLASS = np.zeros(SIZE_HW, np.float32)


def test_debris_is_smaller_than_nuclei():
    drawn = [
        grain
        for seed in range(10)
        for grain in lookalikes.debris(np.random.default_rng(seed), SIZE_HW, MPP)
    ]
    radii = np.array([grain.radii for grain in drawn]) * MPP
    assert len(drawn) > 20
    assert 0.1 <= radii.min() <= radii.max() <= 1.6
    assert np.mean([grain.dab > 0 for grain in drawn]) > 0.5


def test_haze_lies_around_positive_nuclei():
    place = layout_lib.Nucleus((100, 130), (14, 14), 0, 0, 0.1, 1.0, 0, 0, 1)
    rings = []
    for seed in range(8):
        haze, without = (
            lookalikes.brown_haze(np.random.default_rng(seed), cells, SIZE_HW, MPP)
            for cells in ([place] * 3, [place._replace(dab=0.0)] * 3)
        )
        assert (haze.dtype, haze.shape) == (np.float32, SIZE_HW)
        assert haze.min() >= 0
        rings.append(haze[100, 110] - without[100, 110])
    assert max(rings) > 0.01


def test_other_colours():
    drawn = [
        lookalikes.coloured(np.random.default_rng(seed), SIZE_HW, NO_GLASS, MPP)
        for seed in range(40)
    ]
    for density in drawn:
        assert (density.dtype, density.shape) == (np.float32, (*SIZE_HW, 3))
        assert -0.5 < density.min() <= density.max() < 2.5
    empty = np.mean([not density.any() for density in drawn])
    # 0.7 x 0.75 x 0.88 x 0.8 = 0.37 have none of the four.
    assert empty == pytest.approx(0.37, abs=0.2)


def test_red_cells_are_discs_with_a_dent():
    glass = np.ones(SIZE_HW, np.float32)
    drawn = lookalikes._red_cells(np.random.default_rng(2), SIZE_HW, glass, MPP)
    assert drawn.dtype == np.float32
    assert 0.02 < np.mean(drawn > 0) < 0.6
    assert 0.08 <= drawn.max() <= 0.3


def test_crystals_are_bright_inside_dark_around():
    drawn = lookalikes._crystals(np.random.default_rng(0), SIZE_HW, MPP)
    assert drawn.min() < -0.04
    assert drawn.max() > 0.02


def test_a_fold_is_a_band():
    drawn = lookalikes._fold(np.random.default_rng(0), SIZE_HW, MPP)
    assert drawn.min() >= 0
    assert drawn.max() > 0.1
    assert 0.01 < np.mean(drawn > 0.5 * drawn.max()) < 0.4
