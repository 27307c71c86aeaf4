"""Losses of proposals matched one to one with points; sources as `losses.points`."""

import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cellrec_jax import masking
from cellrec_jax.losses import points


class PointLossOptions(NamedTuple):
    """Weights, >= 0, and forms; the paper's by default, repaired where it says so."""

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
    """What Eq. 4 divides by; one of `NORMALIZERS`."""


NORMALIZERS = ("proposals", "weights", "cells", "each")
"""The number of proposals; the sum of their weights (P2PNet); that of matched cells, as
Lin et al., Focal Loss, 2017; or matched and unmatched each by their own number, which
balances them however few are matched (an extension)."""


class PointLosses(NamedTuple):
    """Losses f32 [N] (detection [M]) of one image, finite, 0 outside their masks."""

    regression: jax.Array
    detection: jax.Array
    detection_weight: jax.Array
    """f32 [M], beta times `negative_scale`, or 1: what `detection` is multiplied by."""
    classification: jax.Array
    """f32 [N]; 0 without a class head."""
    cell_mask: jax.Array
    proposal_mask: jax.Array
    held: jax.Array
    """bool [M], proposals that are matched with a cell."""


PAPER_OPTIONS = PointLossOptions()


class _Pairs(NamedTuple):
    """Who is matched with whom."""

    mask: jax.Array  # bool [N], matched cells
    proposal: jax.Array  # i32 [N], M where not matched: out of bounds, so dropped
    labels: jax.Array  # i32 [N], -1 where not matched or out of range


def matched_losses(
    pred_yx: jax.Array,
    objectness_logits: jax.Array,
    class_logits: jax.Array | None,
    true_yx: jax.Array,
    labels: jax.Array,
    proposal_idx: jax.Array,
    *,
    proposal_mask: jax.Array | None = None,
    negative_scale: jax.Array | None = None,
    trust: jax.Array | None = None,
    detection_cost: points.Cost = points.cross_entropy,
    options: PointLossOptions = PAPER_OPTIONS,
) -> PointLosses:
    """All losses of one image, of matched rows alone (Shui et al. 2022, Eq. 3-6).

    Args:
      pred_yx: [M, 2] proposals, px.
      objectness_logits: [M, 2], (object, background); [M, K + 1] without a class head.
      class_logits: [M, K]; None has `objectness_logits` tell the classes.
      true_yx: [N, 2] px.
      labels: i32 [N]; a cell outside 0..K-1 has no class loss (without a class head, no
        detection loss).
      proposal_idx: i32 [N] from `ops.matching.match`; -1 where padded or left over.
      proposal_mask: bool [M]; None takes all.
      negative_scale: [M] multiplies the detection loss without a cell; None is 1.
      trust: [N] in [0, 1] multiplies all losses of a cell that is matched, and the
        weight of its proposal; None is 1.
      detection_cost: in place of Eq. 4's cross entropy; see `losses.calibration`.
      options: weights and forms.
    """
    num_proposals, joint = len(pred_yx), class_logits is None
    if proposal_mask is None:
        proposal_mask = jnp.ones(num_proposals, bool)
    classes = objectness_logits[:, :-1] if class_logits is None else class_logits
    chex.assert_shape([pred_yx, true_yx], [(num_proposals, 2), (len(labels), 2)])
    chex.assert_shape(objectness_logits, (num_proposals, None if joint else 2))
    chex.assert_shape(classes, (num_proposals, None))
    chex.assert_shape(proposal_mask, (num_proposals,))
    chex.assert_equal_shape([labels, proposal_idx])
    chex.assert_type([labels, proposal_idx, proposal_mask], [int, int, bool])
    pairs = _pairs(proposal_idx, labels, num_proposals, classes.shape[1])
    positive = pairs.labels if joint else jnp.zeros_like(labels)
    detection, weight = _detection(
        objectness_logits,
        proposal_mask,
        pairs,
        positive,
        negative_scale,
        detection_cost,
        options,
    )
    losses = PointLosses(
        regression=_regression(pred_yx, true_yx, pairs, options),
        detection=detection,
        detection_weight=weight,
        classification=_classification(class_logits, pairs, options),
        cell_mask=pairs.mask,
        proposal_mask=proposal_mask,
        held=jnp.zeros(num_proposals, bool).at[pairs.proposal].set(True, mode="drop"),
    )
    return losses if trust is None else _trusted(losses, pairs, trust)


def total_loss(
    losses: PointLosses, *, options: PointLossOptions = PAPER_OPTIONS
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Reduces an image's or a batch's losses: the total, and its unweighted terms.

    They are "regression", "detection" and "classification". All cells of a batch (on
    all devices) weigh the same. Shui et al. 2022, Eq. 7; the class loss is a mean by
    default, not the sum of Eq. 6, hundreds of times larger ("sum").
    """
    num_images = math.prod(losses.cell_mask.shape[:-1])
    summed = options.class_reduction == "sum"
    terms = {
        "regression": masking.masked_mean(losses.regression, losses.cell_mask),
        "detection": _detection_mean(losses, options.normalizer),
        "classification": masking.masked_mean(
            losses.classification,
            losses.cell_mask,
            denominator=num_images if summed else None,
        ),
    }
    total = options.regression_weight * terms["regression"]
    return total + terms["detection"] + terms["classification"], terms


def _detection_mean(losses: PointLosses, normalizer: str) -> jax.Array:
    """Detection loss of a batch, f32 []."""
    counted = losses.proposal_mask
    if normalizer == "each":
        cells = masking.masked_mean(losses.detection, counted & losses.held)
        return cells + masking.masked_mean(losses.detection, counted & ~losses.held)
    denominator = None
    if normalizer == "weights":
        denominator = jnp.sum(losses.detection_weight)
    elif normalizer == "cells":
        denominator = jnp.sum(losses.held).astype(jnp.float32)
    return masking.masked_mean(losses.detection, counted, denominator=denominator)


def _pairs(
    proposal_idx: jax.Array, labels: jax.Array, num_proposals: int, num_classes: int
) -> _Pairs:
    mask = (proposal_idx >= 0) & (proposal_idx < num_proposals)
    in_range = (labels >= 0) & (labels < num_classes)
    return _Pairs(
        mask=mask,
        proposal=jnp.where(mask, proposal_idx, num_proposals),
        labels=jnp.where(mask & in_range, labels, -1),
    )


def _held(rows: jax.Array, pairs: _Pairs) -> jax.Array:
    """Rows of the proposals that cells are matched with, [N, ...]; 0 for the others."""
    if len(rows) == 0:  # from which nothing can be taken
        return jnp.zeros((len(pairs.mask), *rows.shape[1:]), rows.dtype)
    return jnp.asarray(rows).at[pairs.proposal].get(mode="fill", fill_value=0)


def _regression(
    pred_yx: jax.Array, true_yx: jax.Array, pairs: _Pairs, options: PointLossOptions
) -> jax.Array:
    target_yx = jnp.where(pairs.mask[:, None], true_yx, 0.0)
    held_yx = _held(pred_yx, pairs)
    error = points.point_error(held_yx, target_yx, form=options.point_error)
    return jnp.where(pairs.mask, error, 0.0)


def _detection(
    logits: jax.Array,
    mask: jax.Array,
    pairs: _Pairs,
    positive: jax.Array,
    negative_scale: jax.Array | None,
    cost: points.Cost,
    options: PointLossOptions,
) -> tuple[jax.Array, jax.Array]:
    """Loss f32 [M] and its weight; matched are `positive` [N], others background."""
    num_proposals, background = len(logits), logits.shape[1] - 1
    beta = options.negative_weight
    targets = jnp.full(num_proposals, background, positive.dtype)
    targets = targets.at[pairs.proposal].set(positive, mode="drop")
    scale = jnp.ones(num_proposals) if negative_scale is None else negative_scale
    chex.assert_shape(scale, (num_proposals,))
    scale = jax.lax.stop_gradient(jnp.asarray(scale, jnp.float32))
    scale = scale.at[pairs.proposal].set(1.0, mode="drop")
    logits = jnp.where(mask[:, None], logits, 0.0)
    loss = points.detection_cross_entropy(
        logits, targets, negative_weight=beta, cost=cost
    )
    weight = points.detection_weights(targets, background, negative_weight=beta)
    return jnp.where(mask, scale * loss, 0.0), jnp.where(mask, scale * weight, 0.0)


def _trusted(losses: PointLosses, pairs: _Pairs, trust: jax.Array) -> PointLosses:
    """The losses of matched cells times trust [N]; what they are divided by stays."""
    chex.assert_equal_shape([trust, pairs.mask])
    trust = jax.lax.stop_gradient(trust)
    held = jnp.ones(len(losses.held)).at[pairs.proposal].set(trust, mode="drop")
    return losses._replace(
        regression=losses.regression * trust,
        classification=losses.classification * trust,
        detection=losses.detection * held,
        detection_weight=losses.detection_weight * held,
    )


def _classification(
    logits: jax.Array | None, pairs: _Pairs, options: PointLossOptions
) -> jax.Array:
    """Loss of the class head, f32 [N]; 0 without one and for labels below 0."""
    if logits is None:
        return jnp.zeros(pairs.mask.shape)
    held = _held(logits, pairs)
    if options.classification == "cross_entropy":
        cost = points.cross_entropy(held, pairs.labels)
        return jnp.where(pairs.mask, cost, 0.0)
    robust = points.generalized_cross_entropy(held, pairs.labels, q=options.q)
    norm = points.softmax_norm(held, squared=options.squared_norm)
    both = robust + options.gamma * norm
    return jnp.where(pairs.labels >= 0, both, 0.0)
