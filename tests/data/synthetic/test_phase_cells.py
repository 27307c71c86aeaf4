import numpy as np
import pytest

from cellrec_jax.data.synthetic import phase_cells as cells_lib

SIZE_HW = (60, 80)


def flat_dish() -> cells_lib.Dish:
    """An empty dish without film, warp and granules."""
    return cells_lib.Dish(
        np.zeros(SIZE_HW, np.float32),
        np.zeros(SIZE_HW, np.float32),
        np.zeros(SIZE_HW, np.int32),
        np.zeros(SIZE_HW, np.float32),
        np.zeros((2, *SIZE_HW), np.float32),
        np.zeros((256, 256), np.float32),
    )


def disc(center_yx: tuple[float, float], radius: float, **changes) -> cells_lib.Cell:
    cell = cells_lib.Cell(
        center_yx=np.array(center_yx),
        angle=0.0,
        discs=np.array([[0.0, 0.0, radius]]),
        phase=0.5,
        absorption=0.2,
        grain=0.0,
        dome=1.0,
        rough=1.0,
    )
    return cell._replace(**changes)


def test_a_disc_by_hand():
    dish = flat_dish()
    cells_lib.draw(dish, [disc((20.5, 33.5), 10.0)], annotated=True)
    y, x = np.mgrid[:60, :80] + 0.5
    away = np.hypot(y - 20.5, x - 33.5)
    np.testing.assert_array_equal(dish.masks == 1, away < 10)
    height = np.sqrt(np.clip(1 - (away / 10) ** 2, 0, None))
    np.testing.assert_allclose(dish.phase, 0.5 * height, atol=1e-5)
    np.testing.assert_allclose(dish.absorption, 0.2 * height, atol=1e-5)


def test_the_first_arm_points_along_the_angle():
    discs = np.array([[0.0, 0.0, 4.0], [0.0, 20.0, 2.0]])  # an arm along x
    dish = flat_dish()
    turned = disc((30.5, 40.5), 4.0, discs=discs, angle=np.pi / 2)  # now along y
    cells_lib.draw(dish, [turned], annotated=True)
    assert dish.masks[50, 40] == 1
    assert dish.masks[30, 60] == 0


def test_overlaps_add_delays_and_the_higher_cell_owns_them():
    dish = flat_dish()
    pair = [disc((30.5, 30.5), 10.0), disc((30.5, 42.5), 6.0)]
    cells_lib.draw(dish, pair, annotated=True)
    alone = flat_dish(), flat_dish()
    for one, cell in zip(alone, pair, strict=True):
        cells_lib.draw(one, [cell], annotated=False)
        assert not one.masks.any()
    np.testing.assert_allclose(dish.phase, alone[0].phase + alone[1].phase, atol=1e-6)
    # Where both are as high, 100 - d^2 = 36 - (12 - d)^2, so d = 8.67 and x = 39.17.
    np.testing.assert_array_equal(dish.masks[30, 36:42], [1, 1, 1, 2, 2, 2])


def test_a_covered_centre_stays_its_own():
    dish = flat_dish()
    pair = [disc((30.5, 30.5), 3.0), disc((30.5, 31.5), 10.0)]
    cells_lib.draw(dish, pair, annotated=True)
    assert dish.masks[30, 30] == 1
    assert (dish.masks == 1).sum() == 1


def test_warp_bends_the_outline_but_keeps_the_centre():
    dish = flat_dish()
    dish.warp_yx[:] = 5.0  # the same everywhere: no change of shape
    cells_lib.draw(dish, [disc((20.5, 33.5), 10.0)], annotated=True)
    plain = flat_dish()
    cells_lib.draw(plain, [disc((20.5, 33.5), 10.0)], annotated=True)
    np.testing.assert_array_equal(dish.masks, plain.masks)
    rough, smooth = (
        cells_lib.make_dish(np.random.default_rng(0), SIZE_HW) for _ in range(2)
    )
    cells_lib.draw(rough, [disc((20.5, 33.5), 10.0)], annotated=True)
    cells_lib.draw(smooth, [disc((20.5, 33.5), 10.0, rough=0.0)], annotated=True)
    np.testing.assert_array_equal(smooth.masks, plain.masks)
    assert 3 < (rough.masks != plain.masks).sum() < 150


def test_cells_over_the_border_and_far_outside():
    dish = flat_dish()
    outside = disc((-40.0, 200.0), 5.0)
    cells_lib.draw(dish, [disc((0.5, 79.5), 8.0), outside], annotated=False)
    assert dish.phase[0, 79] == pytest.approx(0.5)
    assert (dish.phase > 0).sum() < np.pi * 64 / 3


@pytest.mark.parametrize("arms", [(), (0.0, np.pi), (0.0, 2.0, 4.0)])
def test_shapes(arms):
    rng = np.random.default_rng(5)
    discs = cells_lib.shape(rng, 8.0, arms, (20.0, 30.0))
    np.testing.assert_array_equal(discs[0], [0, 0, 8])
    assert (discs[1:, 2] < 8).all()
    ends = np.hypot(discs[:, 0], discs[:, 1])
    assert ends.max() < 30
    assert (np.diff(np.sort(ends)) <= 1.5 + 1e-9).all()  # arms have no holes
    # One start for each arm.
    assert np.isclose(ends, 1).sum() == len(arms)


@pytest.mark.parametrize("name", cells_lib.SPECKS)
def test_specks(name):
    kind = cells_lib.SPECKS[name]
    rng = np.random.default_rng(0)
    for _ in range(10):
        speck = cells_lib.speck(rng, np.array([5.0, 7.0]), name)
        assert kind.num_discs[0] <= len(speck.discs) <= kind.num_discs[1]
        assert kind.radii[0] <= speck.discs[:, 2].min()
        assert speck.discs[:, 2].max() <= kind.radii[1]
        assert kind.phase[0] <= speck.phase <= kind.phase[1]
