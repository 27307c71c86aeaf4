"""What `loss.form` means: from the points of an image to the costs of its pixels."""

import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from cellrec_jax import masking
from cellrec_jax.losses import pu, sparse_heatmap
from cellrec_jax.methods.refine_options import BACKGROUND
from cellrec_jax.types import Batch, Metrics

if TYPE_CHECKING:
    from cellrec_jax.methods.heatmap_pu.options import LossOptions

ModelState = Any

_PRIOR_MOMENTUM = 0.9
_LEAST_PRIOR = 0.01
_TAKEN = 0.5  # probability from which a pixel is taken for a cell


def paint(example: Batch, loss: "LossOptions") -> sparse_heatmap.Painted:
    """Targets of one image, without the batch's axis, from its points."""
    return sparse_heatmap.paint(
        example.points_yx,
        example.points_mask & (example.labels == 0),
        example.points_mask & (example.labels == BACKGROUND),
        (example.image.shape[0], example.image.shape[1]),
        sigma_px=loss.sigma_px,
        radius_px=loss.radius_px,
    )


def form(loss: "LossOptions", window_px: int) -> Any:
    """The loss of one image: (heights [H, W], painted, valid) -> PixelLoss."""
    if loss.form == "constant":
        return functools.partial(sparse_heatmap.constant, weight=loss.constant_weight)
    if loss.form == "bde":
        return functools.partial(
            sparse_heatmap.energy_weighted,
            window_px=window_px,
            radius_px=loss.radius_px,
            doubt=loss.doubt(),
            max_peaks=loss.max_peaks,
        )
    if loss.form == "recalibrated":
        return functools.partial(
            sparse_heatmap.recalibrated,
            doubt=loss.doubt(),
            weight=loss.recalibrated_weight,
        )
    return {"masked": sparse_heatmap.masked, "plain": sparse_heatmap.plain}[loss.form]


def taught(
    heights: jax.Array,
    teacher: jax.Array,
    painted: sparse_heatmap.Painted,
    valid: jax.Array,
    *,
    sure: jax.Array,
    loss: "LossOptions",
    window_px: int,
) -> sparse_heatmap.PixelLoss:
    """The masked loss of one image [H, W] during burn-in, then the teacher's."""
    taught = sparse_heatmap.mean_teacher(
        heights,
        teacher,
        painted,
        valid,
        sigma_px=loss.sigma_px,
        window_px=window_px,
        threshold=loss.threshold,
        max_peaks=loss.max_peaks,
    )
    alone = sparse_heatmap.masked(heights, painted, valid)
    return jax.tree.map(lambda a, b: jnp.where(sure, a, b), taught, alone)


def pixel_risk(
    logits: jax.Array,
    painted: sparse_heatmap.Painted,
    valid: jax.Array,
    model_state: ModelState,
    loss: "LossOptions",
) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
    """Non-negative risk of pixels [B, H, W]: those near a labelled cell, and others.

    The prior is fixed or a running share. Yang et al., Object Detection as a
    Positive-Unlabeled Problem, BMVC 2020, with pixels in place of anchors.
    """
    positive = valid & painted.known & (painted.target > 0)
    unlabeled = valid & ~positive
    prior = model_state["prior"]["value"]
    share = jax.lax.stop_gradient(jax.nn.sigmoid(logits) > _TAKEN)
    # The prior is one number for all devices.
    taken = masking.device_mean(masking.masked_mean(share, valid))
    prior = _PRIOR_MOMENTUM * prior + (1.0 - _PRIOR_MOMENTUM) * taken
    prior = jax.lax.stop_gradient(jnp.clip(prior, _LEAST_PRIOR, 1.0 - _LEAST_PRIOR))
    used = jnp.asarray(loss.prior) if loss.prior else prior
    risk = pu.pu_risk(logits, positive, unlabeled, used)
    one = jnp.ones(())
    metrics: Metrics = {
        "loss/risk": (risk.risk, one),
        "negative_risk": (risk.negative_risk, one),
        "prior": (used, one),
    }
    return risk.risk, ({**model_state, "prior": {"value": prior}}, metrics)
