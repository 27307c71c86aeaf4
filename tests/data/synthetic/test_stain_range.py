import numpy as np
import pytest

from cellrec_jax.data.synthetic import stain_range


def test_stains_keep_their_nature():
    drawn = [stain_range.draw_stains(np.random.default_rng(i)) for i in range(200)]
    for stains in drawn:
        np.testing.assert_allclose(np.linalg.norm(stains, axis=1), 1)
        assert stains.min() > 0
        blue, brown = stains
        assert blue[0] > brown[0]  # haematoxylin takes red light, DAB takes blue
        assert blue[2] < brown[2]
    red = np.array([stains[0, 0] for stains in drawn])
    assert np.ptp(red) > 0.25  # from Macenko's 0.56 to the bluest Ki-67 slides


def test_strengths_cover_their_ranges():
    drawn = [stain_range.draw_strengths(np.random.default_rng(i)) for i in range(300)]
    low, high = np.min(drawn, axis=0), np.max(drawn, axis=0)
    assert low == pytest.approx([0.4, 0.6], rel=0.05)
    assert high == pytest.approx([2.4, 1.8], rel=0.05)


def test_tints():
    drawn = np.array(
        [stain_range.draw_tint(np.random.default_rng(i)) for i in range(300)]
    )
    assert drawn.dtype == np.float32
    assert drawn.min() >= 0
    # At most 0.1 of grey and 0.05 of eosin, which takes green light.
    most = 0.1 * stain_range.TISSUE_RGB + 0.05 * stain_range.EOSIN_RGB
    assert np.all(drawn <= most)
    pink = drawn[:, 1] > 1.2 * drawn[:, 2]
    assert 0.05 < pink.mean() < 0.3
