import numpy as np
import pytest

from cellrec_jax.data.synthetic import focus
from cellrec_jax.data.synthetic import layout as layout_lib

CELL = layout_lib.Nucleus((30.0, 20.0), (12, 10), 0, 0.05, 0.2, 0.1, 0.3, 0.4, 1.0)
MPP = 0.3


def test_defocus_makes_pale_and_soft_what_it_doubts():
    changed = doubted = 0
    for seed in range(20):
        cells, doubt = focus.defocus(np.random.default_rng(seed), [CELL] * 50)
        assert len(cells) == len(doubt) == 50
        for cell, in_doubt in zip(cells, doubt, strict=True):
            assert cell.center_yx == CELL.center_yx
            assert cell.radii == CELL.radii
            kept = cell.haematoxylin / CELL.haematoxylin
            assert cell.dab / CELL.dab == pytest.approx(kept)
            assert in_doubt == (kept < 0.45)
            if cell is not CELL:
                assert 0.25 <= kept <= 0.9
                assert cell.edge_px == pytest.approx(1 + 10 * (1.1 - kept))
            changed += cell is not CELL
            doubted += in_doubt
    # A share of 0 to 0.35, on average 0.175 of 1000; of those (0.45 - 0.25) / 0.65.
    assert changed == pytest.approx(175, abs=70)
    assert doubted == pytest.approx(changed * 0.2 / 0.65, abs=25)


def test_ghosts_keep_off_cells_and_out_of_glass():
    room = np.ones((200, 300), np.float32)
    room[:, :100] = 0
    cells_yx = np.random.default_rng(0).uniform((0, 100), (200, 300), (30, 2))
    numbers = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        kinds = focus.ghosts(rng, cells_yx.astype(np.float32), room, MPP)
        numbers.append([len(kind) for kind in kinds])
        for kind, (low, high) in zip(kinds, (focus.GHOST, focus.DOUBTFUL), strict=True):
            for ghost in kind:
                assert low <= ghost.haematoxylin <= high
                assert ghost.edge_px >= 0.5 * np.sqrt(np.prod(ghost.radii)) - 1e-6
                assert ghost.center_yx[1] >= 100
                away = np.hypot(*(cells_yx - ghost.center_yx).T)
                assert away.min() > 5.5 / MPP - 1e-3
    assert np.sum(numbers, axis=0).min() > 0


def test_a_third_of_images_is_blurred_in_part():
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    shares = []
    for seed in range(60):
        out = focus.blur_part(np.random.default_rng(seed), noise, MPP)
        assert (out.dtype, out.shape) == (np.uint8, noise.shape)
        shares.append(np.mean(out != noise))
    assert np.mean(np.greater(shares, 0)) == pytest.approx(0.33, abs=0.2)
    assert max(shares) > 0.3
