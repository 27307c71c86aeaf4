"""Stage one of estimated masks: a detector from points of which some are missing.

Qu et al. 2020, section III-A: maps learn a Gaussian at each point. Background is known
in a ring around points alone; a round of self-training adds what the network before,
frozen, takes for it. Differs from the paper: one map a class.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from cellrec_jax import masking
from cellrec_jax.losses import pseudo_masks
from cellrec_jax.methods import frozen
from cellrec_jax.methods.estimate_mask import decode as decode_lib
from cellrec_jax.methods.estimate_mask import networks
from cellrec_jax.methods.estimate_mask.options import DetectorOptions, Options
from cellrec_jax.ops import heatmaps
from cellrec_jax.types import (
    FIRST,
    Batch,
    Decode,
    Detections,
    Method,
    Metrics,
    Progress,
    Stage,
    Traits,
)

_NETWORK = "network"
_START = -4.0  # added to logits, see `density_map`


def make(options: Options, *, num_classes: int) -> Method:
    """Builds the functions of one training of the detector.

    Parameters and state are {"network": ...}; in a round of self-training parameters
    also hold the network before.
    """
    bind = functools.partial(
        functools.partial, options=options, num_classes=num_classes
    )
    again = options.model.part == "self_training"
    return Method(
        init=bind(_init),
        loss_fn=bind(_loss_fn),
        predict=bind(_predict),
        traits=Traits(
            trainable=frozen.all_but(FIRST) if again else None,
            predicts=(_NETWORK,),
            max_detections=options.model.max_detections,
            stride=networks.STRIDE,
        ),
        stages=(Stage("detector", "pseudo_masks", options.detector),),
    )


def _init(
    rng: jax.Array, image: jax.Array, *, options: Options, num_classes: int
) -> tuple[Any, Any]:
    params, state = networks.init(rng, image, options, num_classes)
    named = {_NETWORK: params}
    if options.model.part == "self_training":
        before = {"params": {_NETWORK: params}, "state": {_NETWORK: state}}
        named[FIRST] = jax.tree.map(jnp.copy, before)
    return named, {_NETWORK: state}


def _probs(
    params: Any, state: Any, batch: Batch, options: Options, num: int, *, train: bool
) -> tuple[jax.Array, Any]:
    """Maps in [0, 1], f32 [B, H, W, K], and new batch statistics."""
    own = params[_NETWORK], state[_NETWORK]
    logits, new = networks.apply(*own, batch.image, options, num, train=train)
    return jax.nn.sigmoid(_START + logits), {_NETWORK: new}


def known(
    points_yx: jax.Array,
    mask: jax.Array,
    size_hw: tuple[int, int],
    options: DetectorOptions,
) -> jax.Array:
    """Where points [N, 2] px tell what is there: bool [H, W]."""
    reach_px = options.ring_factor * options.radius_px
    return heatmaps.disc_mask(points_yx, mask, size_hw, radius_px=reach_px)


def _loss_fn(
    params: Any,
    model_state: Any,
    batch: Batch,
    rng: jax.Array,
    progress: Progress,
    *,
    options: Options,
    num_classes: int,
    averaged: Any = None,
) -> tuple[jax.Array, tuple[Any, Metrics]]:
    """The weighted squared error where something is known, a mean over images."""
    del rng, progress, averaged
    detector = options.detector
    size_hw = (batch.image.shape[1], batch.image.shape[2])
    probs, new_state = _probs(
        params, model_state, batch, options, num_classes, train=True
    )
    gaussian = heatmaps.MapOptions(sigma_px=detector.radius_px / 3, reach_sigmas=3.0)
    paint = functools.partial(
        heatmaps.target_maps,
        size_hw=size_hw,
        num_classes=num_classes,
        options=gaussian,
    )
    targets = jax.vmap(paint)(batch.points_yx, batch.points_mask, batch.labels)
    told = jax.vmap(functools.partial(known, size_hw=size_hw, options=detector))(
        batch.points_yx, batch.points_mask
    )
    counted = batch.valid & batch.image_mask[:, None, None]
    metrics: Metrics = {"known": masking.masked_sum_count(told, counted)}
    if FIRST in params:
        before = params[FIRST]
        low, _ = _probs(
            before["params"], before["state"], batch, options, num_classes, train=False
        )
        background = jnp.max(low, axis=-1) < detector.background
        metrics["background"] = masking.masked_sum_count(background, counted)
        told |= jax.lax.stop_gradient(background)
    cost = functools.partial(
        pseudo_masks.detection_error, cell_weight=detector.cell_weight
    )
    costs = jax.vmap(cost)(probs, targets, batch.valid & told)
    total = masking.masked_mean(costs, batch.image_mask)
    highest = jnp.max(probs, axis=(1, 2, 3))
    metrics["loss/map"] = (total, jnp.ones(()))
    metrics["highest"] = masking.masked_sum_count(highest, batch.image_mask)
    return total, (new_state, metrics)


def _predict(
    params: Any,
    model_state: Any,
    batch: Batch,
    decode: Decode,
    *,
    options: Options,
    num_classes: int,
) -> Detections:
    """Detections of whole images: max_detections slots, highest score first."""
    probs, _ = _probs(params, model_state, batch, options, num_classes, train=False)
    best = jax.nn.one_hot(jnp.argmax(probs, axis=-1), num_classes, dtype=bool)
    masks = best & (probs > options.detector.threshold) & batch.valid[..., None]
    find = functools.partial(
        decode_lib.detect,
        decode=decode,
        least_area=options.detector.least_area,
        most_area=options.detector.most_area,
        max_detections=options.model.max_detections,
    )
    found = jax.vmap(find)(probs, masks)
    return found._replace(mask=found.mask & batch.image_mask[:, None])
