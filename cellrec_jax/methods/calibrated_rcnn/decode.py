"""From the second stage's outputs to detections."""

import functools

import jax
import jax.numpy as jnp

from cellrec_jax import geometry
from cellrec_jax.methods.calibrated_rcnn.options import ModelOptions
from cellrec_jax.methods.calibrated_rcnn.stages import BOX_SCALES
from cellrec_jax.ops import boxes, nms
from cellrec_jax.types import Decode, Detections


def detect(
    proposed_yxyx: jax.Array,
    mask: jax.Array,
    logits: jax.Array,
    deltas_yxhw: jax.Array,
    *,
    decode: Decode,
    image_hw: tuple[int, int],
    model: ModelOptions,
) -> Detections:
    """Decodes, suppresses and sorts the second stage's boxes of one image.

    Of P boxes and mask, logits [P, K + 1], background last, and deltas [P, K, 4],
    clipped to the image: K * max_detections slots, best first, no batch axis.
    """
    num_classes, slots = deltas_yxhw.shape[1], model.max_detections
    probs = jax.nn.softmax(logits)[:, :num_classes]
    decoded = boxes.decode(deltas_yxhw, proposed_yxyx[:, None, :], BOX_SCALES)
    decoded = boxes.clip(decoded, image_hw)
    suppress = functools.partial(nms.nms, iou_threshold=model.nms_iou, max_kept=slots)
    idx, kept = jax.vmap(suppress, in_axes=(1, 1, None))(decoded, probs, mask)
    labels = jnp.repeat(jnp.arange(num_classes), slots)
    idx, kept = idx.reshape(-1), kept.reshape(-1)
    scores = jnp.where(kept, probs[idx, labels], 0.0)
    order = jnp.argsort(scores, descending=True)
    idx, kept, labels, scores = idx[order], kept[order], labels[order], scores[order]
    boxes_yxyx = jnp.where(kept[:, None], decoded[idx, labels], 0.0)
    points_yx = geometry.box_centers(boxes_yxyx)
    # Thinned before the threshold, as when both were fitted.
    kept = kept & nms.point_nms(points_yx, kept, decode.min_distance)
    kept = kept & (scores >= decode.thresholds[labels])
    return Detections(points_yx, scores, labels, probs[idx], kept, boxes_yxyx)
