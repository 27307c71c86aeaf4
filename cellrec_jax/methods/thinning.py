"""One cell a place, of cells that were found on the map of each class."""

import jax
import jax.numpy as jnp

from cellrec_jax.ops import nms
from cellrec_jax.types import Decode, Detections


def thin(
    points_yx: jax.Array,
    scores: jax.Array,
    shares: jax.Array,
    mask: jax.Array,
    *,
    decode: Decode,
    max_detections: int,
) -> Detections:
    """The best of cells nearer than the least distance, of whichever classes.

    Candidates a class: points [K, M, 2] px, scores [K, M], class shares [K, M, K], mask
    [K, M]. It stays also where its class's threshold drops it. Best first; no batch
    axis.
    """
    labels = jnp.broadcast_to(
        jnp.arange(len(mask), dtype=jnp.int32)[:, None], mask.shape
    )
    points_yx, scores, shares, mask, labels = (
        part.reshape(-1, *part.shape[2:])
        for part in (points_yx, scores, shares, mask, labels)
    )
    order = jnp.argsort(-scores, stable=True)
    kept = nms.point_nms(points_yx[order], mask[order], decode.min_distance)
    order = order[jnp.argsort(~kept, stable=True)][:max_detections]
    kept = jnp.sort(kept, descending=True)[:max_detections]
    scores, labels = scores[order] * kept, labels[order]
    kept &= scores >= decode.thresholds[labels]
    return Detections(points_yx[order], scores, labels, shares[order], kept)
