import numpy as np
import pytest

from cellrec_jax.data.synthetic import layout as synthetic_layout
from cellrec_jax.data.synthetic import nuclei as synthetic_nuclei

SIZE_HW = (48, 72)
ELLIPSE = synthetic_layout.Nucleus(
    center_yx=(20.25, 40.75),
    radii=(12.0, 6.0),
    angle=0.0,
    roughness=0.0,
    haematoxylin=0.2,
    dab=0.8,
    grain=0.0,
    rim=0.0,
    edge_px=1.0,
)


def draw(*nuclei, annotated: bool = True) -> synthetic_nuclei.Canvas:
    rng = np.random.default_rng(0)
    canvas = synthetic_nuclei.make_canvas(rng, SIZE_HW, mpp=0.3)
    synthetic_nuclei.draw(rng, canvas, nuclei, annotated=annotated)
    return canvas


def test_an_ellipse_covers_what_it_should():
    canvas = draw(ELLIPSE)
    # At angle 0 the long half axis lies along x.
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]] + 0.5
    distance = ((y - 20.25) / 6) ** 2 + ((x - 40.75) / 12) ** 2
    differs = canvas.masks != (distance < 1)
    assert not differs[np.abs(distance - 1) > 0.05].any()
    # Inside the stain is full, outside there is none.
    np.testing.assert_allclose(canvas.dab[distance < 0.7], 0.8, rtol=1e-5)
    np.testing.assert_allclose(canvas.haematoxylin[distance < 0.7], 0.2, rtol=1e-5)
    assert not canvas.dab[distance > 1.4].any()


def test_angle_turns_from_x_towards_y():
    rows, columns = np.nonzero(draw(ELLIPSE._replace(angle=np.pi / 2)).masks)
    assert np.ptp(rows) == pytest.approx(24, abs=1.5)
    assert np.ptp(columns) == pytest.approx(12, abs=1.5)
    rows, columns = np.nonzero(draw(ELLIPSE._replace(angle=np.pi / 4)).masks)
    assert np.corrcoef(rows, columns)[0, 1] > 0.3


def test_rough_outlines_keep_their_centroid():
    rng = np.random.default_rng(1)
    for _ in range(20):
        canvas = synthetic_nuclei.make_canvas(rng, SIZE_HW, mpp=0.3)
        rough = ELLIPSE._replace(radii=(11.0, 9.0), roughness=0.15)
        synthetic_nuclei.draw(rng, canvas, [rough], annotated=True)
        center_yx = np.argwhere(canvas.masks).mean(0) + 0.5
        np.testing.assert_allclose(center_yx, ELLIPSE.center_yx, atol=0.25)


def test_overlapping_nuclei_add_up_and_share_the_mask():
    other = ELLIPSE._replace(center_yx=(20.25, 54.75))  # 14 px to the right
    canvas = draw(ELLIPSE, other)
    assert canvas.dab[20, 47] == pytest.approx(1.6)  # halfway: inside both
    assert canvas.masks[20, 40] == 1
    assert canvas.masks[20, 54] == 2
    assert canvas.masks[20, 45] == 1  # 5 px from the first centre, 9 from the other
    assert canvas.masks[20, 49] == 2
    np.testing.assert_array_equal(
        canvas.masks, np.array([0, 2, 1])[draw(other, ELLIPSE).masks]
    )


def test_nuclei_over_the_border_are_cut_off():
    canvas = draw(*(ELLIPSE._replace(center_yx=c) for c in ((0.5, 1.5), (47.5, 71.0))))
    assert canvas.masks[0, 1] == 1
    assert canvas.masks[47, 70] == 2
    outside = draw(ELLIPSE._replace(center_yx=(-30.0, -30.0)))
    assert not outside.dab.any()


def test_distractors_leave_no_mask():
    canvas = draw(ELLIPSE, annotated=False)
    assert canvas.dab.max() > 0.7
    assert not canvas.masks.any()


def test_texture_and_membrane_vary_the_stain():
    inside = draw(ELLIPSE).masks > 0
    even = draw(ELLIPSE).dab[inside]
    grainy = draw(ELLIPSE._replace(grain=0.6)).dab[inside]
    assert np.std(grainy) > np.std(even) + 0.05
    # The membrane lies 0.15 * 6 = 0.9 px inside the outline, here at y = 20.25 + 5.1.
    rimmed = draw(ELLIPSE._replace(rim=0.6)).dab
    assert rimmed[24, 40] > rimmed[20, 40] + 0.1


RING_HW = (60, 90)
MPP = 0.3
CELL = synthetic_nuclei.Body((30.0, 25.0), 14.0, 1.0, 0.0, 0.0, 0.0)


def draw_bodies(*cells: synthetic_nuclei.Body) -> tuple[np.ndarray, np.ndarray]:
    canvas = synthetic_nuclei.make_canvas(np.random.default_rng(1), RING_HW, MPP)
    synthetic_nuclei.draw_bodies(np.random.default_rng(0), canvas, cells, MPP)
    return canvas.haematoxylin, canvas.dab


def body_ids(*cells: synthetic_nuclei.Body, **options: float) -> np.ndarray:
    canvas = synthetic_nuclei.make_canvas(np.random.default_rng(1), RING_HW, MPP)
    rng = np.random.default_rng(0)
    return synthetic_nuclei.draw_bodies(rng, canvas, cells, MPP, **options)


def test_bodies_are_numbered_and_part_in_the_middle():
    other = CELL._replace(center_yx=(30.0, 45.0))
    ids = body_ids(CELL, other, waves_um=0.0)
    one, two = distance(CELL), distance(other)
    expected = np.where(one < 14, 1, 0)
    expected[(two < 14) & (two < one)] = 2
    np.testing.assert_array_equal(ids, expected)
    # Outlines stray, but not far.
    strayed = body_ids(CELL, other) != expected
    assert 0 < strayed.mean() < 0.15


def test_an_oblong_body():
    """Half axes of 14 and 7 px, the long one down: y = 30 +- 14, x = 25 +- 7."""
    ids = body_ids(CELL._replace(aspect=0.5, angle=np.pi / 2), waves_um=0.0)
    rows, columns = np.nonzero(ids)
    assert (rows.min(), rows.max() + 1) == (16, 44)
    assert (columns.min(), columns.max() + 1) == (18, 32)
    assert ids.sum() == pytest.approx(np.pi * 14 * 7, rel=0.03)


def test_an_even_body():
    canvas = synthetic_nuclei.make_canvas(np.random.default_rng(1), RING_HW, MPP)
    cell = CELL._replace(wall_dab=0.0, body_dab=0.2)
    rng = np.random.default_rng(0)
    synthetic_nuclei.draw_bodies(rng, canvas, [cell], MPP, granularity=0.0)
    inner = canvas.dab[distance(cell) < 4]
    np.testing.assert_allclose(inner, 0.8 * 0.2, rtol=1e-5)


def distance(cell: synthetic_nuclei.Body) -> np.ndarray:
    y, x = np.mgrid[: RING_HW[0], : RING_HW[1]] + 0.5
    return np.hypot(y - cell.center_yx[0], x - cell.center_yx[1])


def test_a_membrane_is_a_ring():
    haematoxylin, dab = draw_bodies(CELL)
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
    haematoxylin, dab = draw_bodies(cell)
    inner = distance(cell) < 6
    assert dab[inner].mean() == pytest.approx(0.16, abs=0.06)
    assert haematoxylin[inner].mean() == pytest.approx(0.1, abs=0.03)
    assert not haematoxylin[distance(cell) > cell.radius + 8].any()


def test_touching_cells_share_one_straight_wall():
    other = CELL._replace(center_yx=(30.0, 45.0))
    _, dab = draw_bodies(CELL, other)
    middle = dab[24:36, 30:40]  # the wall is at x = 35, within both circles
    assert np.all(middle.max(axis=1) > 0.4)
    assert np.all(np.abs(middle.argmax(axis=1) - 4.5) < 4.5)
    # Without the other, the first reaches beyond it.
    assert draw_bodies(CELL)[1][24:36, 30:35].max() < 0.4


def test_the_wall_to_an_unstained_neighbour_is_stained():
    plain = CELL._replace(center_yx=(30.0, 45.0), wall_dab=0.0)
    for cells in ((CELL, plain), (plain, CELL)):
        _, dab = draw_bodies(*cells)
        assert np.all(dab[26:34, 28:42].max(axis=1) > 0.4)
        assert dab[20:40, 54:].max() < 0.05  # the neighbour's own side


def test_gaps_break_the_wall():
    ring = np.abs(distance(CELL) - CELL.radius) < 3
    whole = draw_bodies(CELL)[1][ring].mean()
    broken = draw_bodies(CELL._replace(gaps=0.8))[1][ring].mean()
    assert 0.2 * whole < broken < 0.8 * whole


def test_a_cell_at_the_border():
    haematoxylin, dab = draw_bodies(CELL._replace(center_yx=(0.5, 89.5), body_dab=0.2))
    assert dab[0, 89] > 0
    assert dab[40:].max() == 0
    assert np.isfinite(haematoxylin).all()
