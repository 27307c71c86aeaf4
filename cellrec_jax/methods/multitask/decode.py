"""From one image's maps to cells: peaks of each, and one cell a place."""

import functools

import jax
import jax.numpy as jnp

from cellrec_jax.methods.multitask.options import ModelOptions
from cellrec_jax.ops import nms, peaks
from cellrec_jax.types import Decode, Detections


def detect(maps: jax.Array, *, decode: Decode, model: ModelOptions) -> Detections:
    """Cells of maps f32 [H, W, K] in [0, 1], best first; no batch axis.

    Peaks of each map; of those nearer than the least distance, of whichever maps, the
    highest stays, also where its class's threshold drops it. Touching cells of two
    classes so stay two, whose circles' union has one peak.
    """
    find = functools.partial(
        peaks.find_peaks,
        max_peaks=model.max_detections,
        window_px=model.window_px,
        threshold_abs=0.0,
    )
    by_class = jax.vmap(find, in_axes=-1)(maps)
    labels = jnp.broadcast_to(
        jnp.arange(maps.shape[-1], dtype=jnp.int32)[:, None], by_class.mask.shape
    )
    labels, points_yx, scores, mask = (
        part.reshape(-1, *part.shape[2:])
        for part in (labels, by_class.points_yx, by_class.scores, by_class.mask)
    )
    order = jnp.argsort(-scores, stable=True)
    kept = nms.point_nms(points_yx[order], mask[order], decode.min_distance)
    order = order[jnp.argsort(~kept, stable=True)][: model.max_detections]
    kept = jnp.sort(kept, descending=True)[: model.max_detections]
    points_yx, scores, labels = points_yx[order], scores[order] * kept, labels[order]
    heights = peaks.read_maps(maps, points_yx)
    total = jnp.sum(heights, axis=-1, keepdims=True)
    kept &= scores >= decode.thresholds[labels]
    return Detections(
        points_yx, scores, labels, heights / jnp.maximum(total, 1.0), kept
    )
