"""Cell recognition by regressed maps and their peaks: the baselines of paper two.

Shui et al., End-to-end cell recognition by point annotation, MICCAI 2022, Table 1:
FCRN, U-Net, ResUNet and DeepLabv3+ regress a map a class; cells are maxima, with
distance and threshold fitted on validation images. Left open there: a peak is one of
the highest map and has its class. No dropout in DeepLabv3+.

`loss.form` "squared" is FCRN as Xie, Noble and Zisserman published it (2015, 2018):
linear outputs learn 100 times a Gaussian; one map a class is ours.
"""

import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from cellrec_jax import masking
from cellrec_jax.losses import heatmap
from cellrec_jax.methods import encoder
from cellrec_jax.methods.density_map.options import LossOptions, ModelOptions, Options
from cellrec_jax.nn import maps as networks
from cellrec_jax.nn import resnet
from cellrec_jax.ops import heatmaps, peaks
from cellrec_jax.types import (
    Batch,
    Decode,
    Detections,
    Method,
    Metrics,
    Progress,
    Traits,
)

Params = Any
ModelState = Any

_STRIDE = 16  # the largest of all networks

_START = -4.0
"""Added to logits, so that sigmoids start at 0.02, about the share of cells. From 0.5,
narrow networks turn all output weights against the background and stay there."""


def make(options: Options, *, num_classes: int) -> Method:
    """Builds the method's functions."""
    bind = functools.partial(
        functools.partial, options=options, num_classes=num_classes
    )
    return Method(
        init=bind(_init),
        loss_fn=bind(_loss_fn),
        predict=bind(_predict),
        traits=Traits(max_detections=options.model.max_detections, stride=_STRIDE),
    )


def _network(options: Options, num_classes: int) -> nn.Module:
    model = options.model
    return networks.whole(
        model.network,
        num_classes,
        width=model.width,
        backbone=model.backbone,
        norm=model.norm,
        dtype=options.compute.activations,
        remat=options.compute.remat,
    )


def _init(
    rng: jax.Array, image: jax.Array, *, options: Options, num_classes: int
) -> tuple[Params, ModelState]:
    """Initial parameters and batch statistics; no weight depends on the image size."""
    blank = jnp.zeros((1, 32, 32, image.shape[-1]))
    return encoder.initialise(_network(options, num_classes), rng, blank, train=False)


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
    """The loss of the maps, a mean over images."""
    del rng, progress, averaged
    loss = options.loss
    network = _network(options, num_classes)
    outputs, new_state = network.apply(
        {"params": params, **model_state},
        resnet.normalize_imagenet(batch.image),
        True,
        mutable=list(model_state),
    )
    paint = functools.partial(
        target_maps,
        size_hw=(batch.image.shape[1], batch.image.shape[2]),
        num_classes=num_classes,
        loss=loss,
    )
    targets = jax.vmap(paint)(batch.points_yx, batch.points_mask, batch.labels)
    per_image = functools.partial(_cost, loss=loss)
    costs = jax.vmap(per_image)(outputs, targets, batch.valid)
    total = masking.masked_mean(costs, batch.image_mask)
    highest = jnp.max(_maps(outputs, loss), axis=(1, 2, 3))
    metrics: Metrics = {
        "loss/map": (total, jnp.ones(())),
        "highest": masking.masked_sum_count(highest, batch.image_mask),
    }
    return total, (dict(new_state), metrics)


def _cost(
    outputs: jax.Array, targets: jax.Array, weights: jax.Array, *, loss: LossOptions
) -> jax.Array:
    """The loss of one image's outputs [H, W, K], f32 []."""
    if loss.form == "squared":
        return heatmap.squared_error(outputs, targets, weights, height=loss.height)
    return heatmap.bce_iou_loss(
        _START + outputs,
        targets,
        weights,
        bce_weight=loss.bce_weight,
        iou_weight=loss.iou_weight,
        form=loss.iou_form,
    )


def _maps(outputs: jax.Array, loss: LossOptions) -> jax.Array:
    """What the outputs say of the reference maps; of linear ones in no limits."""
    if loss.form == "squared":
        return outputs / loss.height
    return jax.nn.sigmoid(_START + outputs)


def target_maps(
    points_yx: jax.Array,
    mask: jax.Array,
    labels: jax.Array,
    *,
    size_hw: tuple[int, int],
    num_classes: int,
    loss: LossOptions,
) -> jax.Array:
    """Reference maps of one image, f32 [H, W, K] in [0, 1], of points [N, 2] px."""
    if loss.target != "disc":
        return heatmaps.target_maps(
            points_yx, mask, labels, size_hw, num_classes, loss.maps()
        )
    return heatmaps.disc_maps(
        points_yx, mask, labels, size_hw, num_classes, radius_px=loss.radius_px
    )


def _predict(
    params: Params,
    model_state: ModelState,
    batch: Batch,
    decode: Decode,
    *,
    options: Options,
    num_classes: int,
) -> Detections:
    """Detections of whole images: max_detections slots, highest peak first."""
    network = _network(options, num_classes)
    image = resnet.normalize_imagenet(batch.image)
    outputs: Any = network.apply({"params": params, **model_state}, image, False)
    finish = functools.partial(detect, decode=decode, model=options.model)
    found = jax.vmap(finish)(_maps(outputs, options.loss))
    return found._replace(mask=found.mask & batch.image_mask[:, None])


def detect(maps: jax.Array, *, decode: Decode, model: ModelOptions) -> Detections:
    """Peaks of one image's maps, f32 [H, W, K]; no batch axis.

    Cells are the peaks above 0; scores and shares are clipped to [0, 1] after that, as
    clipped maps would be flat where linear ones are too high.
    """
    found = peaks.find_peaks(
        jnp.max(maps, axis=-1),
        max_peaks=model.max_detections,
        window_px=model.window_px,
        min_distance=decode.min_distance,
        threshold_abs=0.0,
    )
    heights = peaks.read_maps(maps, found.points_yx)
    labels = jnp.argmax(heights, axis=-1).astype(jnp.int32)
    heights = jnp.clip(heights, 0.0, 1.0)
    total = jnp.sum(heights, axis=-1, keepdims=True)
    scores = jnp.minimum(found.scores, 1.0)
    kept = found.mask & (scores >= decode.thresholds[labels])
    return Detections(
        found.points_yx, scores, labels, heights / jnp.maximum(total, 1.0), kept
    )
