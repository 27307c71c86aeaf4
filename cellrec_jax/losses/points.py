"""Losses of cells that are annotated by points and matched one to one.

Pure functions of one image; callers vmap. Nothing reduces but `total_loss`. Classes of
detection are counted with the background, last: K + 1 logits; an objectness head is the
case K = 1, (object, background).

Sources: Shui et al., End-to-end cell recognition by point annotation, MICCAI 2022;
Song et al., Rethinking Counting and Localization in Crowds (P2PNet), ICCV 2021; Zhang
and Sabuncu, Generalized Cross Entropy Loss, NeurIPS 2018.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cellrec_jax import masking


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


class PointLosses(NamedTuple):
    """Per-element losses of one image, finite and 0 where their mask is False."""

    regression: jax.Array
    """f32 [N]."""
    detection: jax.Array
    """f32 [M]."""
    classification: jax.Array
    """f32 [N]."""
    cell_mask: jax.Array
    """bool [N], matched cells."""
    proposal_mask: jax.Array
    """bool [M]."""


PAPER_OPTIONS = PointLossOptions()


def point_error(
    pred_yx: jax.Array, true_yx: jax.Array, *, form: str = "squared"
) -> jax.Array:
    """Distance of matched points.

    Args:
      pred_yx: [N, 2] px.
      true_yx: [N, 2] px.
      form: "squared" (sum over both axes, px^2) or "norm" (px; gradient 0 at 0).

    Returns:
      f32 [N], not reduced.

    Raises:
      ValueError: for another form.

    References:
      Shui et al. 2022, Eq. 3. Differs from the paper: it calls the loss a mean square
      error but prints a norm; squared is the default, as in P2PNet.
    """
    offsets = pred_yx.astype(jnp.float32) - true_yx.astype(jnp.float32)
    if form == "squared":
        return jnp.sum(offsets**2, axis=-1)
    if form == "norm":
        return masking.safe_norm(offsets)
    raise ValueError(f"point error {form!r}: use 'squared' or 'norm'")


def detection_weights(
    labels: jax.Array, num_classes: int, *, negative_weight: float = 0.6
) -> jax.Array:
    """Gives background the weight beta and cells 1.

    Args:
      labels: i32 [M] in 0..K, K the background.
      num_classes: K.
      negative_weight: beta >= 0; 0.6 in Shui et al., 0.5 in P2PNet.

    Returns:
      f32 [M].
    """
    return jnp.where(labels == num_classes, negative_weight, 1.0)


def detection_cross_entropy(
    logits: jax.Array, labels: jax.Array, *, negative_weight: float = 0.6
) -> jax.Array:
    """Cross entropy of every proposal, background times beta.

    `masking.masked_mean(loss, mask)` divides by M as Eq. 4; P2PNet divides by the sum
    of the weights instead: `denominator=sum(detection_weights(...))`.

    Args:
      logits: [M, K + 1], background last.
      labels: i32 [M] in 0..K.
      negative_weight: beta.

    Returns:
      f32 [M], not reduced.

    References:
      Shui et al. 2022, Eq. 4.
    """
    chex.assert_equal_shape_prefix([logits, labels], 1)
    cost = -_picked(jax.nn.log_softmax(logits.astype(jnp.float32)), labels)
    background = logits.shape[1] - 1
    return cost * detection_weights(labels, background, negative_weight=negative_weight)


def generalized_cross_entropy(
    logits: jax.Array, labels: jax.Array, *, q: jax.Array | float = 0.4
) -> jax.Array:
    """(1 - p^q) / q of the labelled class: robust to wrong labels.

    Cross entropy as q -> 0, which converges fast; 1 - p (half the mean absolute error)
    at q = 1, which wrong labels disturb least. Computed from log p, so that p -> 0 has
    a finite value and gradient. (Weighting the cross entropy by a detached p^q, as some
    public code does, has another value and, for it, q times the gradient.)

    Args:
      logits: [N, K].
      labels: i32 [N] in 0..K-1; a padded row (-1) gets 0.
      q: in (0, 1].

    Returns:
      f32 [N] in [0, 1/q], not reduced.

    Raises:
      ValueError: for q outside (0, 1], where it is known; a traced q <= 0 gives cross
        entropy.

    References:
      Zhang and Sabuncu 2018, Eq. 6; Shui et al. 2022, Eq. 5.

    Example:
      >>> logits = jnp.log(jnp.array([[0.25, 0.75]]))
      >>> float(generalized_cross_entropy(logits, jnp.array([0]), q=0.5)[0])
      1.0
    """
    return _generalized(jax.nn.log_softmax(logits.astype(jnp.float32)), labels, q)


def softmax_norm(logits: jax.Array, *, squared: bool = False) -> jax.Array:
    """L2 norm of the class probabilities: large where the model is sure.

    Args:
      logits: [N, K].
      squared: the squared norm.

    Returns:
      f32 [N] in [K^-1/2, 1], not reduced; never near 0, so no epsilon is needed.

    References:
      Shui et al. 2022, Eq. 5, the second term.
    """
    return _norm(jax.nn.log_softmax(logits.astype(jnp.float32)), squared)


def matched_losses(
    pred_yx: jax.Array,
    objectness_logits: jax.Array,
    class_logits: jax.Array,
    true_yx: jax.Array,
    labels: jax.Array,
    proposal_idx: jax.Array,
    *,
    proposal_mask: jax.Array | None = None,
    options: PointLossOptions = PAPER_OPTIONS,
) -> PointLosses:
    """All three losses of one image, each log-softmax once, of matched rows alone.

    Args:
      pred_yx: [M, 2] proposals, px.
      objectness_logits: [M, 2], (object, background).
      class_logits: [M, K].
      true_yx: [N, 2] px.
      labels: i32 [N].
      proposal_idx: i32 [N] from `ops.matching.match`; -1 where padded or left over.
      proposal_mask: bool [M]; None takes all.
      options: see `PointLossOptions`.

    Returns:
      Losses that are not reduced, with their masks.

    References:
      Shui et al. 2022, Eq. 3-6.
    """
    num_proposals = len(pred_yx)
    if proposal_mask is None:
        proposal_mask = jnp.ones(num_proposals, bool)
    cell_mask = proposal_idx >= 0
    column = jnp.where(cell_mask, proposal_idx, num_proposals)
    matched = jnp.zeros(num_proposals, bool).at[column].set(True, mode="drop")

    rows = jnp.maximum(proposal_idx, 0)
    target_yx = jnp.where(cell_mask[:, None], true_yx, 0.0)
    held_yx = jnp.where(cell_mask[:, None], pred_yx[rows], 0.0)
    regression = point_error(held_yx, target_yx, form=options.point_error)

    used = jnp.where(proposal_mask[:, None], objectness_logits, 0.0)
    detection = detection_cross_entropy(
        used,
        jnp.where(matched, 0, 1),
        negative_weight=options.negative_weight,
    )

    held_logits = jnp.where(cell_mask[:, None], class_logits[rows], 0.0)
    log_p = jax.nn.log_softmax(held_logits.astype(jnp.float32))
    classification = _generalized(log_p, labels, options.q)
    classification += options.gamma * _norm(log_p, options.squared_norm)
    return PointLosses(
        regression=regression,
        detection=jnp.where(proposal_mask, detection, 0.0),
        classification=jnp.where(cell_mask, classification, 0.0),
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
      ValueError: for an unknown reduction.

    References:
      Shui et al. 2022, Eq. 7. Differs from the paper: Eq. 6 sums over cells where Eq. 3
      and 4 average, which would make the class loss hundreds of times larger than the
      others; the mean is the default, "sum" (per image) the printed form.
    """
    if options.class_reduction not in ("mean", "sum"):
        raise ValueError(
            f"class_reduction {options.class_reduction!r}: use 'mean' or 'sum'"
        )
    num_images = losses.cell_mask.size // losses.cell_mask.shape[-1]
    denominator = num_images if options.class_reduction == "sum" else None
    terms = {
        "regression": masking.masked_mean(
            losses.regression, losses.cell_mask, axis_name=axis_name
        ),
        "detection": masking.masked_mean(
            losses.detection, losses.proposal_mask, axis_name=axis_name
        ),
        "classification": masking.masked_mean(
            losses.classification,
            losses.cell_mask,
            denominator=denominator,
            axis_name=axis_name,
        ),
    }
    total = options.regression_weight * terms["regression"]
    return total + terms["detection"] + terms["classification"], terms


def _picked(values: jax.Array, labels: jax.Array) -> jax.Array:
    """values[i, labels[i]]; 0 where the label is padding (-1)."""
    row = jnp.maximum(labels, 0)[:, None]
    picked = jnp.take_along_axis(values, row, axis=1)[:, 0]
    return jnp.where(labels >= 0, picked, 0.0)


def _generalized(
    log_p: jax.Array, labels: jax.Array, q: jax.Array | float
) -> jax.Array:
    if not isinstance(q, jax.core.Tracer) and not 0 < q <= 1:
        raise ValueError(
            f"q must be in (0, 1], not {q}; q -> 0 is detection_cross_entropy"
        )
    picked = _picked(log_p, labels)
    q = jnp.asarray(q, jnp.float32)
    positive = q > 0
    safe = jnp.where(positive, q, 1.0)
    # expm1 keeps its digits however small q is.
    return jnp.where(positive, -jnp.expm1(safe * picked) / safe, -picked)


def _norm(log_p: jax.Array, squared: bool) -> jax.Array:
    norm = jnp.sum(jnp.exp(2.0 * log_p), axis=-1)
    return norm if squared else jnp.sqrt(norm)
