"""Small windows of one image around points, such as detections to look at again."""

import chex
import jax
import jax.numpy as jnp

BORDERS = ("shift", "reflect")


def cut(
    image: jax.Array,
    points_yx: jax.Array,
    side_px: int,
    border: str = "shift",
    valid: jax.Array | None = None,
) -> jax.Array:
    """Cuts a square window around each point: [N, S, S, C] of the dtype of `image`.

    Args:
      image: [H, W, C].
      points_yx: [N, 2] px, in row and column `side_px // 2` unless shifted; outside the
        nearest one inside, no number the origin.
      side_px: S, odd or even, static.
      border: "shift" moves windows inside (Fujii et al. 2021's code, 27 px); "reflect"
        mirrors the image.
      valid: bool [H, W]; what lies below or right of all that is valid is padding.

    Raises:
      ValueError: if the image is smaller than a window, or for an unknown border.

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
    size_hw = jnp.array([height, width]) if valid is None else _extent(valid)
    last = (size_hw - 1).astype(jnp.float32)[None]
    pixels = jnp.clip(jnp.nan_to_num(jnp.floor(points_yx.astype(jnp.float32))), 0, last)
    starts = pixels.astype(jnp.int32)
    before, after = side_px // 2, (side_px - 1) // 2
    if border == "reflect":
        rows, columns = (
            _mirrored(jnp.arange(-before, size + after), num)
            for size, num in zip((height, width), size_hw, strict=True)
        )
        image = image[rows][:, columns]
    else:
        lowest = jnp.maximum(size_hw - side_px, 0)[None]
        starts = jnp.clip(starts - before, 0, lowest)

    def window(start: jax.Array) -> jax.Array:
        sizes = (side_px, side_px, channels)
        return jax.lax.dynamic_slice(image, (start[0], start[1], 0), sizes)

    return jax.vmap(window)(starts)


def _extent(valid: jax.Array) -> jax.Array:
    """Rows and columns up to the last that holds a valid pixel, i32 [2]; at least 1."""
    height, width = valid.shape
    rows = jnp.max(jnp.where(jnp.any(valid, axis=1), jnp.arange(1, height + 1), 1))
    columns = jnp.max(jnp.where(jnp.any(valid, axis=0), jnp.arange(1, width + 1), 1))
    return jnp.stack([rows, columns])


def _mirrored(index: jax.Array, num: jax.Array) -> jax.Array:
    """Index of `num` values that are mirrored past both ends; once, then clipped."""
    return jnp.clip((num - 1) - jnp.abs((num - 1) - jnp.abs(index)), 0, num - 1)


def shrink(patches: jax.Array, step: int) -> jax.Array:
    """Means over squares: [N, S, S, C] to [N, S / step, S / step, C], or a ValueError.

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
