import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.ops import heatmaps

SIZE_HW = (22, 31)
NUM_CLASSES = 3
# y != x; at two borders, between pixels, two of class 1 that overlap.
POINTS = np.array(
    [[0.0, 30.9], [10.5, 12.5], [13.2, 14.7], [21.99, 3.3], [8.0, 22.25]], np.float32
)
LABELS = np.array([0, 1, 1, 0, 2], np.int32)
ALL = np.ones(5, bool)


@functools.partial(jax.jit, static_argnames=("options",))
def target_maps(points, mask, labels, options=heatmaps.GAUSSIAN):
    return heatmaps.target_maps(points, mask, labels, SIZE_HW, NUM_CLASSES, options)


@functools.partial(jax.jit, static_argnames="radius_px")
def disc_mask(points, mask, radius_px=12.0):
    return heatmaps.disc_mask(points, mask, SIZE_HW, radius_px=radius_px)


@jax.jit
def position_map(points, mask):
    return heatmaps.position_map(points, mask, SIZE_HW)


def squared_distance(point) -> np.ndarray:
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]] + 0.5
    return (y - point[0]) ** 2 + (x - point[1]) ** 2


def loop_maps(points, mask, labels, form, sigma=6.0, side=7) -> np.ndarray:
    """Whole maps, one cell after the other, in float64."""
    maps = np.zeros((*SIZE_HW, NUM_CLASSES))
    rows, columns = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    for point, real, label in zip(points.astype(np.float64), mask, labels, strict=True):
        if not real:
            continue
        if form == "stamp":
            row, column = np.floor(point)
            square = abs(rows - row) <= side // 2
            square &= abs(columns - column) <= side // 2
            height = square * np.exp(
                -squared_distance((row + 0.5, column + 0.5)) / (2 * sigma**2)
            )
        else:
            squared = squared_distance(point)
            height = np.exp(-squared / (2 * sigma**2)) * (squared <= 16 * sigma**2)
        maps[..., label] = np.maximum(maps[..., label], height)
    return maps


@pytest.mark.parametrize("form", heatmaps.FORMS)
def test_against_a_loop(form):
    sigma = 2.5  # so that the Gaussian is cut off inside the image
    options = heatmaps.MapOptions(form, sigma)
    result = target_maps(POINTS, ALL, LABELS, options)
    assert result.shape == (*SIZE_HW, NUM_CLASSES)
    assert result.dtype == jnp.float32
    expected = loop_maps(POINTS, ALL, LABELS, form, sigma)
    np.testing.assert_allclose(result, expected, atol=2e-6)


def test_stamp_as_printed():
    """7 x 7 px, sigma 6: e^(-1/72) beside the peak, e^(-18/72) = 0.78 at corners."""
    points, labels = np.array([[10.9, 12.1]], np.float32), np.zeros(1, np.int32)
    stamp = np.asarray(
        target_maps(points, ALL[:1], labels, heatmaps.MapOptions(form="stamp"))[..., 0]
    )
    assert np.count_nonzero(stamp) == 49
    assert stamp[10, 12] == 1
    assert stamp[7, 9] == stamp[13, 15] == pytest.approx(0.7788, abs=1e-4)
    assert stamp[10, 13] == pytest.approx(np.exp(-1 / 72))


def test_position_map_of_the_pseudo_label_paper():
    """Sigma 6, maximum: 0.135 at 12 px, the radius of the mask of the loss."""
    points = np.array([[3.5, 2.5], [3.5, 26.5], [9, 9]], np.float32)
    mask = np.array([True, True, False])
    heat = np.asarray(position_map(points, mask))
    assert heat[3, 2] == heat[3, 26] == 1
    assert heat[3, 14] == pytest.approx(np.exp(-2), rel=1e-5)
    assert heat[15, 2] == pytest.approx(np.exp(-2), rel=1e-5)
    disc = np.asarray(disc_mask(points, mask))
    assert disc[3, 14]
    assert disc[15, 2]
    assert not disc[16, 2]
    assert heat[disc].min() >= np.exp(-2) - 1e-6


@pytest.mark.parametrize("radius", [0.0, 0.8, 12.0])
def test_disc_against_distances(radius):
    near = [squared_distance(p.astype(np.float64)) <= radius**2 for p in POINTS]
    np.testing.assert_array_equal(
        disc_mask(POINTS, ALL, radius_px=radius), np.any(near, axis=0)
    )


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -1e9, 3e38, 5.0])
def test_padding_and_cells_outside_paint_nothing(garbage):
    mask = np.array([True, False, True, True, False])
    dirty = np.where(mask[:, None], POINTS, np.float32(garbage))
    labels = np.where(mask, LABELS, -1)
    clean = target_maps(POINTS[mask], ALL[:3], LABELS[mask])
    np.testing.assert_array_equal(target_maps(dirty, mask, labels), clean)
    np.testing.assert_array_equal(
        disc_mask(dirty, mask), disc_mask(POINTS[mask], ALL[:3])
    )
    if not 0 <= garbage < SIZE_HW[0]:  # the same without a mask
        np.testing.assert_array_equal(target_maps(dirty, ALL, LABELS), clean)


def test_unknown_labels_paint_nothing():
    labels = np.array([-1, NUM_CLASSES, 1, 99, -7], np.int32)
    maps = np.asarray(target_maps(POINTS, ALL, labels))
    np.testing.assert_allclose(
        maps, loop_maps(POINTS, labels == 1, labels, "gaussian"), atol=2e-6
    )


def test_no_cells():
    none = np.zeros((0, 2), np.float32), np.zeros(0, bool)
    assert not position_map(*none).any()
    assert not disc_mask(*none).any()
    assert not target_maps(POINTS, ~ALL, LABELS).any()


def test_vmap_equals_loop():
    masks = np.stack([ALL, ~ALL, LABELS == 1])
    points = np.stack([POINTS, POINTS, POINTS * np.float32(0.7)])
    labels = np.stack([LABELS, LABELS, LABELS[::-1]])
    one = functools.partial(
        heatmaps.target_maps, size_hw=SIZE_HW, num_classes=NUM_CLASSES
    )
    together = jax.jit(jax.vmap(one))(points, masks, labels)
    alone = [
        target_maps(p, m, k) for p, m, k in zip(points, masks, labels, strict=True)
    ]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-6)


def test_half_precision_points_give_float32_maps():
    points = jnp.asarray([[10.5, 12.5]], jnp.bfloat16)
    maps = target_maps(points, ALL[:1], LABELS[:1])
    assert maps.dtype == jnp.float32
    assert maps[10, 12, 0] == 1


def test_no_gradient_flows_into_positions():
    slope = jax.jit(jax.grad(lambda p: position_map(p, ALL).sum()))(POINTS)
    assert not np.asarray(slope).any()


OPTIONS = heatmaps.PolygonOptions(radius_px=5.0)


@functools.partial(jax.jit, static_argnames=("count", "options"))
def draw_polygons(seed, count, options=OPTIONS):
    return heatmaps.draw_polygons(jax.random.key(seed), count, options)


@functools.partial(jax.jit, static_argnames="reach_px")
def polygon_maps(points, mask, labels, corners, reach_px=OPTIONS.reach_px):
    return heatmaps.polygon_maps(
        points, mask, labels, corners, SIZE_HW, NUM_CLASSES, reach_px=reach_px
    )


@jax.jit
def disc_maps(points, mask, labels):
    return heatmaps.disc_maps(points, mask, labels, SIZE_HW, NUM_CLASSES, radius_px=4.0)


def winds_around(point, corners) -> tuple[bool, float]:
    """Whether a polygon turns once around a point, and its distance from the edges."""
    to = corners.astype(np.float64) - point
    following = np.roll(to, -1, axis=0)
    cross = to[:, 0] * following[:, 1] - to[:, 1] * following[:, 0]
    turned = np.arctan2(cross, np.sum(to * following, axis=1)).sum()
    edge = following - to
    length = np.maximum(np.sum(edge**2, axis=1), 1e-30)
    share = np.clip(-np.sum(to * edge, axis=1) / length, 0, 1)
    distance = np.linalg.norm(to + share[:, None] * edge, axis=1).min()
    return abs(turned) > np.pi, distance


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_polygons_against_a_winding_number(seed):
    corners = np.asarray(draw_polygons(seed, 5))
    maps = np.asarray(polygon_maps(POINTS, ALL, LABELS, corners))
    assert maps.dtype == np.float32
    expected, unsure = np.zeros((2, *maps.shape), bool)
    for point, own, label in zip(POINTS, corners, LABELS, strict=True):
        for y, x in np.ndindex(SIZE_HW):
            pixel = np.array([y + 0.5, x + 0.5])
            within, distance = winds_around(pixel, point.astype(np.float64) + own)
            expected[y, x, label] |= within
            unsure[y, x, label] |= distance < 1e-4
    assert unsure.mean() < 0.01
    np.testing.assert_array_equal(maps[~unsure], expected[~unsure])
    assert 60 < expected.sum() < maps.size // 3


def test_polygons_of_a_square():
    """Half-open as pixels are: 6 x 4 px whose edges go through pixel centres."""
    square = np.array([[[-3, -2], [-3, 2], [3, 2], [3, -2]]], np.float32)
    painted = np.asarray(
        polygon_maps(np.float32([[10.5, 12.5]]), ALL[:1], LABELS[:1], square)[..., 0]
    )
    expected = np.zeros(SIZE_HW, bool)
    expected[7:13, 10:14] = True
    np.testing.assert_array_equal(painted > 0, expected)


def test_polygons_follow_their_law():
    options = heatmaps.PolygonOptions(10.0, (5, 12), (0.6, 1.4), (0.8, 1.2))
    corners = np.asarray(draw_polygons(3, 400, options), np.float64)
    radii = np.linalg.norm(corners, axis=-1)
    assert options.reach_px == pytest.approx(16.8)
    assert 4.8 <= radii.min() < 6
    assert 15 < radii.max() <= 16.8 + 1e-4
    numbers = [len(np.unique(one, axis=0)) for one in corners]
    assert set(np.unique(numbers)) == set(range(5, 13))
    means = np.array([r[:n].mean() for r, n in zip(radii, numbers, strict=True)])
    assert means.mean() == pytest.approx(10, rel=0.03)
    assert means.std() == pytest.approx(0.8 / 12**0.5 * 10, rel=0.15)
    for one, number in zip(corners, numbers, strict=True):
        angles = np.arctan2(one[:number, 0], one[:number, 1])
        gaps = np.diff(angles, append=angles[0]) + 1e-5  # of two that nearly meet
        gaps %= 2 * np.pi
        around = gaps.sum() - 1e-5 * number
        assert around == pytest.approx(2 * np.pi, rel=1e-5)  # in order, once
        assert gaps.max() < np.pi


def test_polygons_without_jitter_are_regular():
    options = heatmaps.PolygonOptions(8.0, (6, 6), (1.0, 1.0), (1.0, 1.0), 0.0)
    corners = np.asarray(draw_polygons(1, 2, options), np.float64)
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1)
    np.testing.assert_allclose(sides, 8.0, rtol=1e-4)  # of a hexagon: its radius
    assert not np.allclose(corners[0], corners[1])  # each is turned


def test_a_cells_polygon_depends_on_key_and_cell_alone():
    corners = np.asarray(draw_polygons(0, 5))
    np.testing.assert_array_equal(draw_polygons(0, 3), corners[:3])
    assert (np.asarray(draw_polygons(1, 5)) != corners).any(axis=(1, 2)).all()
    assert len(np.unique(corners[:, 0], axis=0)) == 5


def test_discs_and_polygons_of_a_class_lie_on_its_map():
    maps = np.asarray(disc_maps(POINTS, ALL, LABELS))
    for label in range(NUM_CLASSES):
        near = [squared_distance(p) <= 16 for p in POINTS[label == LABELS]]
        np.testing.assert_array_equal(maps[..., label], np.any(near, axis=0))
    labels = np.array([-1, 1, 1, 7, 0], np.int32)
    mask = np.array([True, True, False, True, True])
    dirty = np.where(mask[:, None], POINTS, np.float32(np.nan))
    corners = np.asarray(draw_polygons(0, 5))
    drawn = np.array([False, True, False, False, True])
    for paint in (disc_maps, functools.partial(_paint_polygons, corners)):
        np.testing.assert_array_equal(
            paint(dirty, mask, labels), paint(POINTS, drawn, labels * drawn)
        )
    assert not disc_maps(POINTS, ~ALL, LABELS).any()


def _paint_polygons(corners, points, mask, labels):
    return polygon_maps(points, mask, labels, corners)


def test_corners_beyond_the_window_are_cut():
    """An error of the caller's, but nothing wraps around the image."""
    far = 40 * np.asarray(draw_polygons(0, 5))[:1]
    painted = np.asarray(
        polygon_maps(np.float32([[10.5, 12.5]]), ALL[:1], LABELS[:1], far, 4.0)
    )
    assert painted[..., 0].sum() == 81
