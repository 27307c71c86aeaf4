"""Patches of a detector's peaks on the training images, in the peaks' order."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax.data import sets
from cellrec_jax.data.pixels import colors
from cellrec_jax.methods import patch_reader
from cellrec_jax.methods.refine_options import RefineOptions
from cellrec_jax.rounds.candidates import Candidates

_SLOTS = 64  # of peaks, in multiples: few shapes, so few compilations


def cut(
    candidates: Candidates, eval_set: sets.EvalSet, config: RefineOptions
) -> jax.Array:
    """Patches f32 [N, S, S, C] of N peaks, cut on the device."""
    counts = np.bincount(candidates.image, minlength=len(eval_set.image_ids))
    slots = -(-int(counts.max()) // _SLOTS) * _SLOTS
    images = eval_set.images
    parts = []
    for index, count in enumerate(counts):
        points = np.zeros((slots, 2), np.float32)
        points[:count] = candidates.points_yx[candidates.image == index]
        image, valid = images.image[index], images.valid[index]
        parts.append(_cut_image(image, valid, points, config)[:count])
    order = np.argsort(np.argsort(candidates.image, kind="stable"), kind="stable")
    return jnp.concatenate(parts)[order]


@functools.partial(jax.jit, static_argnums=3)
def _cut_image(
    image: jax.Array, valid: jax.Array, points_yx: jax.Array, config: RefineOptions
) -> jax.Array:
    """Patches of one raw image."""
    measured = patch_reader.measure(colors.to_unit(image), config)
    return patch_reader.read(measured, valid, points_yx, config)
