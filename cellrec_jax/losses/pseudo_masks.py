"""Losses of EstimateMask: of its detector, of its pseudo labels, and a dense CRF.

Of one image; `weights` [H, W], bool or float >= 0, as in `losses.heatmap`: where 0, a
map changes neither value nor gradient. Source: Qu et al., Weakly Supervised Deep Nuclei
Segmentation Using Partial Points Annotation, TMI 2020, and its public code; the CRF is
that of Tang et al., On Regularized Losses for Weakly-supervised CNN Segmentation, 2018.
"""

from collections.abc import Iterator
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax.losses import heatmap

IGNORE = 255
"""The label of pixels that a loss leaves out."""


def detection_error(
    probs: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    *,
    cell_weight: float = 10.0,
) -> jax.Array:
    """Squared error, `cell_weight` times that where the target is above 0; a scalar.

    Maps [H, W, K] in [0, 1]. The sum over pixels that count is divided by their number
    (the sum of `weights`), not by that of the factors, as in the code of Qu et al.; the
    mean over K.
    """
    chex.assert_rank([probs, targets, weights], [3, 3, 2])
    chex.assert_equal_shape([probs, targets])
    counted = weights[..., None] > 0
    difference = probs.astype(jnp.float32) - targets.astype(jnp.float32)
    error = jnp.where(counted, difference, 0.0)
    factor = jnp.where(targets > 0, cell_weight, 1.0)
    return heatmap.image_mean(factor * error**2, weights)


def label_cost(logits: jax.Array, labels: jax.Array, weights: jax.Array) -> jax.Array:
    """Mean negative log likelihood of labels, background first; a scalar.

    Of logits [H, W, K+1] and int labels [H, W] in 0..K. Labels of `IGNORE` count as
    little as weights of 0; 0 if none is left.
    """
    chex.assert_rank([logits, labels, weights], [3, 2, 2])
    chex.assert_equal_shape([labels, weights])
    counted = (weights > 0) & (labels != IGNORE)
    logits = jnp.where(counted[..., None], logits.astype(jnp.float32), 0.0)
    picked = jnp.where(counted, labels, 0).astype(jnp.int32)[..., None]
    cost = -jnp.take_along_axis(jax.nn.log_softmax(logits), picked, axis=-1)
    return heatmap.image_mean(cost, jnp.where(counted, weights, 0.0))


def dense_crf(
    probs: jax.Array,
    image: jax.Array,
    weights: jax.Array,
    *,
    sigma_px: float = 9.0,
    sigma_rgb: float = 0.1,
    window_px: int = 5,
    stride: int = 1,
) -> jax.Array:
    """How much near pixels of like colours differ in class, a scalar per pixel.

    The sum over classes and ordered pairs i != j of w_ij S_i (1 - S_j), w_ij =
    exp(-|p_i - p_j|^2 / 2 sigma_px^2 - |c_i - c_j|^2 / 2 sigma_rgb^2), divided by the
    number of pixels that count (weights > 0). No gradient to the image.

    Args:
      probs: S, f32 [H, W, K+1] in [0, 1].
      image: c, f32 [H, W, C] in [0, 1].
      weights: [H, W]; a pair of which one does not count weighs 0.
      sigma_px: 9 in the code of Qu et al.
      sigma_rgb: 0.1 or 0.2 in it, by set of images.
      window_px: j lies up to this far from i in y and x.
      stride: only every stride-th px of the window is compared with; the sum is over
        fewer pairs then.

    Differs from the paper: a window in place of all pairs, and a mean over pixels.
    """
    chex.assert_rank([probs, image, weights], [3, 3, 2])
    chex.assert_equal_shape_prefix([probs, image, weights], 2)
    steps = np.array(list(_half_window(window_px, stride)), np.int32).reshape(-1, 2)
    counted = weights > 0
    maps = jnp.where(counted[..., None], probs.astype(jnp.float32), 0.0)
    colors = jnp.where(counted[..., None], image.astype(jnp.float32), 0.0)
    colors = jax.lax.stop_gradient(colors)
    reach = int(np.abs(steps).max(initial=0))

    @functools.partial(jax.checkpoint, prevent_cse=False)  # else all w_ij are kept
    def add(total: jax.Array, step: jax.Array) -> tuple[jax.Array, None]:
        others, hues = (_moved(part, step, reach) for part in (maps, colors))
        both = counted & _moved(counted[..., None], step, reach)[..., 0]
        unlike = jnp.sum((colors - hues) ** 2, axis=-1) / (2 * sigma_rgb**2)
        apart = jnp.sum(step.astype(jnp.float32) ** 2) / (2 * sigma_px**2)
        weight = jnp.where(both, jnp.exp(-unlike - apart), 0.0)
        cost = maps * (1.0 - others) + others * (1.0 - maps)  # (i, j) and (j, i)
        return total + jnp.sum(weight * jnp.sum(cost, axis=-1)), None

    total, _ = jax.lax.scan(add, jnp.zeros((), jnp.float32), jnp.asarray(steps))
    return total / jnp.maximum(jnp.sum(counted), 1).astype(jnp.float32)


def _moved(maps: jax.Array, step: jax.Array, reach: int) -> jax.Array:
    """What lies a step (y, x) of up to `reach` px away in [H, W, C]; 0 outside."""
    padded = jnp.pad(maps, [(reach, reach), (reach, reach), (0, 0)])
    start = (*(reach + step), jnp.zeros((), step.dtype))
    return jax.lax.dynamic_slice(padded, start, maps.shape)


def _half_window(window_px: int, stride: int) -> Iterator[tuple[int, int]]:
    """Steps (y, x) to one of each two opposite pixels of a window, without (0, 0)."""
    reach = window_px // stride * stride
    for y in range(0, reach + 1, stride):
        for x in range(-reach, reach + 1, stride):
            if (y, x) > (0, 0):
                yield y, x
