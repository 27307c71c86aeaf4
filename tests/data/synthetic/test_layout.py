import numpy as np
import pytest
from scipy import spatial

from cellrec_jax import geometry
from cellrec_jax.data.synthetic import layout as synthetic_layout

SIZE_HW = (200, 280)


def plan(seed: int, size_hw: tuple[int, int], mpp: float) -> synthetic_layout.Layout:
    return synthetic_layout.plan(np.random.default_rng(seed), size_hw, mpp)


def centers(nuclei: list[synthetic_layout.Nucleus]) -> np.ndarray:
    return np.array([nucleus.center_yx for nucleus in nuclei]).reshape(-1, 2)


def test_crowding_is_that_of_real_images():
    """640 px Ki-67 patches: 116 cells, nearest neighbours 21 and 34 px (5 %, 50 %)."""
    layouts = [plan(seed, (640, 640), 0.3) for seed in range(12)]
    distances = np.concatenate(
        [
            spatial.cKDTree(points_yx).query(points_yx, 2)[0][:, 1]
            for points_yx in (centers(layout.cells) for layout in layouts)
        ]
    )
    near, middle = np.quantile(distances, (0.05, 0.5))
    assert 19 < near < 24
    assert 31 < middle < 37
    assert 95 < np.mean([len(layout.cells) for layout in layouts]) < 145
    shares = [np.mean(layout.labels) for layout in layouts]
    assert 0.35 < np.mean(shares) < 0.65
    assert np.std(shares) > 0.08


@pytest.mark.parametrize("mpp", [0.25, 0.5])
def test_number_of_cells_follows_the_area(mpp):
    numbers = [len(plan(seed, SIZE_HW, mpp).cells) for seed in range(12)]
    area_mm2 = np.prod(SIZE_HW) * (mpp / 1000) ** 2
    expected = area_mm2 * synthetic_layout.CELLS_PER_MM2
    assert 0.7 * expected < np.mean(numbers) < 1.4 * expected


def test_distractors_keep_clear_of_cells_and_prefer_stroma():
    layouts = [plan(seed, SIZE_HW, 0.3) for seed in range(6)]
    inside = []
    for layout in layouts:
        others_yx = centers(layout.distractors)
        gaps = spatial.cKDTree(centers(layout.cells)).query(others_yx)[0]
        assert gaps.min() * 0.3 > synthetic_layout.RADIUS_UM
        inside.extend(layout.nests[tuple(geometry.point_to_pixel(others_yx).T)])
    assert len(inside) > 60
    assert np.mean(inside) < 0.4


def test_cells_are_inside_and_labelled():
    for seed, size_hw in enumerate([SIZE_HW, (32, 47), (33, 500)]):
        layout = plan(seed, size_hw, 0.3)
        assert len(layout.cells) == len(layout.labels) >= 1
        assert geometry.inside(centers(layout.cells), size_hw).all()
        assert layout.nests.shape == size_hw
        assert 0 <= layout.nests.min() <= layout.nests.max() <= 1


@pytest.mark.parametrize("sigma_px", [1.5, 4.0, 25.0])
def test_noise_field_has_unit_variance_and_is_smooth(sigma_px):
    rng = np.random.default_rng(0)
    field = synthetic_layout.noise_field(rng, (600, 800), sigma_px)
    assert field.shape == (600, 800)
    assert field.dtype == np.float32
    # Interpolation between grid points costs up to a fifth of the variance.
    assert 0.75 < field.std() < 1.15
    # Noise smoothed with sigma correlates by exp(-d^2 / (4 sigma^2)) over d px: 0.78
    # at d = sigma, 0.02 at 4 sigma.
    near, far = round(sigma_px), round(4 * sigma_px)
    assert np.corrcoef(field[near:].ravel(), field[:-near].ravel())[0, 1] > 0.6
    assert abs(np.corrcoef(field[far:].ravel(), field[:-far].ravel())[0, 1]) < 0.2


def test_thrown_points_keep_apart_and_off_what_is_taken():
    chance = np.zeros((90, 120))
    chance[:, 40:] = 1
    taken_yx = np.array([[45.0, 80.0]])
    rng = np.random.default_rng(0)
    points_yx = synthetic_layout.throw(rng, chance, 25, 9.0, taken_yx=taken_yx)
    assert 15 < len(points_yx) <= 25
    assert points_yx[:, 1].min() >= 40
    assert spatial.distance.pdist(points_yx).min() > 9
    assert spatial.distance.cdist(points_yx, taken_yx).min() > 9
    assert synthetic_layout.throw(rng, chance, 0, 9.0).shape == (0, 2)
    nowhere = synthetic_layout.throw(rng, 0 * chance, 5, 9.0, taken_yx=taken_yx)
    assert nowhere.shape == (0, 2)


def test_patchy_picks_a_share_in_which_neighbours_agree():
    rng = np.random.default_rng(0)
    points_yx = rng.uniform(0, SIZE_HW, (400, 2))
    picked = synthetic_layout.patchy(rng, points_yx, SIZE_HW, 40.0, 0.3)
    assert picked.sum() == 120  # 0.3 of 400
    nearest = spatial.cKDTree(points_yx).query(points_yx, 2)[1][:, 1]
    by_chance = 0.3**2 + 0.7**2
    assert np.mean(picked == picked[nearest]) > by_chance + 0.05
    assert synthetic_layout.patchy(rng, points_yx[:0], SIZE_HW, 40.0, 0.3).shape == (0,)
