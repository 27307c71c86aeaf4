"""Areas against shapely, a point by point test, and what can be counted by hand."""

from hypothesis import given, settings
from hypothesis.extra import numpy as npst
from matplotlib.path import Path as Outline
import numpy as np
import pytest

from cellrec_jax import polygons

SIZE_HW = (9, 13)
TRIANGLE = (np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 9.0]]),)
HOLED = (*polygons.rectangle(1, 1, 8, 11), *polygons.rectangle(3, 3, 5, 9))


def test_by_hand() -> None:
    assert polygons.area(TRIANGLE) == 27
    assert polygons.center(TRIANGLE).tolist() == [2, 3]
    assert polygons.bounds([TRIANGLE, HOLED]).tolist() == [0, 0, 8, 11]
    assert polygons.area(HOLED) == 7 * 10 - 2 * 6
    middle = (70 * 4.5 - 12 * 4) / 58  # of the outline, less that of the hole
    np.testing.assert_allclose(polygons.center(HOLED), [middle, 6])
    two = (polygons.rectangle(0, 0, 2, 2), polygons.rectangle(2, 2, 4, 8))
    np.testing.assert_allclose(polygons.center(*two), [2.5, 4])


@pytest.mark.parametrize("closed", [False, True])
def test_a_closed_ring_is_the_same_area(closed: bool) -> None:
    ring = TRIANGLE[0]
    polygon = (np.concatenate([ring, ring[:1]]) if closed else ring,)
    assert polygons.area(polygon) == 27
    assert polygons.center(polygon).tolist() == [2, 3]
    assert polygons.fill([polygon], SIZE_HW).sum() == 27


def test_lines_have_the_mean_of_their_corners() -> None:
    line = (np.array([[1.0, 1.0], [1.0, 5.0], [1.0, 1.0]]),)
    assert polygons.center(line).tolist() == [1, 3]
    assert polygons.center((np.array([[4.0, 2.0]]),)).tolist() == [4, 2]
    assert not polygons.fill([line], SIZE_HW).any()


def test_ellipses_are_turned_as_pictures_show_it() -> None:
    lying = polygons.ellipse((5, 6), (2, 4))
    np.testing.assert_allclose(polygons.bounds([lying]), [3, 2, 7, 10])
    standing = polygons.ellipse((5, 6), (2, 4), 90)
    np.testing.assert_allclose(polygons.bounds([standing]), [1, 4, 9, 8])
    np.testing.assert_allclose(polygons.center(standing), [5, 6])
    corner = polygons.turned(np.array([[4.0, 9.0]]), 90, (4.0, 6.0))
    np.testing.assert_allclose(corner, [[7, 6]])  # right of it becomes below it


@pytest.mark.parametrize("seed", range(12))
def test_fill_is_inside_of_each_middle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = (rng.uniform(-2, 14, (rng.integers(3, 8), 2)) for _ in range(2))
    rows, columns = np.indices(SIZE_HW) + 0.5
    middles = np.stack([rows.ravel(), columns.ravel()], 1)
    expected = polygons.inside((first, second), middles)
    # Rounded corners lie on middles at times; no test of the other kind is exact there.
    near = np.zeros(len(middles), bool)
    for ring in (first, second):
        for a, b in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            along = np.clip(
                (middles - a) @ (b - a) / max((b - a) @ (b - a), 1e-12), 0, 1
            )
            near |= (
                np.linalg.norm(middles - a - along[:, None] * (b - a), axis=1) < 0.01
            )
    found = polygons.fill([(first, second)], SIZE_HW).ravel()
    np.testing.assert_array_equal(found[~near], expected[~near])
    outer = Outline(first).contains_points(middles)
    even_odd = polygons.inside((first,), middles)
    simple = ~near & (_winding(first, middles) <= 1)
    np.testing.assert_array_equal(even_odd[simple], outer[simple])


def _winding(ring: np.ndarray, points_yx: np.ndarray) -> np.ndarray:
    """How often a ring goes around points; more than once differs by rule."""
    away = ring[None] - points_yx[:, None]
    angles = np.arctan2(away[..., 0], away[..., 1])
    steps = np.diff(np.concatenate([angles, angles[:, :1]], 1), axis=1)
    steps = (steps + np.pi) % (2 * np.pi) - np.pi
    return np.abs(np.rint(steps.sum(1) / (2 * np.pi)))


def test_areas_join_and_are_cut_at_the_image() -> None:
    boxes = [polygons.rectangle(-5, -5, 2, 2), polygons.rectangle(1, 1, 3, 99)]
    filled = polygons.fill(boxes, SIZE_HW)
    assert filled.sum() == 4 + 2 * 12 - 1
    assert not polygons.fill([polygons.rectangle(20, 2, 30, 4)], SIZE_HW).any()
    assert not polygons.fill([polygons.rectangle(-9, 2, -3, 4)], SIZE_HW).any()
    assert not polygons.fill([], SIZE_HW).any()


def test_polygons_that_share_corners_are_one_group() -> None:
    first, second = polygons.rectangle(0, 0, 2, 2), polygons.rectangle(2, 2, 4, 8)
    third, apart = polygons.rectangle(4, 8, 5, 9), polygons.rectangle(0, 3, 1, 4)
    groups = polygons.touching([first, third, apart, second])
    assert sorted(map(len, groups)) == [1, 3]
    assert groups[0] == [apart]


@settings(max_examples=25)
@given(npst.arrays(bool, (5, 7)))
def test_outlines_are_valid_and_filled_again(mask: np.ndarray) -> None:
    found = polygons.outlines(mask)
    np.testing.assert_array_equal(polygons.fill(found, (5, 7)), mask)
    shapely = pytest.importorskip("shapely")
    for rings_yx in found:
        assert shapely.Polygon(rings_yx[0], rings_yx[1:]).is_valid
    assert sum(map(polygons.area, found)) == mask.sum()


def test_outlines_have_no_more_corners_than_needed() -> None:
    mask = np.zeros(SIZE_HW, bool)
    mask[2:5, 3:9] = True
    ((ring,),) = polygons.outlines(mask)
    assert sorted(ring.tolist()) == [[2, 3], [2, 9], [5, 3], [5, 9]]
