"""Small windows of an image around points, such as detections to look at again.

Pure functions of one image; callers vmap.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

BORDERS = ("shift", "reflect")


def cut(
    image: jax.Array, points_yx: jax.Array, side_px: int, border: str = "shift"
) -> jax.Array:
    """Cuts a square window around each point.

    The pixel that holds the point is in the middle, at row and column `side_px // 2` of
    the window, unless the window is shifted.

    Args:
      image: [H, W, C] of any dtype.
      points_yx: [N, 2] px. A point outside counts as the nearest one inside, one that
        is no number as the origin, so that padding may hold anything.
      side_px: S, odd or even, static.
      border: "shift" moves windows to lie inside the image; "reflect" mirrors the image
        past its border.

    Returns:
      [N, S, S, C] of the dtype of `image`.

    Raises:
      ValueError: if the image is smaller than a window, or for an unknown border.

    References:
      The windows of the public code of Fujii et al., Cell Detection from Imperfect
      Annotation by Pseudo Label Selection Using P-classification, MICCAI 2021, with a
      side of 27 px, shifted.

    Example:
      >>> image = jnp.arange(12).reshape(3, 4, 1)
      >>> cut(image, jnp.array([[1.5, 0.5]]), 3)[0, :, :, 0].tolist()
      [[0, 1, 2], [4, 5, 6], [8, 9, 10]]
      >>> cut(image, jnp.array([[1.5, 0.5]]), 3, "reflect")[0, :, :, 0].tolist()
      [[1, 0, 1], [5, 4, 5], [9, 8, 9]]
    """
    chex.assert_rank(image, 3)
    chex.assert_shape(points_yx, (None, 2))
    height, width, channels = image.shape
    if not 1 <= side_px <= min(height, width):
        raise ValueError(
            f"no windows of {side_px} px in an image of {height} x {width} px: "
            "side_px must be from 1 to the shorter side"
        )
    if border not in BORDERS:
        raise ValueError(f"unknown border {border!r}; use one of {BORDERS}")
    # Clipped before the cast, which is not defined for what no integer can hold.
    last = np.array([[height, width]], np.float32) - 1
    pixels = jnp.clip(jnp.nan_to_num(jnp.floor(points_yx.astype(jnp.float32))), 0, last)
    starts = pixels.astype(jnp.int32)
    before, after = side_px // 2, (side_px - 1) // 2
    if border == "reflect":
        around = (before, after)
        image = jnp.pad(image, (around, around, (0, 0)), mode="reflect")
    else:
        # dynamic_slice clamps, but counts a negative start from the end.
        starts = jnp.maximum(starts - before, 0)

    def window(start: jax.Array) -> jax.Array:
        sizes = (side_px, side_px, channels)
        return jax.lax.dynamic_slice(image, (start[0], start[1], 0), sizes)

    return jax.vmap(window)(starts)


def shrink(patches: jax.Array, step: int) -> jax.Array:
    """Means over squares: wide patches at the cost of narrow ones.

    Args:
      patches: [N, S, S, C] float.
      step: side of a square in px, static; S is a multiple of it.

    Returns:
      [N, S / step, S / step, C].

    Raises:
      ValueError: if S is no multiple of `step`.

    Example:
      >>> shrink(jnp.arange(4.0).reshape(1, 2, 2, 1), 2).item()
      1.5
    """
    num, side_px, _, channels = patches.shape
    rows, rest = divmod(side_px, step)
    if rest:
        raise ValueError(f"a side of {side_px} px is no multiple of a step of {step}")
    squares = patches.reshape(num, rows, step, rows, step, channels)
    return jnp.mean(squares, axis=(2, 4))
