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


def normalize(image: jax.Array, highest: jax.Array | None = None) -> jax.Array:
    """Grey image over its highest value, as Fujii et al.'s code: f32 [B, H, W, 1].

    That of the whole image, so windows of it have `highest` f32 [B]. For 16-bit frames
    `data.intensity` comes first: only "full" is as the paper.
    """
    grey = jnp.mean(image.astype(jnp.float32), axis=-1, keepdims=True)
    if highest is None:
        highest = jnp.max(grey, axis=(1, 2, 3))
    highest = highest[:, None, None, None]
    return grey / jnp.where(highest > 0, highest, 1.0)


def measure(image: jax.Array, options: RefineOptions) -> jax.Array:
    """An image f32 [H, W, C] in [0, 1] as patches are read from it, [H, W, 1 or C].

    Grey as `normalize`, or all channels over the highest value of all.
    """
    if options.patch_colors == "grey":
        return normalize(image[None])[0]
    highest = jnp.max(image)
    return image / jnp.where(highest > 0, highest, 1.0)


def read(
    image: jax.Array, valid: jax.Array, points_yx: jax.Array, options: RefineOptions
) -> jax.Array:
    """Patches f32 [N, S, S, C] around points [N, 2] px, S = patch_px / patch_step.

    Of a whole image [H, W, C], as `measure` returns it, where `valid` [H, W].
    """
    if options.patch_values == "standard":
        image = _standardize(image, valid[..., None])
    found = patches_lib.cut(
        image, points_yx, options.patch_px, options.patch_border, valid
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
