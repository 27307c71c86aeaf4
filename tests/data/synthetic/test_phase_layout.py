import numpy as np
import pytest

from cellrec_jax.data.synthetic import phase_cells as synthetic_phase_cells
from cellrec_jax.data.synthetic import phase_layout as synthetic_phase_layout

PRESETS = synthetic_phase_layout.PRESETS


def no_wall(size_hw: tuple[int, int]) -> np.ndarray:
    return np.full(size_hw, np.inf, np.float32)


@pytest.mark.parametrize("kind", PRESETS)
@pytest.mark.parametrize("size_hw", [(256, 300), (512, 600)])
def test_counts_scale_with_the_area(kind, size_hw):
    preset = PRESETS[kind]
    density = []
    for seed in range(6):
        cells = synthetic_phase_layout.plan(
            np.random.default_rng(seed), preset, no_wall(size_hw)
        )
        density.append(len(cells) / np.prod(size_hw) * 1024**2)
    low, high = preset.per_megapixel
    # A count is a whole number of cells.
    slack = 0.5 / np.prod(size_hw) * 1024**2
    assert min(density) > low - slack
    assert max(density) < high + slack
    assert np.std(density) > 5


@pytest.mark.parametrize("kind", PRESETS)
def test_cells_keep_apart_and_off_the_wall(kind):
    preset = PRESETS[kind]
    inside_px = np.repeat(np.arange(-60.0, 240.0, dtype=np.float32)[None], 400, axis=0)
    rng = np.random.default_rng(2)
    cells = synthetic_phase_layout.plan(rng, preset, inside_px)
    places = np.array([cell.center_yx for cell in cells])
    gaps = np.linalg.norm(places[:, None] - places[None], axis=-1)
    assert gaps[~np.eye(len(places), dtype=bool)].min() > preset.gap_px
    assert (places > 1).all()
    assert (places < np.array(inside_px.shape) - 1).all()
    assert inside_px[tuple(places.astype(int).T)].min() > 14


def test_the_least_image_has_a_cell():
    inside_px = np.arange(-40, -40 + 32 * 34, dtype=np.float32).reshape(32, 34) / 100
    cells = synthetic_phase_layout.plan(
        np.random.default_rng(0), PRESETS["c2c12"], inside_px
    )
    # All of it is too near to the wall: the place that is farthest from it.
    assert len(cells) == 1
    np.testing.assert_array_equal(cells[0].center_yx, [31.5, 33.5])


def test_a_wall_darkens_what_lies_outside():
    rng = np.random.default_rng(1)
    dish = synthetic_phase_cells.make_dish(rng, (90, 120))
    inside_px = synthetic_phase_layout.draw_well(rng, dish, 1.0)
    assert inside_px.min() < -5 < 5 < inside_px.max()
    assert dish.absorption[inside_px < -12].min() > 0.4
    assert dish.absorption[inside_px > 15].max() < 0.01
    # Distances are in px: a step of one px changes them by one at most, and by one
    # along the steepest way.
    steps = np.hypot(*np.gradient(inside_px))
    np.testing.assert_allclose(steps, 1, atol=0.01)
    assert np.isinf(synthetic_phase_layout.draw_well(rng, dish, 0.0)).all()


def test_dirt_of_hsc_is_plenty_and_not_annotated():
    reached = {}
    for kind, preset in PRESETS.items():
        rng = np.random.default_rng(4)
        dish = synthetic_phase_cells.make_dish(rng, (300, 400))
        before = dish.phase.copy()
        synthetic_phase_layout.litter(rng, dish, preset)
        assert not dish.masks.any()
        reached[kind] = np.mean(np.abs(dish.phase - before) > 0.05)
    assert reached["hsc"] > 3 * reached["c2c12"]
    assert 0.01 < reached["hsc"] < 0.2
