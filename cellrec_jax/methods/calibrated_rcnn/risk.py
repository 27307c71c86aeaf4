"""Classification of a stage as learning from positive and unlabelled boxes.

Yang, Liang and Carin, Object Detection as a Positive-Unlabeled Problem, BMVC 2020
(arXiv 2002.04672): matched boxes of the batch are positive, the other sampled ones
unlabelled; R = prior R_p^+ + max(0, R_u^- - prior R_p^-) by cross entropy, see
`losses.pu`. Differs: in both stages it is of the odds of any cell against background,
and the cross entropy of the positives' classes among cells is kept as it was, a mean
over the sampled boxes; the prior is that of unlabelled boxes, at most one half.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from cellrec_jax import masking
from cellrec_jax.losses import pu
from cellrec_jax.methods.calibrated_rcnn import forward
from cellrec_jax.methods.calibrated_rcnn.options import LossOptions
from cellrec_jax.methods.calibrated_rcnn.stages import StageLoss
from cellrec_jax.types import Metrics

_START = 0.1
_MOMENTUM = 0.9
_LEAST, _MOST = 0.01, 0.5  # above it to take everything for cells would be a minimum


def begin(loss: LossOptions) -> dict[str, Any]:
    """State before the first step; empty without calibration "pu"."""
    if loss.calibration != "pu":
        return {}
    stages = ("rpn", "roi") if loss.scope == "both" else ("roi",)
    return {forward.PRIOR: {name: jnp.float32(_START) for name in stages}}


def add(
    terms: Mapping[str, jax.Array],
    stages: Mapping[str, StageLoss],
    model_state: Mapping[str, Any],
    loss: LossOptions,
) -> tuple[dict[str, jax.Array], dict[str, Any], Metrics]:
    """Adds the risk of each stage that has a prior to its classification loss.

    Stages are of a batch [B, S]. Returns the terms, the state after this step, and
    what to log: the prior that was used, and R_u^- - prior R_p^-, of which less than 0
    is cut off.
    """
    if forward.PRIOR not in model_state:
        return dict(terms), {}, {}
    priors = model_state[forward.PRIOR]
    terms, after = dict(terms), dict(priors)
    metrics: Metrics = {}
    one = jnp.ones(())
    for name, prior in priors.items():
        stage = stages[name]
        assert stage.margin is not None  # for mypy
        unlabeled = stage.mask & ~stage.positive
        after[name] = _followed(prior, stage.margin, unlabeled)
        used = jnp.float32(loss.prior) if loss.prior else after[name]
        positive = stage.mask & stage.positive
        risk = pu.pu_risk(stage.margin, positive, unlabeled, used)
        terms[f"{name}_cls"] = terms[f"{name}_cls"] + risk.risk
        prefix = "" if name == "roi" else f"{name}_"
        metrics[f"{prefix}prior"] = (used, one)
        metrics[f"{prefix}negative_risk"] = (risk.negative_risk, one)
    return terms, {forward.PRIOR: after}, metrics


def _followed(prior: jax.Array, margin: jax.Array, unlabeled: jax.Array) -> jax.Array:
    """Moves towards the share of unlabelled boxes that are taken for cells."""
    share = jax.lax.stop_gradient(margin > 0).astype(jnp.float32)
    # One number for all devices.
    taken = masking.device_mean(masking.masked_mean(share, unlabeled))
    moved = _MOMENTUM * prior + (1.0 - _MOMENTUM) * taken
    return jax.lax.stop_gradient(jnp.clip(moved, _LEAST, _MOST))
