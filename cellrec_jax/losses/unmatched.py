"""What boxes without an annotation weigh and cost, beside the energies of `density`.

Of one image; C = K + 1 classes, the background last. Nothing reduces. Weights have no
gradient.

Sources: Wu et al., Soft Sampling for Robust Object Detection, BMVC 2019 (arXiv
1806.06986); Zhang et al., Solving Missing-Annotation Object Detection with Background
Recalibration Loss, ICASSP 2020 (arXiv 2002.05274), and its code for RetinaNet.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cellrec_jax.losses.calibration import CALIBRATIONS, WEIGHTED

BOX_WEIGHTED = (*WEIGHTED, "soft_sampling")
"""`WEIGHTED`, and what needs boxes."""
BOX_CALIBRATIONS = (*CALIBRATIONS, "soft_sampling", "recalibrated", "pu")
"""`CALIBRATIONS`, and what needs boxes, or all boxes of the batch."""
ORDERS = ("own", "permuted", "inverse")


def reordered(
    energy: jax.Array, among: jax.Array, order: str, rng: jax.Array | None = None
) -> jax.Array:
    """The energies of some boxes, given to others of them: f32 [N]; controls of ours.

    Of energies [N], those of bool `among` [N] change places, others stay. "permuted"
    draws places by `rng`; "inverse" turns the ranks round, so that the densest box has
    the largest. Both keep the multiset and so the mean weight: 1 - energy does not, and
    would compare how much background counts, not where. "own" changes nothing.
    """
    chex.assert_equal_shape([energy, among])
    if order == "own":
        return energy
    slots = jnp.arange(len(energy))
    if order == "inverse":
        ranked = jnp.argsort(jnp.where(among, energy, jnp.inf))
        last = jnp.sum(among) - 1
        source = ranked[jnp.where(slots <= last, last - slots, slots)]
        return jnp.zeros_like(energy).at[ranked].set(energy[source])
    if order == "permuted" and rng is not None:
        priority = jax.random.uniform(rng, energy.shape, jnp.float32)
        source = jnp.argsort(jnp.where(among, priority, jnp.inf))
        return jnp.zeros_like(energy).at[jnp.argsort(~among)].set(energy[source])
    raise ValueError(f"order {order!r}: use one of {ORDERS}, permuted with a key")


def warmed(weights: jax.Array, progress: jax.Array | float) -> jax.Array:
    """Weights that are 1 at progress 0 and their own from 1 on, linearly between."""
    return 1.0 + jnp.clip(progress, 0.0, 1.0) * (weights - 1.0)


class Gompertz(NamedTuple):
    """Weight by nearness: a + (1 - a) exp(-b exp(-c nearness)); Wu et al. 2019."""

    a: float = 0.25
    """Weight far from all annotations, [0, 1]."""
    b: float = 50.0
    c: float = 20.0


GOMPERTZ = Gompertz()


def soft_sampling(nearness: jax.Array, options: Gompertz = GOMPERTZ) -> jax.Array:
    """Soft sampling's weights, f32 [...] in [a, 1], of nearness in [0, 1].

    Wu et al. 2019 take the largest overlap with an annotated box: 0.25 without any,
    0.63 at 0.214, 0.99 at 0.42; see also `nearness_by_distance`.
    """
    nearness = jax.lax.stop_gradient(nearness).astype(jnp.float32)
    growth = jnp.exp(-options.b * jnp.exp(-options.c * nearness))
    return options.a + (1.0 - options.a) * growth


def nearness_by_distance(
    points_yx: jax.Array,
    true_yx: jax.Array,
    sides_px: jax.Array,
    true_mask: jax.Array,
    *,
    reach: float = 2.0,
) -> jax.Array:
    """1 at an annotated cell's centre, 0 from `reach` of its sides on: f32 [N].

    The nearest of points [M, 2] px with sides [M] and a mask [M], to points [N, 2] px;
    linear, by Euclidean distance. An extension: overlaps are 0 one side away.
    """
    chex.assert_equal_shape([sides_px, true_mask])
    gap = jnp.where(true_mask[None, :, None], points_yx[:, None] - true_yx[None], 0.0)
    distance = jnp.sqrt(jnp.sum(jax.lax.stop_gradient(gap).astype(jnp.float32) ** 2, 2))
    sides = jnp.where(true_mask & (sides_px > 0), sides_px, 1.0)
    near = jnp.where(true_mask[None], 1.0 - distance / (reach * sides[None]), 0.0)
    return jnp.max(near, axis=1, initial=0.0)


def foreground(logits: jax.Array) -> jax.Array:
    """Probability of any cell, detached: f32 [N], of logits [N, C]."""
    return (
        1.0 - jax.nn.softmax(jax.lax.stop_gradient(logits).astype(jnp.float32))[:, -1]
    )


def foreground_margin(logits: jax.Array) -> jax.Array:
    """Log odds of any cell against background: f32 [N], of logits [N, C]."""
    logits = logits.astype(jnp.float32)
    return jax.nn.logsumexp(logits[:, :-1], axis=1) - logits[:, -1]


def class_cross_entropy(
    logits: jax.Array, labels: jax.Array, positive: jax.Array
) -> jax.Array:
    """Cross entropy of positives' classes among cells: f32 [N], others 0.

    Of logits [N, C], labels [N]. With `foreground_margin`'s it makes up that of all C.
    """
    log_p = jax.nn.log_softmax(logits[:, :-1].astype(jnp.float32))
    picked = jnp.where(positive, labels, 0)[:, None]
    return jnp.where(positive, -jnp.take_along_axis(log_p, picked, axis=1)[:, 0], 0.0)


class Recalibrated(NamedTuple):
    """Costs f32 [N], what they were multiplied by, and bool [N], which were turned."""

    costs: jax.Array
    weights: jax.Array
    mirrored: jax.Array


def recalibrated(
    logits: jax.Array,
    labels: jax.Array,
    confused: jax.Array,
    *,
    threshold: float = 0.5,
    weight: float = 0.1,
    progress: jax.Array | float = 1.0,
) -> Recalibrated:
    """Cross entropy, but boxes taken for cells are pulled up, not down: not reduced.

    Of logits [N, C] and labels [N]. Of the `confused` (bool [N]: unmatched, with hardly
    any overlap with an annotation) those whose probability p of any cell is above the
    threshold cost -weight log p in place of -log(1 - p), as far as `progress` in [0, 1]
    says. No gradient decides which.

    Zhang et al. 2020 mirror a focal loss of each class's sigmoid, (1 - p)^2 log p times
    0.75, below a threshold of 1 - p (0.5 or 0.1 in their code), where overlaps are
    below 0.1, and weigh all these anchors 0.1. Differs: cross entropy, without the
    factor that makes what is sure cost little; p is that of any cell, so no class is
    told; the weight is of mirrored boxes alone.
    """
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
    down = -jnp.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]
    up = -jax.nn.logsumexp(log_p[:, :-1], axis=1)
    mirrored = confused & (foreground(logits) > threshold)
    share = jnp.where(mirrored, jnp.clip(progress, 0.0, 1.0), 0.0)
    weights = 1.0 - share + share * weight
    return Recalibrated((1.0 - share) * down + share * weight * up, weights, mirrored)
