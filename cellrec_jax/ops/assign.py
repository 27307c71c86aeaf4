"""Which boxes are positive, negative or ignored, and a keyed random sample of them."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

IGNORED, NEGATIVE, POSITIVE = -1, 0, 1


class Assignment(NamedTuple):
    """Role and truth of each of M boxes."""

    role: jax.Array
    """i32 [M]: POSITIVE, NEGATIVE or IGNORED."""
    truth_idx: jax.Array
    """i32 [M] index of the truth with the largest overlap (meaningful if POSITIVE)."""


class Sample(NamedTuple):
    """S boxes drawn from M: positives first."""

    idx: jax.Array
    """i32 [S] indices into the M boxes."""
    positive: jax.Array
    """bool [S]."""
    mask: jax.Array
    """bool [S]; False where there were not enough boxes."""


def assign(
    iou: jax.Array,
    truth_mask: jax.Array,
    *,
    positive_iou: float,
    negative_iou: float,
    best_per_truth: bool,
) -> Assignment:
    """Assigns boxes to truths by overlap (Faster R-CNN, section 3.1.2).

    A box is positive where its best overlap reaches `positive_iou`, negative where it
    stays under `negative_iou`, ignored between.

    Args:
      iou: [M, N] overlaps in [0, 1].
      truth_mask: bool [N]; False columns never count.
      positive_iou: least overlap of a positive.
      negative_iou: overlaps under this are negative; at most `positive_iou`.
      best_per_truth: also make the best box (ties: all) of every truth positive.

    Returns:
      An `Assignment`; with no truth everything is negative.
    """
    chex.assert_rank(iou, 2)
    chex.assert_shape(truth_mask, (iou.shape[1],))
    if iou.shape[1] == 0:
        zeros = jnp.zeros(iou.shape[0], jnp.int32)
        return Assignment(zeros + NEGATIVE, zeros)
    iou = jnp.where(truth_mask[None, :], iou, -1.0)
    truth_idx = jnp.argmax(iou, axis=1).astype(jnp.int32)
    best = jnp.max(iou, axis=1)
    role = jnp.where(best < negative_iou, NEGATIVE, IGNORED)
    if best_per_truth:
        best_of_truth = jnp.max(iou, axis=0)[None, :]
        is_best = (iou == best_of_truth) & (best_of_truth > 0)
        wins = jnp.any(is_best, axis=1)
        first_won = jnp.argmax(is_best, axis=1).astype(jnp.int32)
        truth_idx = jnp.where(wins & (best < positive_iou), first_won, truth_idx)
        role = jnp.where(wins, POSITIVE, role)
    role = jnp.where(best >= positive_iou, POSITIVE, role)
    return Assignment(role.astype(jnp.int32), truth_idx)


def sample(
    rng: jax.Array, role: jax.Array, size: int, positive_fraction: float
) -> Sample:
    """Draws `size` boxes: at most a fraction positive, negatives fill the rest.

    Args:
      rng: key of this image and step.
      role: i32 [M] from `assign`.
      size: S, boxes to draw; M if there are fewer.
      positive_fraction: greatest share of positives, in [0, 1].

    Returns:
      A `Sample` without repetition; slots that could not be filled are masked.
    """
    size = min(size, role.shape[0])
    priority = jax.random.uniform(rng, role.shape)
    max_positive = int(size * positive_fraction)
    positive_idx = _draw(priority, role == POSITIVE, size)
    negative_idx = _draw(priority, role == NEGATIVE, size)
    num_positive = jnp.minimum(jnp.sum(role == POSITIVE), max_positive)
    num_negative = jnp.minimum(jnp.sum(role == NEGATIVE), size - num_positive)
    slot = jnp.arange(size)
    positive = slot < num_positive
    # Negatives start where positives end; the index is clipped, the mask decides.
    shifted = negative_idx[jnp.clip(slot - num_positive, 0, size - 1)]
    idx = jnp.where(positive, positive_idx, shifted)
    return Sample(idx.astype(jnp.int32), positive, slot < num_positive + num_negative)


def _draw(priority: jax.Array, eligible: jax.Array, size: int) -> jax.Array:
    return jax.lax.top_k(jnp.where(eligible, priority, -1.0), size)[1]
