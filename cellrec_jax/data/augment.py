"""Random crops, flips, turns and colour of a batch, on the device, inside jit.

Each example's key is the step's key folded with its position in the global batch, so no
draw depends on a device, worker or host.
"""

from collections.abc import Callable
import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax import errors, geometry
from cellrec_jax.data.pixels import colors
from cellrec_jax.types import Batch


@dataclasses.dataclass(frozen=True)
class AugmentOptions:
    """What is drawn at random; the defaults only flip."""

    crop_hw: tuple[int, int] | None = None
    """Size of a random window, px; None takes the whole image."""
    flip: bool = True
    """Mirror up-down and left-right, each with probability 1/2."""
    turn: bool = False
    """Turn by 0, 90, 180 or 270 degrees; the window must be square."""
    hed_jitter: float = 0.0
    """s in [0, 1): each stain's density d becomes d * U(1-s, 1+s) + U(-s, s), in
    natural-log optical density (a dark nucleus has about 1). 0.05 looks like another
    scanner; from 0.2 on white turns visibly green or pink."""
    scale_jitter: float = 0.0
    """s in [0, 1): the window is U(1-s, 1+s) times the crop, then resized to it."""
    brightness: float = 0.0
    """b in [0, 1): adds U(-b, b) to the image in [0, 1]."""
    contrast: float = 0.0
    """c in [0, 1): scales distances from mid grey by U(1-c, 1+c)."""


class Pose(NamedTuple):
    """Where an example's window lies and how it is turned: crop, transpose, flip."""

    origin_yx: jax.Array
    """i32 [2] first row and column of the window, px."""
    flip_yx: jax.Array
    """bool [2]; mirror up-down, left-right, after the transposition."""
    transpose: jax.Array | None = None
    """bool []; None never transposes, so that windows need not be square."""


class Window(NamedTuple):
    """Where a window lies."""

    origin_yx: jax.Array  # f32 [2] first edge, px
    size_hw: jax.Array  # f32 [2] px


def check(
    options: AugmentOptions, size_hw: tuple[int, int], num_channels: int = 3
) -> None:
    """Raises `ConfigError` for options that cannot work on images of this size, px."""
    crop_hw = options.crop_hw or size_hw
    if not all(0 < c <= s for c, s in zip(crop_hw, size_hw, strict=True)):
        raise errors.ConfigError(
            f"data.crop_hw {crop_hw} does not fit into data.size_hw {size_hw}"
        )
    if options.turn and crop_hw[0] != crop_hw[1]:
        raise errors.ConfigError(
            f"data.turn needs square images, not {crop_hw}: set a square data.crop_hw "
            "or data.turn=False"
        )
    for name in ("hed_jitter", "scale_jitter", "brightness", "contrast"):
        if not 0 <= getattr(options, name) < 1:
            raise errors.ConfigError(
                f"data.{name} is {getattr(options, name)}: use a value in [0, 1)"
            )
    if options.hed_jitter and num_channels != 3:
        raise errors.ConfigError(
            f"data.hed_jitter needs RGB images, not {num_channels} channels: set it to "
            "0"
        )


def augment(batch: Batch, rng: jax.Array, options: AugmentOptions) -> Batch:
    """Draws a random window, pose and colour for every example of a batch.

    Cells whose centre leaves the window are masked off in their slot, boxes clipped.
    `rng` is the step's key, the same on all devices; `options` are static under jit.
    Images become f32 [B, h, w, C] in [0, 1], (h, w) = `options.crop_hw`; windows get
    `highest` of their images.
    """

    def one(example: Batch) -> Batch:
        example_rng = jax.random.fold_in(rng, example.example_index)
        pose_rng, color_rng, zoom_rng = jax.random.split(example_rng, 3)
        size_hw = (example.image.shape[0], example.image.shape[1])
        crop_hw = options.crop_hw or size_hw
        if options.crop_hw or options.scale_jitter:
            unit = colors.to_unit(example.image)
            example = example._replace(highest=jnp.max(jnp.mean(unit, axis=-1)))
        if options.scale_jitter:
            window = draw_window(zoom_rng, size_hw, crop_hw, options.scale_jitter)
            example = example._replace(image=colors.to_unit(example.image))
            size_hw, example = crop_hw, resized_crop(example, window, crop_hw)
        example = apply_pose(example, draw_pose(pose_rng, size_hw, options), crop_hw)
        image = colors.to_unit(example.image)
        return example._replace(image=jitter_color(image, color_rng, options))

    return jax.vmap(one)(batch)


def prepare_eval(batch: Batch) -> Batch:
    """Makes images f32 in [0, 1] and leaves everything else as it is."""
    return batch._replace(image=colors.to_unit(batch.image))


def draw_pose(
    rng: jax.Array, size_hw: tuple[int, int], options: AugmentOptions
) -> Pose:
    """Draws one example's window, any inside `size_hw` px alike, and pose.

    A turn by k * 90 degrees counter-clockwise is a transposition (k odd), then flips
    up-down (k = 1, 2) and left-right (k = 2, 3); random flips come on top.
    """
    crop_rng, flip_rng, turn_rng = jax.random.split(rng, 3)
    spare = np.subtract(size_hw, options.crop_hw or size_hw)
    origin_yx = jax.random.randint(crop_rng, (2,), 0, spare + 1)
    flip_yx = jnp.zeros(2, bool)
    if options.flip:
        flip_yx = jax.random.bernoulli(flip_rng, 0.5, (2,))
    if not options.turn:
        return Pose(origin_yx, flip_yx)
    k = jax.random.randint(turn_rng, (), 0, 4)
    turn_flip_yx = jnp.stack([(k == 1) | (k == 2), (k == 2) | (k == 3)])
    return Pose(origin_yx, flip_yx ^ turn_flip_yx, k % 2 == 1)


def apply_pose(example: Batch, pose: Pose, crop_hw: tuple[int, int]) -> Batch:
    """Moves image, valid region, maps, points and boxes of an example (no leading B).

    The window is `crop_hw` px, square if the pose may transpose. Dtypes stay.
    """
    cropped_yx = geometry.crop_points(example.points_yx, pose.origin_yx[None])
    points_mask = example.points_mask & geometry.inside(cropped_yx, crop_hw)
    # A centre on the upper edge, flipped, would lie on the open end of the frame.
    last_yx = np.nextafter(np.array([crop_hw], np.float32), np.float32(0))
    corners_yx = _move_points(example.boxes_yxyx.reshape(-1, 2, 2), pose, crop_hw)
    limit = np.array(crop_hw, np.float32).reshape(1, 1, 2)
    corners_yx = jnp.clip(corners_yx, 0, limit)
    return example._replace(
        image=_move_pixels(example.image, pose, crop_hw),
        points_yx=jnp.minimum(_move_points(example.points_yx, pose, crop_hw), last_yx),
        points_mask=points_mask,
        boxes_yxyx=jnp.concatenate([corners_yx.min(1), corners_yx.max(1)], axis=1),
        valid=_move_pixels(example.valid, pose, crop_hw),
        maps=_if_any(example.maps, lambda maps: _move_pixels(maps, pose, crop_hw)),
    )


def jitter_color(
    image: jax.Array, rng: jax.Array, options: AugmentOptions
) -> jax.Array:
    """Draws stain, brightness and contrast changes of an image f32 [H, W, C] in [0, 1].

    Contrast pivots on mid grey, so that neither padding nor the window changes a cell's
    colours. The stain jitter needs C = 3: Tellez et al., Whole-slide mitosis detection
    in H&E breast histology using PHH3, 2018. Differs from the paper: densities
    are natural logarithms.
    """
    scale_rng, shift_rng, brightness_rng, contrast_rng = jax.random.split(rng, 4)

    def draw(key: jax.Array, spread: float, shape: tuple[int, ...] = ()) -> jax.Array:
        return jax.random.uniform(key, shape, minval=-spread, maxval=spread)

    if options.hed_jitter:
        image = colors.scale_stains(
            image,
            1 + draw(scale_rng, options.hed_jitter, (3,)),
            draw(shift_rng, options.hed_jitter, (3,)),
        )
    if options.brightness:
        image = image + draw(brightness_rng, options.brightness)
    if options.contrast:
        image = (image - 0.5) * (1 + draw(contrast_rng, options.contrast)) + 0.5
    return jnp.clip(image, 0.0, 1.0)


def _move_pixels(plane: jax.Array, pose: Pose, crop_hw: tuple[int, int]) -> jax.Array:
    """Crops, transposes and flips [H, W] or [H, W, C]."""
    plane = jax.lax.dynamic_slice_in_dim(plane, pose.origin_yx[0], crop_hw[0], axis=0)
    plane = jax.lax.dynamic_slice_in_dim(plane, pose.origin_yx[1], crop_hw[1], axis=1)
    return turn(plane, pose.flip_yx, pose.transpose)


def turn(
    plane: jax.Array, flip_yx: jax.Array, transpose: jax.Array | None
) -> jax.Array:
    """Transposes and then flips [H, W] or [H, W, C]; arguments as in `Pose`."""
    if transpose is not None:
        plane = jnp.where(transpose, plane.swapaxes(0, 1), plane)
    plane = jnp.where(flip_yx[0], plane[::-1], plane)
    return jnp.where(flip_yx[1], plane[:, ::-1], plane)


def _move_points(
    points_yx: jax.Array, pose: Pose, crop_hw: tuple[int, int]
) -> jax.Array:
    """The same for points [..., 2]."""
    y = points_yx[..., 0] - pose.origin_yx[0]
    x = points_yx[..., 1] - pose.origin_yx[1]
    if pose.transpose is not None:
        y, x = jnp.where(pose.transpose, x, y), jnp.where(pose.transpose, y, x)
    y = jnp.where(pose.flip_yx[0], crop_hw[0] - y, y)
    x = jnp.where(pose.flip_yx[1], crop_hw[1] - x, x)
    return jnp.stack([y, x], axis=-1)


def draw_window(
    rng: jax.Array, size_hw: tuple[int, int], crop_hw: tuple[int, int], spread: float
) -> Window:
    """Draws a window of `crop_hw` times U(1 - spread, 1 + spread), anywhere inside."""
    size_rng, place_rng = jax.random.split(rng)
    largest = min(s / c for s, c in zip(size_hw, crop_hw, strict=True))
    factor = jax.random.uniform(size_rng, minval=1 - spread, maxval=1 + spread)
    window_hw = jnp.array(crop_hw, jnp.float32) * jnp.minimum(factor, largest)
    spare = jnp.maximum(jnp.array(size_hw, jnp.float32) - window_hw, 0.0)
    return Window(spare * jax.random.uniform(place_rng, (2,)), window_hw)


def resized_crop(example: Batch, window: Window, crop_hw: tuple[int, int]) -> Batch:
    """Brings the window of one example, f32 [H, W, C], to `crop_hw`.

    Triangle filter, widened where it shrinks; `valid` and maps take the nearest px.
    Boxes are clipped, centres outside masked off.
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
    points_yx = _zoom_points(example.points_yx, window, scale_yx)
    points_mask = example.points_mask & geometry.inside(points_yx, crop_hw)
    corners_yx = _zoom_points(example.boxes_yxyx.reshape(-1, 2, 2), window, scale_yx)
    corners_yx = jnp.clip(corners_yx, 0, target_hw.reshape(1, 1, 2))
    return example._replace(
        image=jnp.clip(image, 0.0, 1.0),
        points_yx=points_yx,
        points_mask=points_mask,
        boxes_yxyx=corners_yx.reshape(-1, 4),
        valid=_take_nearest(example.valid, window, crop_hw),
        maps=_if_any(example.maps, lambda maps: _take_nearest(maps, window, crop_hw)),
    )


def _if_any(
    maps: jax.Array | None, move: Callable[[jax.Array], jax.Array]
) -> jax.Array | None:
    return None if maps is None else move(maps)


def _zoom_points(
    points_yx: jax.Array, window: Window, scale_yx: jax.Array
) -> jax.Array:
    """Points [..., 2] in the frame of the resized window."""
    leading = (1,) * (points_yx.ndim - 1) + (2,)
    moved = geometry.crop_points(points_yx, window.origin_yx.reshape(leading))
    return geometry.resize_points(moved, scale_yx.reshape(leading))


def _take_nearest(
    plane: jax.Array, window: Window, crop_hw: tuple[int, int]
) -> jax.Array:
    """Takes the px, [H, W] or [H, W, M], that hold the centres of the result's px."""
    for axis, size in enumerate(crop_hw):
        centre = geometry.pixel_to_point(jnp.arange(size, dtype=jnp.float32))
        place = window.origin_yx[axis] + centre * window.size_hw[axis] / size
        index = jnp.clip(place.astype(jnp.int32), 0, plane.shape[axis] - 1)
        plane = jnp.take(plane, index, axis=axis)
    return plane
