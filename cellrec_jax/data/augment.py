"""Random crops, flips, turns and colour of a batch, on the device, inside jit.

They are drawn here rather than on the host so that array mode and the tf.data pipeline
share one implementation, images can stay on the device, and no draw depends on a
device, worker or host: each example's key is the step's key folded with its position in
the global batch. Resizing and sparse sampling do not change from step to step and are
done once on the host by `data.example`.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax import errors, geometry
from cellrec_jax.data import zoom
from cellrec_jax.types import Batch

# Optical density (R, G, B) of haematoxylin, eosin and DAB. Ruifrok and Johnston,
# Quantification of histochemical staining by color deconvolution, 2001.
_RGB_FROM_HED = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_HED_FROM_RGB = np.linalg.inv(_RGB_FROM_HED)


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


def check(
    options: AugmentOptions, size_hw: tuple[int, int], num_channels: int = 3
) -> None:
    """Refuses options that cannot work on images of this size.

    Args:
      options: what to check.
      size_hw: height and width of the batch's images, px.
      num_channels: C of the batch's images.

    Raises:
      ConfigError: naming the key to change.
    """
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

    Cells whose centre leaves the window are masked off, not removed: slots keep their
    meaning. Boxes are clipped to the window.

    Args:
      batch: images uint8, or float in [0, 1]. Not changed.
      rng: key of this step, the same on all devices.
      options: static under jit; see `check`.

    Returns:
      The batch with images f32 [B, h, w, C] in [0, 1], (h, w) = `options.crop_hw`.
    """

    def one(example: Batch) -> Batch:
        example_rng = jax.random.fold_in(rng, example.example_index)
        pose_rng, color_rng = jax.random.split(example_rng)
        size_hw = (example.image.shape[0], example.image.shape[1])
        if options.scale_jitter:
            size_hw, example = _zoom(example, size_hw, pose_rng, options)
        pose = draw_pose(pose_rng, size_hw, options)
        example = apply_pose(example, pose, options.crop_hw or size_hw)
        image = jitter_color(to_unit(example.image), color_rng, options)
        return example._replace(image=image)

    return jax.vmap(one)(batch)


def _zoom(
    example: Batch,
    size_hw: tuple[int, int],
    pose_rng: jax.Array,
    options: AugmentOptions,
) -> tuple[tuple[int, int], Batch]:
    """Returns the crop's size, and the example in a window of random size."""
    crop_hw = options.crop_hw or size_hw
    zoom_rng = jax.random.fold_in(pose_rng, 0)
    window = zoom.draw_window(zoom_rng, size_hw, crop_hw, options.scale_jitter)
    example = example._replace(image=to_unit(example.image))
    return crop_hw, zoom.resized_crop(example, window, crop_hw)


def prepare_eval(batch: Batch) -> Batch:
    """Makes images f32 in [0, 1] and leaves everything else as it is."""
    return batch._replace(image=to_unit(batch.image))


def to_unit(image: jax.Array) -> jax.Array:
    """Scales uint8 to f32 in [0, 1]; floats, in [0, 1] already, become f32.

    Args:
      image: uint8 or float [...].

    Raises:
      TypeError: for other types; `data.example` scales 16-bit images.
    """
    if image.dtype == jnp.uint8:
        return image.astype(jnp.float32) / 255
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise TypeError(f"images must be uint8 or float, not {image.dtype}")
    return jnp.asarray(image, jnp.float32)


def draw_pose(
    rng: jax.Array, size_hw: tuple[int, int], options: AugmentOptions
) -> Pose:
    """Draws one example's window and pose.

    A turn by k * 90 degrees counter-clockwise is a transposition (k odd), then flips
    up-down (k = 1, 2) and left-right (k = 2, 3); random flips come on top.

    Args:
      rng: the example's own key.
      size_hw: height and width of the image, px.
      options: see `AugmentOptions`.

    Returns:
      A pose, uniform over all windows inside the image.
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
    """Moves image, valid region, points and boxes of one example.

    Args:
      example: one example of a batch (no leading B).
      pose: from `draw_pose`.
      crop_hw: height and width of the window, px; square if the pose may transpose.

    Returns:
      The example at `crop_hw`; the image keeps its dtype.
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
    )


def jitter_color(
    image: jax.Array, rng: jax.Array, options: AugmentOptions
) -> jax.Array:
    """Draws stain, brightness and contrast changes of one image.

    Contrast pivots on mid grey, not on the image's mean, so that padding and
    the window chosen do not change the colours of a cell.

    Args:
      image: f32 [H, W, C] in [0, 1]; C = 3 for the stain jitter.
      rng: key of this example.
      options: see `AugmentOptions`.

    Returns:
      f32 [H, W, C] clipped to [0, 1].

    References:
      Tellez et al., Whole-slide mitosis detection in H&E breast histology using PHH3
      as a reference to train distilled stain-invariant convolutional networks, 2018.
      Differs from the paper: densities are natural logarithms.
    """
    scale_rng, shift_rng, brightness_rng, contrast_rng = jax.random.split(rng, 4)

    def draw(key: jax.Array, spread: float, shape: tuple[int, ...] = ()) -> jax.Array:
        return jax.random.uniform(key, shape, minval=-spread, maxval=spread)

    if options.hed_jitter:
        image = scale_stains(
            image,
            1 + draw(scale_rng, options.hed_jitter, (3,)),
            draw(shift_rng, options.hed_jitter, (3,)),
        )
    if options.brightness:
        image = image + draw(brightness_rng, options.brightness)
    if options.contrast:
        image = (image - 0.5) * (1 + draw(contrast_rng, options.contrast)) + 0.5
    return jnp.clip(image, 0.0, 1.0)


def scale_stains(image: jax.Array, scale: jax.Array, shift: jax.Array) -> jax.Array:
    """Scales and shifts the densities of haematoxylin, eosin and DAB.

    Args:
      image: f32 [H, W, 3] RGB in [0, 1]; values below 1/255 count as 1/255.
      scale: f32 [3] factor of each stain's density.
      shift: f32 [3] added to each stain's density, natural-log optical density.

    Returns:
      f32 [H, W, 3], positive; may exceed 1.
    """
    highest = jax.lax.Precision.HIGHEST  # some GPUs multiply f32 with 10-bit mantissas
    density = -jnp.log(jnp.maximum(image, 1 / 255))
    to_hed = jnp.asarray(_HED_FROM_RGB, jnp.float32)
    to_rgb = jnp.asarray(_RGB_FROM_HED, jnp.float32)
    mixing = jnp.dot(to_hed * scale[None], to_rgb, precision=highest)
    offset = jnp.dot(shift, to_rgb, precision=highest)
    density = jnp.dot(density, mixing, precision=highest)
    return jnp.exp(-density - offset.reshape(1, 1, 3))


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
