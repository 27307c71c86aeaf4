"""Random resized crops: windows of random size, brought to one size, inside jit."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from cellrec_jax import geometry
from cellrec_jax.types import Batch


class Window(NamedTuple):
    """Where a window lies."""

    origin_yx: jax.Array
    """f32 [2] first edge, px."""
    size_hw: jax.Array
    """f32 [2] px."""


def draw_window(
    rng: jax.Array, size_hw: tuple[int, int], crop_hw: tuple[int, int], spread: float
) -> Window:
    """Draws a window of `crop_hw` times U(1 - spread, 1 + spread), inside the image.

    Args:
      rng: the example's own key.
      size_hw: height and width of the image, px.
      crop_hw: height and width that the window is brought to, px.
      spread: in [0, 1).

    Returns:
      A window of the aspect of `crop_hw`, uniform over all places where it fits.
    """
    size_rng, place_rng = jax.random.split(rng)
    largest = min(s / c for s, c in zip(size_hw, crop_hw, strict=True))
    factor = jax.random.uniform(size_rng, minval=1 - spread, maxval=1 + spread)
    window_hw = jnp.array(crop_hw, jnp.float32) * jnp.minimum(factor, largest)
    spare = jnp.maximum(jnp.array(size_hw, jnp.float32) - window_hw, 0.0)
    return Window(spare * jax.random.uniform(place_rng, (2,)), window_hw)


def resized_crop(example: Batch, window: Window, crop_hw: tuple[int, int]) -> Batch:
    """Brings one example's window to `crop_hw`.

    The image is resampled with a triangle filter, widened where it shrinks; `valid`
    takes the nearest px. Boxes are clipped, centres outside masked off.

    Args:
      example: one example of a batch (no leading B); image f32 [H, W, C].
      window: from `draw_window`.
      crop_hw: height and width of the result, px.

    Returns:
      The example at `crop_hw`.
    """
    target_hw = jnp.array(crop_hw, jnp.float32)
    scale_yx = target_hw / window.size_hw
    image = jax.image.scale_and_translate(
        example.image,
        (*crop_hw, example.image.shape[2]),
        (0, 1),
        scale_yx,
        -window.origin_yx * scale_yx,
        "linear",
        antialias=True,
    )
    points_yx = _move(example.points_yx, window, scale_yx)
    points_mask = example.points_mask & geometry.inside(points_yx, crop_hw)
    corners_yx = _move(example.boxes_yxyx.reshape(-1, 2, 2), window, scale_yx)
    corners_yx = jnp.clip(corners_yx, 0, target_hw.reshape(1, 1, 2))
    return example._replace(
        image=jnp.clip(image, 0.0, 1.0),
        points_yx=points_yx,
        points_mask=points_mask,
        boxes_yxyx=corners_yx.reshape(-1, 4),
        valid=_nearest(example.valid, window, crop_hw),
    )


def _move(points_yx: jax.Array, window: Window, scale_yx: jax.Array) -> jax.Array:
    """Points [..., 2] in the frame of the resized window."""
    leading = (1,) * (points_yx.ndim - 1) + (2,)
    moved = geometry.crop_points(points_yx, window.origin_yx.reshape(leading))
    return geometry.resize_points(moved, scale_yx.reshape(leading))


def _nearest(plane: jax.Array, window: Window, crop_hw: tuple[int, int]) -> jax.Array:
    """Takes the px [H, W] that hold the centres of the result's px."""
    for axis, size in enumerate(crop_hw):
        centre = geometry.pixel_to_point(jnp.arange(size, dtype=jnp.float32))
        place = window.origin_yx[axis] + centre * window.size_hw[axis] / size
        index = jnp.clip(place.astype(jnp.int32), 0, plane.shape[axis] - 1)
        plane = jnp.take(plane, index, axis=axis)
    return plane
