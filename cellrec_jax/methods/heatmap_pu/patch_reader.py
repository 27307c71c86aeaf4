"""How patches of peaks are read, by rounds of pseudo labels and by the model alike."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from cellrec_jax import masking
from cellrec_jax.data import augment
from cellrec_jax.methods.refine_options import RefineOptions
from cellrec_jax.nn.patch_net import PatchNet
from cellrec_jax.ops import patches as patches_lib

_ROUNDING = 1e-6
"""Of the mean of values in [0, 1]; 16-bit steps are 1.5e-5."""
_ORIENTATIONS = 8


def read(
    grey: jax.Array, valid: jax.Array, points_yx: jax.Array, options: RefineOptions
) -> jax.Array:
    """Patches f32 [N, S, S, 1] around points [N, 2] px, S = patch_px / patch_step.

    Of a whole image [H, W, 1], as `method.normalize` returns it, where `valid` [H, W].
    """
    if options.patch_values == "standard":
        grey = _standardize(grey, valid[..., None])
    found = patches_lib.cut(
        grey, points_yx, options.patch_px, options.patch_border, valid
    )
    return patches_lib.shrink(found, options.patch_step)


def judge(
    params: Any, patches: jax.Array, options: RefineOptions
) -> tuple[jax.Array, jax.Array]:
    """Scores f32 [N] of patches f32 [N, S, S, C], and their features f32 [N, F].

    With `turns` means over orientations, so that they do not depend on how a patch
    lies.
    """
    network = PatchNet(options.network)
    apply: Any = functools.partial(network.apply, {"params": params})
    if not options.turns:
        scored: tuple[jax.Array, jax.Array] = apply(patches)
        return scored
    turned = (
        turn(patches, jnp.full(len(patches), number)) for number in range(_ORIENTATIONS)
    )
    each = [apply(one) for one in turned]
    means: tuple[jax.Array, jax.Array] = jax.tree.map(
        lambda *parts: sum(parts) / len(parts), *each
    )
    return means


def turn(patches: jax.Array, orientation: jax.Array) -> jax.Array:
    """Flips and turns patches [N, S, S, C], each by its orientation, i32 [N] in 0..7.

    Bit 2 transposes a patch, then bit 0 flips its rows and bit 1 its columns.
    """
    bits = (orientation[:, None] >> jnp.arange(3)[None]) & 1 == 1
    return jax.vmap(augment.turn)(patches, bits[:, :2], bits[:, 2])


def _standardize(image: jax.Array, valid: jax.Array) -> jax.Array:
    """Mean 0 and deviation 1 where `valid`; an image of one value becomes 0."""
    image -= masking.masked_mean(image, valid)
    deviation = jnp.sqrt(masking.masked_mean(image**2, valid))
    return image / jnp.where(deviation > _ROUNDING, deviation, 1.0)
