import numpy as np
import pytest

from cellrec_jax.data.synthetic import rings as synthetic_rings

SIZE_HW = (60, 90)
MPP = 0.3
CELL = synthetic_rings.Cell((30.0, 25.0), 14.0, 1.0, 0.0, 0.0, 0.0)


def draw(*cells: synthetic_rings.Cell) -> tuple[np.ndarray, np.ndarray]:
    haematoxylin = np.zeros(SIZE_HW, np.float32)
    dab = np.zeros(SIZE_HW, np.float32)
    rng = np.random.default_rng(0)
    synthetic_rings.draw(rng, haematoxylin, dab, cells, MPP)
    return haematoxylin, dab


def distance(cell: synthetic_rings.Cell) -> np.ndarray:
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]] + 0.5
    return np.hypot(y - cell.center_yx[0], x - cell.center_yx[1])


def test_a_membrane_is_a_ring():
    haematoxylin, dab = draw(CELL)
    away = distance(CELL) - CELL.radius
    assert not haematoxylin.any()
    assert dab[np.abs(away) < 1].mean() > 0.25  # outlines stray by some px
    assert dab[away < -9].max() < 0.01
    assert dab[away > 12].max() < 0.01
    rows, columns = np.nonzero(dab > 0.5)
    assert rows.min() < 22
    assert rows.max() > 38
    assert columns.min() < 17
    assert columns.max() > 33


def test_a_body_is_filled():
    cell = CELL._replace(wall_dab=0.0, body_dab=0.2, body_haematoxylin=0.1)
    haematoxylin, dab = draw(cell)
    inner = distance(cell) < 6
    assert dab[inner].mean() == pytest.approx(0.16, abs=0.06)
    assert haematoxylin[inner].mean() == pytest.approx(0.1, abs=0.03)
    assert not haematoxylin[distance(cell) > cell.radius + 8].any()


def test_touching_cells_share_one_straight_wall():
    other = CELL._replace(center_yx=(30.0, 45.0))
    _, dab = draw(CELL, other)
    middle = dab[24:36, 30:40]  # the wall is at x = 35, within both circles
    assert np.all(middle.max(axis=1) > 0.4)
    assert np.all(np.abs(middle.argmax(axis=1) - 4.5) < 4.5)
    # Without the other, the first reaches beyond it.
    assert draw(CELL)[1][24:36, 30:35].max() < 0.4


def test_the_wall_to_an_unstained_neighbour_is_stained():
    plain = CELL._replace(center_yx=(30.0, 45.0), wall_dab=0.0)
    for cells in ((CELL, plain), (plain, CELL)):
        _, dab = draw(*cells)
        assert np.all(dab[26:34, 28:42].max(axis=1) > 0.4)
        assert dab[20:40, 54:].max() < 0.05  # the neighbour's own side


def test_gaps_break_the_wall():
    ring = np.abs(distance(CELL) - CELL.radius) < 3
    whole = draw(CELL)[1][ring].mean()
    broken = draw(CELL._replace(gaps=0.8))[1][ring].mean()
    assert 0.2 * whole < broken < 0.8 * whole


def test_a_cell_at_the_border():
    haematoxylin, dab = draw(CELL._replace(center_yx=(0.5, 89.5), body_dab=0.2))
    assert dab[0, 89] > 0
    assert dab[40:].max() == 0
    assert np.isfinite(haematoxylin).all()
