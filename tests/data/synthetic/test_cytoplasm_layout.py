import numpy as np
import pytest
from scipy import spatial

from cellrec_jax import geometry
from cellrec_jax.data.synthetic import cytoplasm_layout
from cellrec_jax.data.synthetic import layout as synthetic_layout

SIZE_HW = (512, 512)
MPP = 0.3


def planned(seed: int, index: int, size_hw: tuple[int, int], mpp: float):
    rng = synthetic_layout.image_rng(seed, index)
    regions = cytoplasm_layout.draw_regions(rng, size_hw, mpp)
    return regions, *cytoplasm_layout.place(rng, regions, mpp)


def test_about_2_4_other_cells_to_a_positive_one():
    """The paper's training set: 15,309 positive tumour cells, 37,277 others."""
    counts = np.array(
        [
            np.bincount(planned(0, index, (400, 400), MPP)[2], minlength=7)
            for index in range(30)
        ]
    )
    positive, other = counts[:, :2].sum(axis=1), counts[:, 2:].sum(axis=1)
    assert 2.1 < other.sum() / positive.sum() < 2.7
    # Images differ, and none is without.
    assert positive.min() > 0
    assert np.quantile(other / positive, 0.9) > 2 * np.quantile(other / positive, 0.1)


def test_tissues_are_apart_and_hold_their_cells():
    for index in range(6):
        regions, points_yx, labels = planned(1, index, (300, 400), MPP)
        assert not (regions.tumor & regions.epithelium).any()
        assert not (regions.lookalike & ~regions.epithelium).any()
        names = np.array(cytoplasm_layout.CLASS_NAMES)[labels]
        place = tuple(geometry.point_to_pixel(points_yx).T)
        is_positive = np.char.startswith(names, "tumor")
        assert regions.tumor[place][is_positive].all()
        assert regions.lookalike[place][names == "lookalike"].all()
        nests = regions.tumor | regions.epithelium
        assert nests[place][names == "epithelium"].all()
        assert not nests[place][names == "stroma"].any()
        assert nests[place][names == "lymphocyte"].mean() < 0.2


@pytest.mark.parametrize("mpp", [0.25, 0.5])
def test_cells_keep_apart_by_micrometres(mpp):
    _, points_yx, labels = planned(0, 1, SIZE_HW, mpp)
    gaps = spatial.cKDTree(points_yx).query(points_yx, 2)[0][:, 1] * mpp
    assert gaps.min() > 5.5
    tumor_yx = points_yx[labels < 2]
    near = spatial.cKDTree(tumor_yx).query(tumor_yx, 2)[0][:, 1] * mpp
    assert near.min() > 8.1
    assert np.median(near) < 11  # a cell is some 16 um wide: they touch


def test_a_small_image_has_a_cell():
    for index in range(30):
        regions, points_yx, labels = planned(2, index, (32, 33), MPP)
        assert len(points_yx) == len(labels) >= 1
        assert geometry.inside(points_yx, (32, 33)).all()
        assert regions.tumor.any()
