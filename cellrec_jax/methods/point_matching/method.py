"""End-to-end cell recognition by matched points.

Shui et al., End-to-end cell recognition by point annotation, MICCAI 2022: anchor points
propose cells, matched one to one with annotated points. What differs or is left open:
see `losses.points`, `losses.matched`, `nn.point_net`, `options`; P2PNet is another
choice of options.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from cellrec_jax.losses import matched, unmatched
from cellrec_jax.methods import encoder
from cellrec_jax.methods.point_matching import receptive, stages
from cellrec_jax.methods.point_matching.options import ModelOptions, Options
from cellrec_jax.nn import convert, layers, point_net, resnet
from cellrec_jax.ops import anchors
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

_MULTIPLE = 32  # sides of images are padded to this, right and bottom


def make(options: Options, *, num_classes: int) -> Method:
    """Builds the method's functions; a `CheckpointError` for unreadable weights."""
    if options.model.pretrained:
        convert.check_file(options.model.pretrained)
    bind = functools.partial(
        functools.partial, options=options, num_classes=num_classes
    )
    return Method(
        init=bind(_init),
        loss_fn=bind(_loss_fn),
        predict=bind(_predict),
        traits=Traits(
            max_detections=options.model.max_detections,
            trainable=functools.partial(_trainable, options=options.model),
            load_pretrained=functools.partial(
                encoder.load_pretrained, options.model.pretrained, "encoder"
            ),
            stride=_MULTIPLE,
            receptive_px=receptive.radius(options.model),
            by_trust=True,
        ),
    )


def _network(options: Options, num_classes: int) -> point_net.PointNet:
    model = options.model
    return point_net.PointNet(
        num_classes=num_classes,
        num_anchors=anchors.points_per_cell(model.anchors),
        encoder=model.encoder,
        norm=model.norm_kind,
        channels=model.channels,
        level=model.level,
        aggregation=model.aggregation,
        head=model.head,
        class_head=model.class_head,
        dtype=options.compute.activations,
        remat=options.compute.remat,
    )


def _init(
    rng: jax.Array, image: jax.Array, *, options: Options, num_classes: int
) -> tuple[Params, ModelState]:
    """Initial parameters and batch statistics; no weight depends on the image size."""
    del image
    blank = jnp.zeros((1, _MULTIPLE, _MULTIPLE, 3))
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
    """Sum of the three losses, Eq. 7; only `loss.negative_ratio` draws at random."""
    del averaged
    network = _network(options, num_classes)
    padded = _padded(batch.image, options.model)
    grid_hw = _grid(padded, options)
    size_hw = batch.image.shape[1], batch.image.shape[2]
    stages.check_anchors(size_hw, grid_hw, options.model)
    outputs, new_state = network.apply(
        {"params": params, **model_state}, padded, True, mutable=list(model_state)
    )
    proposals = stages.propose(outputs, batch, grid_hw, options.model)
    found = stages.match(proposals, batch, options.loss)
    scale = stages.negative_scale(proposals, options.loss)
    if options.loss.warmup:
        scale = unmatched.warmed(scale, options.loss.warmth(progress))
    known = stages.at_background(proposals, batch)
    if known is not None:
        scale = jnp.where(known, 1.0, scale)
    drawn = stages.draw_negatives(rng, proposals, batch, found, options.loss, known)
    cost = stages.detection_cost(progress, options.loss)
    losses = stages.losses(drawn, batch, found, scale, options.loss, cost)
    total, terms = matched.total_loss(losses, options=options.loss.terms())
    one = jnp.ones(())
    metrics: Metrics = {f"loss/{name}": (value, one) for name, value in terms.items()}
    metrics |= stages.diagnostics(proposals, batch, found)
    metrics |= stages.weight_logs(drawn, batch, found, scale)
    metrics |= stages.trust_logs(batch, found, known)
    return total, (dict(new_state), metrics)


def _predict(
    params: Params,
    model_state: ModelState,
    batch: Batch,
    decode: Decode,
    *,
    options: Options,
    num_classes: int,
) -> Detections:
    """Detections of whole images: max_detections slots, best first."""
    model = options.model
    network = _network(options, num_classes)
    padded = _padded(batch.image, model)
    outputs: Any = network.apply({"params": params, **model_state}, padded, False)
    everywhere = batch._replace(valid=jnp.ones_like(batch.valid))
    proposals = stages.propose(outputs, everywhere, _grid(padded, options), model)
    finish = functools.partial(
        stages.detect,
        size_hw=(batch.image.shape[1], batch.image.shape[2]),
        decode=decode,
        model=model,
    )
    return jax.vmap(finish)(
        proposals.points_yx, proposals.objectness, proposals.classes, proposals.mask
    )


def _padded(image: jax.Array, model: ModelOptions) -> jax.Array:
    """Normalised, with zeros (the mean colour) to whole feature cells."""
    return layers.pad_to_multiple(
        resnet.normalize_imagenet(image), _MULTIPLE, centered=model.origin == "center"
    )


def _grid(padded: jax.Array, options: Options) -> tuple[int, int]:
    stride = 2**options.model.level
    return padded.shape[1] // stride, padded.shape[2] // stride


def _trainable(params: Params, *, options: ModelOptions) -> Any:
    """False for frozen norms of the encoder."""
    everything = jax.tree.map(lambda _: True, params)
    some = resnet.trainable_mask(params["encoder"], options.norm_kind, False)
    return {**everything, "encoder": some}
