"""Peaks of one heat map in fixed slots: scikit-image's `peak_local_max`, no ties."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cellrec_jax import geometry
from cellrec_jax.ops import nms


class Peaks(NamedTuple):
    """Pixel centres [M, 2] px, heights, mask [M]; best first, 0 in empty slots."""

    points_yx: jax.Array
    scores: jax.Array
    mask: jax.Array


def find_peaks(
    heatmap: jax.Array,
    *,
    max_peaks: int,
    window_px: int = 1,
    min_distance: jax.Array | float = 0.0,
    threshold_abs: jax.Array | float = -jnp.inf,
    valid: jax.Array | None = None,
    num_candidates: int | None = None,
) -> Peaks:
    """Local maxima of a map [H, W], thinned greedily from the highest down.

    The highest pixel of the square of 2 `window_px` + 1 px around it, the first of
    equal ones; none in a constant map. `window_px=d` alone is
    `peak_local_max(min_distance=d)`; `min_distance` (px) and `threshold_abs`, which may
    be traced, are the least distance and an exclusive limit. Pixels outside `valid` [H,
    W] are not compared with. `max_peaks` come from the `num_candidates` (None: twice as
    many) highest.
    """
    chex.assert_rank(heatmap, 2)
    heights = heatmap.astype(jnp.float32)
    counted = ~jnp.isnan(heights)
    if valid is not None:
        chex.assert_equal_shape([heatmap, valid])
        counted &= valid
    heights = jnp.where(counted, heights, -jnp.inf)
    lowest = jnp.min(jnp.where(counted, heights, jnp.inf))
    found = counted & _is_peak(heights, window_px)
    found &= heights > jnp.maximum(lowest, threshold_abs)
    if num_candidates is None:
        num_candidates = 2 * max_peaks
    candidates = _highest(heights, found, min(num_candidates, heatmap.size))
    distance = jnp.asarray(min_distance, jnp.float32)
    kept = nms.point_nms(candidates.points_yx, candidates.mask, distance)
    return _first(candidates._replace(mask=kept), max_peaks)


def rescale(heatmap: jax.Array, valid: jax.Array | None = None) -> jax.Array:
    """Maps an image's own lowest and highest value to 0 and 1; all 0 for one value.

    Of `valid` pixels [H, W], others 0. With 128/255 the peak rule of Fujii et al.
    2021's code (whose training side cuts off below 0 first): empty images have peaks
    too.
    """
    heights = heatmap.astype(jnp.float32)
    counted = ~jnp.isnan(heights) if valid is None else valid & ~jnp.isnan(heights)
    low = jnp.min(jnp.where(counted, heights, jnp.inf))
    high = jnp.max(jnp.where(counted, heights, -jnp.inf))
    usable = counted & (high > low)
    safe = jnp.where(usable, heights - low, 0.0)
    return safe / jnp.where(high > low, high - low, 1.0)


def read_maps(maps: jax.Array, points_yx: jax.Array) -> jax.Array:
    """Values [M, K] of maps [H, W, K] at points [M, 2], clipped to the image."""
    chex.assert_rank([maps, points_yx], [3, 2])
    last = jnp.array(maps.shape[:2], jnp.int32) - 1
    index = jnp.floor(points_yx).astype(jnp.int32)
    index = jnp.clip(index, 0, last[None, :])
    return maps[index[:, 0], index[:, 1]]


def _pool(
    values: jax.Array,
    half: int,
    operator: Callable[..., jax.Array],
    start: jax.Array | float,
) -> jax.Array:
    """Largest or smallest value of the square of 2 half + 1 px around each pixel."""
    start = jnp.array(start, values.dtype)
    for window in ((2 * half + 1, 1), (1, 2 * half + 1)):
        values = jax.lax.reduce_window(
            values, start, operator, window, (1, 1), padding="SAME"
        )
    return values


def _is_peak(heights: jax.Array, half: int) -> jax.Array:
    """Highest of its square, and the first of those; -inf never is."""
    number = jnp.arange(heights.size, dtype=jnp.int32).reshape(heights.shape)
    top = _pool(heights, half, jax.lax.max, -jnp.inf)
    highest = (heights == top) & jnp.isfinite(heights)
    # Two that are highest and in each other's square are equal.
    last = heights.size
    first = _pool(jnp.where(highest, number, last), half, jax.lax.min, last)
    return highest & (first == number)


def _highest(heights: jax.Array, found: jax.Array, count: int) -> Peaks:
    """The `count` highest pixels that are `found`, ties by row and column."""
    scores, index = jax.lax.top_k(jnp.where(found, heights, -jnp.inf).ravel(), count)
    mask = jnp.isfinite(scores)
    places = jnp.stack(jnp.divmod(index, heights.shape[1]), axis=-1)
    points_yx = geometry.pixel_to_point(places.astype(jnp.float32))
    return _blank(Peaks(points_yx, scores, mask))


def _first(candidates: Peaks, count: int) -> Peaks:
    """Moves peaks that are left to the front, in order, into `count` slots."""
    order = jnp.argsort(~candidates.mask, stable=True)[:count]
    peaks = _blank(Peaks(*(part[order] for part in candidates)))
    missing = count - len(order)
    return Peaks(
        jnp.pad(peaks.points_yx, ((0, missing), (0, 0))),
        jnp.pad(peaks.scores, (0, missing)),
        jnp.pad(peaks.mask, (0, missing)),
    )


def _blank(peaks: Peaks) -> Peaks:
    """Zeros in empty slots."""
    return Peaks(
        jnp.where(peaks.mask[:, None], peaks.points_yx, 0.0),
        jnp.where(peaks.mask, peaks.scores, 0.0),
        peaks.mask,
    )
