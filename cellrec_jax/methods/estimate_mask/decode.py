"""From one image's masks to cells: the connected parts of each class's mask."""

import functools

import jax
import jax.numpy as jnp

from cellrec_jax.methods import thinning
from cellrec_jax.ops import components
from cellrec_jax.types import Decode, Detections


def detect(
    probs: jax.Array,
    masks: jax.Array,
    *,
    decode: Decode,
    least_area: float,
    max_detections: int,
    most_area: float = jnp.inf,
) -> Detections:
    """Cells of masks bool [H, W, K], best first; no batch axis.

    A cell is at the centroid of a part (px), its score the mean of its class's
    probability there, f32 [H, W, K]; parts of other areas (px) are none.
    """
    measure = functools.partial(components.measure, max_components=max_detections)
    labels = jax.vmap(components.label, in_axes=-1)(masks)
    parts = jax.vmap(measure, in_axes=(0, None))(labels, probs)
    sized = (parts.area >= least_area) & (parts.area <= most_area)
    scores = jax.vmap(lambda values, k: values[:, k])(
        parts.values, jnp.arange(masks.shape[-1])
    )
    total = jnp.sum(parts.values, axis=-1, keepdims=True)
    return thinning.thin(
        parts.points_yx,
        jnp.where(parts.mask & sized, scores, 0.0),
        parts.values / jnp.maximum(total, 1.0),
        parts.mask & sized,
        decode=decode,
        max_detections=max_detections,
    )
