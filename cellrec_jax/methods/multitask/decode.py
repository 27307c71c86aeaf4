"""From one image's maps to cells: peaks of each, and one cell a place."""

import functools

import jax
import jax.numpy as jnp

from cellrec_jax.methods import thinning
from cellrec_jax.methods.multitask.options import ModelOptions
from cellrec_jax.ops import peaks
from cellrec_jax.types import Decode, Detections


def detect(maps: jax.Array, *, decode: Decode, model: ModelOptions) -> Detections:
    """Cells of maps f32 [H, W, K] in [0, 1], best first; no batch axis.

    Peaks of each map; of those nearer than the least distance, of whichever maps, the
    highest stays. Touching cells of two classes so stay two, whose circles' union has
    one peak.
    """
    find = functools.partial(
        peaks.find_peaks,
        max_peaks=model.max_detections,
        window_px=model.window_px,
        threshold_abs=0.0,
    )
    found = jax.vmap(find, in_axes=-1)(maps)
    heights = jax.vmap(peaks.read_maps, in_axes=(None, 0))(maps, found.points_yx)
    total = jnp.sum(heights, axis=-1, keepdims=True)
    return thinning.thin(
        found.points_yx,
        found.scores,
        heights / jnp.maximum(total, 1.0),
        found.mask,
        decode=decode,
        max_detections=model.max_detections,
    )
