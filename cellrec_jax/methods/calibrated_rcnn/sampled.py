"""What the second stage makes of sampled boxes: where they go, how densely they lie."""

from typing import NamedTuple

import jax

from cellrec_jax import geometry
from cellrec_jax.losses import density, unmatched
from cellrec_jax.methods.calibrated_rcnn import stages


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


def of_image(logits: jax.Array, deltas_yxhw: jax.Array, rois: stages.RoIs) -> Sampled:
    """Boxes and energies of logits [S, K + 1] and deltas [S, K, 4] of one image.

    The energy is that of Li et al. 2021, Eq. 8, of decoded boxes as in
    `stages.second_stage`, whatever the run was trained with.
    """
    _, decoded = stages.chosen_boxes(logits, deltas_yxhw, rois)
    return Sampled(
        rois.boxes_yxyx,
        decoded,
        density.box_energy(geometry.box_centers(decoded), rois.mask),
        unmatched.foreground(logits),
        rois.positive & rois.mask,
        rois.mask,
    )
