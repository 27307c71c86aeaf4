"""What the second stage makes of sampled boxes: where they go, how densely they lie."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from cellrec_jax import geometry
from cellrec_jax.losses import density
from cellrec_jax.methods.calibrated_rcnn.stages import BOX_SCALES, RoIs
from cellrec_jax.ops import boxes


class Sampled(NamedTuple):
    """S sampled RoIs of an image and what becomes of them."""

    rois_yxyx: jax.Array
    """f32 [S, 4] px."""
    decoded_yxyx: jax.Array
    """f32 [S, 4] px; regression boxes, of the class that the energy takes."""
    energy: jax.Array
    """f32 [S] in [0, 1]; 1 where padded."""
    score: jax.Array
    """f32 [S] in [0, 1], probability of any class but the background."""
    positive: jax.Array
    """bool [S]; matched with an annotation."""
    mask: jax.Array
    """bool [S]."""


def of_image(logits: jax.Array, deltas_yxhw: jax.Array, rois: RoIs) -> Sampled:
    """Boxes and energies of logits [S, K + 1] and deltas [S, K, 4] of one image.

    The energy is that of Li et al. 2021, Eq. 8, of decoded boxes as in
    `stages.second_stage`, whatever the run was trained with.
    """
    num_classes = deltas_yxhw.shape[1]
    predicted = jnp.argmax(logits[:, :num_classes], axis=1)
    chosen = jnp.where(rois.positive, rois.labels, predicted)
    deltas = jnp.take_along_axis(deltas_yxhw, chosen[:, None, None], axis=1)[:, 0]
    decoded = boxes.decode(deltas, rois.boxes_yxyx, BOX_SCALES)
    return Sampled(
        rois.boxes_yxyx,
        decoded,
        density.box_energy(geometry.box_centers(decoded), rois.mask),
        1.0 - jax.nn.softmax(logits)[:, num_classes],
        rois.positive & rois.mask,
        rois.mask,
    )
