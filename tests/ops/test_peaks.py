import functools

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
import jax
import jax.numpy as jnp
import numpy as np
from skimage import feature

from cellrec_jax.ops import peaks

SIZE_HW = (14, 19)
MAX_PEAKS = 24
# Few heights: flat tops are common.
HEIGHTS = npst.arrays(np.float32, SIZE_HW, elements=st.integers(-2, 4))


@functools.partial(jax.jit, static_argnames="window_px")
def compiled(heatmap, **options):
    return peaks.find_peaks(
        heatmap, max_peaks=MAX_PEAKS, num_candidates=heatmap.size, **options
    )


def find(heatmap, window_px=2, min_distance=0.0, threshold_abs=-np.inf, **options):
    """With the same arguments each time, so that few forms are compiled."""
    return compiled(
        heatmap,
        window_px=window_px,
        min_distance=np.float32(min_distance),
        threshold_abs=np.float32(threshold_abs),
        **options,
    )


def rows(found: peaks.Peaks) -> list[tuple[float, float]]:
    mask = np.asarray(found.mask)
    assert (np.diff(mask.astype(int)) <= 0).all(), "empty slots come last"
    assert (np.diff(np.asarray(found.scores)[mask]) <= 0).all()
    assert not np.asarray(found.points_yx)[~mask].any()
    assert not np.asarray(found.scores)[~mask].any()
    return [tuple(point) for point in np.asarray(found.points_yx)[mask].tolist()]


def slow_peaks(heatmap, half, min_distance, threshold, valid=None):
    """The rule pixel by pixel, then greedily; in row-major order where equal."""
    valid = np.ones(heatmap.shape, bool) if valid is None else valid
    found = []
    top = {}
    for y, x in np.argwhere(valid):
        near_y = slice(max(0, y - half), y + half + 1)
        near = near_y, slice(max(0, x - half), x + half + 1)
        top[y, x] = heatmap[y, x] == heatmap[near][valid[near]].max()
    limit = max(threshold, heatmap[valid].min(initial=np.inf))
    for (y, x), is_top in top.items():
        earlier = [
            (i, j)
            for i in range(y - half, y + 1)
            for j in range(x - half, x + half + 1)
            if (i, j) < (y, x)
        ]
        tied = any(top.get(place, False) for place in earlier)
        if is_top and not tied and heatmap[y, x] > limit:
            found.append((y, x))
    kept: list[tuple[int, int]] = []
    for y, x in sorted(found, key=lambda place: (-heatmap[place], place)):
        if all(np.hypot(y - i, x - j) >= min_distance for i, j in kept):
            kept.append((y, x))
    return [(y + 0.5, x + 0.5) for y, x in kept][:MAX_PEAKS]


@settings(max_examples=25)
@given(heatmap=HEIGHTS, distance=st.floats(0, 7), threshold=st.floats(-3, 4))
def test_against_the_slow_rule(heatmap, distance, threshold):
    distance, threshold = np.float32(distance), np.float32(threshold)
    for half in (1, 2):
        found = find(heatmap, half, distance, threshold)
        assert rows(found) == slow_peaks(heatmap, half, distance, threshold)


@settings(max_examples=25)
@given(heatmap=HEIGHTS, inside=npst.arrays(bool, SIZE_HW))
def test_pixels_outside_change_nothing(heatmap, inside):
    expected = slow_peaks(heatmap, 2, 0, -np.inf, valid=inside)
    for garbage in (9.0, np.nan, -1e30):
        dirty = np.where(inside, heatmap, np.float32(garbage))
        found = find(dirty, valid=inside)
        assert rows(found) == expected


def test_equals_scikit_image_without_ties(rng):
    heatmap = rng.permutation(np.prod(SIZE_HW)).reshape(SIZE_HW).astype(np.float32)
    found = find(heatmap, window_px=3)
    expected = feature.peak_local_max(
        heatmap, min_distance=3, exclude_border=False, num_peaks=MAX_PEAKS
    )
    assert len(expected) > 2
    assert len(expected) < len(rows(find(heatmap, window_px=1)))
    np.testing.assert_array_equal(rows(found), expected + 0.5)


def test_by_hand():
    heatmap = np.zeros(SIZE_HW, np.float32)
    heatmap[3, 5], heatmap[3, 9], heatmap[12, 18] = 0.9, 0.8, 0.5
    found = find(heatmap)
    assert rows(found) == [(3.5, 5.5), (3.5, 9.5), (12.5, 18.5)]
    np.testing.assert_allclose(found.scores[:3], [0.9, 0.8, 0.5])
    # Four px apart: kept at exactly the least distance, dropped above it.
    assert len(rows(find(heatmap, min_distance=4.0))) == 3
    assert rows(find(heatmap, min_distance=4.01)) == [(3.5, 5.5), (12.5, 18.5)]
    assert rows(find(heatmap, threshold_abs=0.5)) == [(3.5, 5.5), (3.5, 9.5)]


def test_a_flat_top_gives_one_peak():
    heatmap = np.zeros(SIZE_HW, np.float32)
    heatmap[2:11, 4:17] = 1
    assert rows(find(heatmap)) == [(2.5, 4.5)]
    assert len(feature.peak_local_max(heatmap)) > 10  # what others make of it


def test_nothing_to_find():
    for value in (0.0, 1.0, -5.0, np.nan, -np.inf):
        assert rows(find(np.full(SIZE_HW, value, np.float32))) == []
    heatmap = np.zeros(SIZE_HW, np.float32)
    heatmap[3, 5] = 1
    assert rows(find(heatmap, threshold_abs=1.0)) == []
    nowhere = find(heatmap, valid=np.zeros(SIZE_HW, bool))
    assert rows(nowhere) == []
    assert np.isfinite(nowhere.points_yx).all()


def test_vmap_equals_loop(rng):
    """Also with more slots than there are pixels."""
    maps = rng.normal(size=(3, *SIZE_HW)).astype(np.float32)
    distances = np.array([0, 4, 9], np.float32)

    def many(heatmap, distance):
        return peaks.find_peaks(
            heatmap, max_peaks=400, window_px=2, min_distance=distance
        )

    together = jax.jit(jax.vmap(many))(maps, distances)
    assert together.points_yx.shape == (3, 400, 2)
    for i, distance in enumerate(distances):
        alone = find(maps[i], min_distance=distance)
        for part, expected in zip(together, alone, strict=True):
            np.testing.assert_array_equal(part[i, :MAX_PEAKS], expected)
            assert not np.asarray(part)[i, MAX_PEAKS:].any()


def test_half_precision_maps():
    heatmap = jax.ShapeDtypeStruct(SIZE_HW, jnp.bfloat16)
    found = jax.eval_shape(lambda x: peaks.find_peaks(x, max_peaks=5), heatmap)
    assert found.scores.dtype == found.points_yx.dtype == jnp.float32
    scaled = jax.eval_shape(peaks.rescale, heatmap)
    assert scaled.dtype == jnp.float32


def test_rescale():
    heatmap = np.array([[-1.0, 3.0], [1.0, 99.0]], np.float32)
    valid = np.array([[True, True], [True, False]])
    rescale = jax.jit(peaks.rescale)
    np.testing.assert_allclose(rescale(heatmap, valid), [[0, 1], [0.5, 0]])
    heatmap[1, 1] = np.nan
    np.testing.assert_allclose(rescale(heatmap), [[0, 1], [0.5, 0]])
    assert not rescale(np.full((2, 2), 7, np.float32)).any()
    assert not rescale(heatmap, ~valid).any()


def test_read_maps():
    maps = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    points = np.array([[1.5, 2.5], [0.0, 3.99], [99, -1]], np.float32)
    values = jax.jit(peaks.read_maps)(maps, points)
    np.testing.assert_array_equal(values, [maps[1, 2], maps[0, 3], maps[2, 0]])
