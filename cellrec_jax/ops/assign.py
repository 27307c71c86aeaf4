"""Which boxes are positive, negative or ignored, and a keyed random sample of them."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

IGNORED, NEGATIVE, POSITIVE = -1, 0, 1


class Sample(NamedTuple):
    """S boxes drawn from M, positives first: indices i32 [S], masks bool [S]."""

    idx: jax.Array
    positive: jax.Array
    mask: jax.Array
    """bool [S]; False where there were not enough boxes."""


def assign(
    iou: jax.Array,
    truth_mask: jax.Array,
    *,
    positive_iou: float,
    negative_iou: float,
    best_per_truth: bool,
) -> jax.Array:
    """Tells positive from negative boxes by overlap (Faster R-CNN, section 3.1.2).

    Of overlaps [M, N] in [0, 1] and real truths [N], i32 [M]: POSITIVE from
    `positive_iou`, NEGATIVE below `negative_iou`, IGNORED between; `best_per_truth`
    makes every truth's best (ties: all) positive. `match_truth` tells which truth, of
    sampled boxes alone: it is slow.
    """
    chex.assert_rank(iou, 2)
    chex.assert_shape(truth_mask, (iou.shape[1],))
    iou = jnp.where(truth_mask[None, :], iou, -1.0)
    best = jnp.max(iou, axis=1, initial=-1.0)
    role = jnp.where(best < negative_iou, NEGATIVE, IGNORED)
    if best_per_truth:
        best_of_truth = jnp.max(iou, axis=0, initial=-1.0)[None, :]
        wins = jnp.any((iou == best_of_truth) & (best_of_truth > 0), axis=1)
        role = jnp.where(wins, POSITIVE, role)
    return jnp.where(best >= positive_iou, POSITIVE, role).astype(jnp.int32)


def match_truth(iou: jax.Array, truth_mask: jax.Array) -> jax.Array:
    """Truth, i32 [S], with the largest overlap [S, N] of each box; 0 for none."""
    if iou.shape[1] == 0:
        return jnp.zeros(iou.shape[0], jnp.int32)
    iou = jnp.where(truth_mask[None, :], iou, -1.0)
    return jnp.argmax(iou, axis=1).astype(jnp.int32)


def sample(
    rng: jax.Array, role: jax.Array, size: int, positive_fraction: float
) -> Sample:
    """Draws `size` of M boxes by role [M], at most `positive_fraction` positive."""
    size = min(size, role.shape[0])
    priority = jax.random.uniform(rng, role.shape)
    max_positive = int(size * positive_fraction + 1e-6)  # 0.29 * 100 is 28.999...
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


def highest(values: jax.Array, eligible: jax.Array, count: jax.Array) -> jax.Array:
    """Marks the `count` (may be traced) highest eligible values, bool [...].

    Of those equal to the next one none, so that there may be fewer, never more. Of
    random values it is a draw without replacement.
    """
    chex.assert_equal_shape([values, eligible])
    kept = jnp.where(eligible, values, -jnp.inf)
    ranked = jnp.append(jnp.sort(kept, axis=None, descending=True), -jnp.inf)
    return eligible & (kept > ranked[jnp.minimum(count, kept.size)])


def _draw(priority: jax.Array, eligible: jax.Array, size: int) -> jax.Array:
    return jax.lax.top_k(jnp.where(eligible, priority, -1.0), size)[1]
