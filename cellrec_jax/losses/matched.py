"""The loss of proposals that are matched one to one with annotated points.

Pure functions of one image; callers vmap. Nothing reduces but `total_loss`.

Sources: as `losses.points`, which has the terms.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from cellrec_jax import masking
from cellrec_jax.losses import points


class PointLossOptions(NamedTuple):
    """Weights and forms; the defaults are the paper's, repaired where it says so."""

    negative_weight: float = 0.6
    """beta of Eq. 4."""
    q: float = 0.4
    """Of Eq. 5, in (0, 1]."""
    gamma: float = 0.1
    """Weight of the L2 term of Eq. 5."""
    regression_weight: float = 2e-3
    """lambda of Eq. 7."""
    point_error: str = "squared"
    """Form: "squared" in px^2, or "norm" in px as Eq. 3 is printed."""
    squared_norm: bool = False
    """Square the L2 term of Eq. 5."""
    class_reduction: str = "mean"
    """A "mean" over cells, or a "sum" as Eq. 6 is printed."""
    classification: str = "gce"
    """Eq. 5 ("gce"), or plain "cross_entropy" without the L2 term."""
    normalizer: str = "proposals"
    """What Eq. 4 divides by: the number of "proposals", or their "weights" (P2PNet)."""


class PointLosses(NamedTuple):
    """Per-element losses of one image, finite and 0 where their mask is False."""

    regression: jax.Array
    """f32 [N]."""
    detection: jax.Array
    """f32 [M]."""
    detection_weight: jax.Array
    """f32 [M], beta or 1: what `detection` was multiplied by."""
    classification: jax.Array
    """f32 [N]; 0 without a class head."""
    cell_mask: jax.Array
    """bool [N], matched cells."""
    proposal_mask: jax.Array
    """bool [M]."""


PAPER_OPTIONS = PointLossOptions()


def matched_losses(
    pred_yx: jax.Array,
    objectness_logits: jax.Array,
    class_logits: jax.Array | None,
    true_yx: jax.Array,
    labels: jax.Array,
    proposal_idx: jax.Array,
    *,
    proposal_mask: jax.Array | None = None,
    trust: jax.Array | None = None,
    negative_scale: jax.Array | None = None,
    options: PointLossOptions = PAPER_OPTIONS,
) -> PointLosses:
    """All three losses of one image, each of matched rows alone.

    Args:
      pred_yx: [M, 2] proposals, px.
      objectness_logits: [M, 2], (object, background); [M, K + 1] without a class head.
      class_logits: [M, K]; None has `objectness_logits` tell the classes.
      true_yx: [N, 2] px.
      labels: i32 [N].
      proposal_idx: i32 [N] from `ops.matching.match`; -1 where padded or left over.
      proposal_mask: bool [M]; None takes all.
      trust: [N] multiplies the losses of a cell; None is 1.
      negative_scale: [M] multiplies the detection loss of proposals without a cell
        (see `losses.density`); None is 1.
      options: see `PointLossOptions`.

    Returns:
      Losses that are not reduced, with their masks.

    References:
      Shui et al. 2022, Eq. 3-6.
    """
    num_proposals, num_scores = objectness_logits.shape
    if proposal_mask is None:
        proposal_mask = jnp.ones(num_proposals, bool)
    cell_mask = proposal_idx >= 0
    sure = jnp.ones(labels.shape) if trust is None else trust
    sure = jnp.where(cell_mask, sure, 0.0)
    column = jnp.where(cell_mask, proposal_idx, num_proposals)
    rows = jnp.maximum(proposal_idx, 0)

    target_yx = jnp.where(cell_mask[:, None], true_yx, 0.0)
    held_yx = jnp.where(cell_mask[:, None], pred_yx[rows], 0.0)
    regression = points.point_error(held_yx, target_yx, form=options.point_error)

    positive = labels if class_logits is None else jnp.zeros_like(labels)
    targets = jnp.full(num_proposals, num_scores - 1, labels.dtype)
    targets = targets.at[column].set(positive, mode="drop")
    scale = jnp.ones(num_proposals) if negative_scale is None else negative_scale
    scale = jax.lax.stop_gradient(scale).at[column].set(sure, mode="drop")
    detection = scale * points.detection_cross_entropy(
        jnp.where(proposal_mask[:, None], objectness_logits, 0.0),
        targets,
        negative_weight=options.negative_weight,
    )
    weight = points.detection_weights(
        targets, num_scores - 1, negative_weight=options.negative_weight
    )

    classification = jnp.zeros(labels.shape)
    if class_logits is not None:
        held = jnp.where(cell_mask[:, None], class_logits[rows], 0.0)
        classification = _classification(held, labels, options)
    return PointLosses(
        regression=sure * regression,
        detection=jnp.where(proposal_mask, detection, 0.0),
        detection_weight=jnp.where(proposal_mask, weight, 0.0),
        classification=sure * classification,
        cell_mask=cell_mask,
        proposal_mask=proposal_mask,
    )


def total_loss(
    losses: PointLosses,
    *,
    options: PointLossOptions = PAPER_OPTIONS,
    axis_name: str | None = None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Reduces the losses of one image or of a batch and adds them up.

    Over a batch the cells of all images (and, under `axis_name`, of all devices) weigh
    the same, however they are spread.

    Args:
      losses: from `matched_losses`, with any leading axes.
      options: see `PointLossOptions`.
      axis_name: the mapped device axis, or None.

    Returns:
      The total and its terms "regression", "detection", "classification", unweighted;
      f32 scalars.

    Raises:
      ValueError: for an unknown reduction or normalizer.

    References:
      Shui et al. 2022, Eq. 7. Differs from the paper: Eq. 6 sums over cells where Eq. 3
      and 4 average, which would make the class loss hundreds of times larger than the
      others; the mean is the default, "sum" (per image) the printed form.
    """
    _one_of("class_reduction", options.class_reduction, "mean", "sum")
    _one_of("normalizer", options.normalizer, "proposals", "weights")
    num_images = losses.cell_mask.size // losses.cell_mask.shape[-1]
    summed = options.class_reduction == "sum"
    weighted = options.normalizer == "weights"
    terms = {
        "regression": masking.masked_mean(
            losses.regression, losses.cell_mask, axis_name=axis_name
        ),
        "detection": masking.masked_mean(
            losses.detection,
            losses.proposal_mask,
            denominator=jnp.sum(losses.detection_weight) if weighted else None,
            axis_name=axis_name,
        ),
        "classification": masking.masked_mean(
            losses.classification,
            losses.cell_mask,
            denominator=num_images if summed else None,
            axis_name=axis_name,
        ),
    }
    total = options.regression_weight * terms["regression"]
    return total + terms["detection"] + terms["classification"], terms


def _classification(
    logits: jax.Array, labels: jax.Array, options: PointLossOptions
) -> jax.Array:
    """Loss of the class head for matched rows, f32 [N]."""
    _one_of("classification", options.classification, "gce", "cross_entropy")
    if options.classification == "cross_entropy":
        return points.cross_entropy(logits, labels)
    robust = points.generalized_cross_entropy(logits, labels, q=options.q)
    norm = points.softmax_norm(logits, squared=options.squared_norm)
    return robust + options.gamma * norm


def _one_of(name: str, value: str, *allowed: str) -> None:
    if value not in allowed:
        choices = " or ".join(map(repr, allowed))
        raise ValueError(f"{name} {value!r}: use {choices}")
