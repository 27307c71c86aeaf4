"""Cell recognition by segmented masks that were estimated from points.

Qu et al., Weakly supervised deep nuclei segmentation using partial points annotation in
histopathology images, IEEE Transactions on Medical Imaging, 2020: EstimateMask of
Zhang et al., ISBI 2022, Table 1. Two label maps are made of an image and its points
once (`labels`): Voronoi edges against points, and clusters of colour. A network of
K + 1 maps learns both, and towards the end to part where colours do (dense CRF); a
cell is a connected part of a class's mask. Where points are partial, a detector finds
the others first (`detector`). The run's stages are `pseudo_masks`.

Differs from the paper: K classes, each mask of its cell's; no pretrained encoder; group
norm by default; what is said of single options.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from cellrec_jax import errors, masking
from cellrec_jax.losses import pseudo_masks
from cellrec_jax.methods.estimate_mask import decode as decode_lib
from cellrec_jax.methods.estimate_mask import detector, networks
from cellrec_jax.methods.estimate_mask.options import Options
from cellrec_jax.types import (
    Batch,
    Decode,
    Detections,
    Method,
    Metrics,
    Progress,
    Stage,
    Traits,
)

Params = Any
ModelState = Any


def make(options: Options, *, num_classes: int) -> Method:
    """Builds the functions of the part of the method that `options` names."""
    if options.model.part != "masks":
        return detector.make(options, num_classes=num_classes)
    bind = functools.partial(
        functools.partial, options=options, num_classes=num_classes
    )
    return Method(
        init=bind(_init),
        loss_fn=bind(_loss_fn),
        predict=bind(_predict),
        traits=Traits(
            max_detections=options.model.max_detections,
            stride=networks.STRIDE,
            circles=(
                ("masks.disc_px", options.masks.disc_px),
                ("detector.radius_px", options.detector.radius_px),
            ),
        ),
        stages=(Stage("masks", "pseudo_masks", options.masks),),
    )


def _init(
    rng: jax.Array, image: jax.Array, *, options: Options, num_classes: int
) -> tuple[Params, ModelState]:
    """Initial parameters and batch statistics; no weight depends on the image size."""
    return networks.init(rng, image, options, num_classes + 1)


def _loss_fn(
    params: Params,
    model_state: ModelState,
    batch: Batch,
    rng: jax.Array,
    progress: Progress,
    *,
    options: Options,
    num_classes: int,
    averaged: tuple[Params, ModelState] | None = None,
) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
    """Cross entropy of both label maps and the dense CRF loss, a mean over images."""
    del rng, averaged
    if batch.maps is None:
        raise errors.ConfigError(
            "--config.method=estimate_mask learns from label maps, which these batches "
            "lack: train by `run` or the command line"
        )
    loss = options.loss
    logits, new_state = networks.apply(
        params, model_state, batch.image, options, num_classes + 1, train=True
    )
    cost = jax.vmap(pseudo_masks.label_cost)
    costs = {
        "voronoi": cost(logits, batch.maps[..., 0], batch.valid),
        "cluster": cost(logits, batch.maps[..., 1], batch.valid),
    }
    weights = {"voronoi": loss.voronoi_weight, "cluster": loss.cluster_weight}
    if loss.crf_weight:
        costs["crf"] = _crf(logits, batch, progress, options)
        weights["crf"] = loss.crf_weight
    means = {
        name: masking.masked_mean(values, batch.image_mask)
        for name, values in costs.items()
    }
    total = sum(weights[name] * mean for name, mean in means.items())
    metrics: Metrics = {
        f"loss/{name}": (mean, jnp.ones(())) for name, mean in means.items()
    }
    counted = batch.valid & batch.image_mask[:, None, None]
    for i, name in enumerate(("voronoi", "cluster")):
        known = batch.maps[..., i] != pseudo_masks.IGNORE
        metrics[f"known/{name}"] = masking.masked_sum_count(known, counted)
    cell = jnp.argmax(logits, axis=-1) > 0
    metrics["masked"] = masking.masked_sum_count(cell, counted)
    return jnp.asarray(total), (new_state, metrics)


def _crf(
    logits: jax.Array, batch: Batch, progress: Progress, options: Options
) -> jax.Array:
    """The dense CRF loss of each image, f32 [B]; 0 before its time."""
    loss = options.loss
    one = functools.partial(
        pseudo_masks.dense_crf,
        sigma_px=loss.crf_sigma_px,
        sigma_rgb=loss.crf_sigma_rgb,
        window_px=loss.crf_window_px,
        stride=loss.crf_stride,
    )

    def compute() -> jax.Array:
        return jax.vmap(one)(jax.nn.softmax(logits), batch.image, batch.valid)

    begins = round(loss.crf_from * progress.total)
    zeros = jnp.zeros(len(batch.valid))
    return jax.lax.cond(progress.step >= begins, compute, lambda: zeros)


def _predict(
    params: Params,
    model_state: ModelState,
    batch: Batch,
    decode: Decode,
    *,
    options: Options,
    num_classes: int,
) -> Detections:
    """Detections of whole images: max_detections slots, highest score first."""
    logits, _ = networks.apply(
        params, model_state, batch.image, options, num_classes + 1, train=False
    )
    probs = jax.nn.softmax(logits)
    best = jnp.argmax(probs, axis=-1)
    masks = jax.nn.one_hot(best, num_classes + 1, dtype=bool)[..., 1:]
    masks &= batch.valid[..., None]
    find = functools.partial(
        decode_lib.detect,
        decode=decode,
        least_area=options.model.least_area,
        max_detections=options.model.max_detections,
    )
    found = jax.vmap(find)(probs[..., 1:], masks)
    return found._replace(mask=found.mask & batch.image_mask[:, None])
