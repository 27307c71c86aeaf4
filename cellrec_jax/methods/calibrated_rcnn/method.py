"""Calibrated two-stage detector for sparsely annotated cells.

Li et al., A Robust Training Method for Pathological Cellular Detector via Spatial Loss
Calibration, 2021: a feature pyramid detector whose loss on unmatched boxes is weighted
by the Boxes Density Energy. Differs: torchvision's backbone (see `nn.resnet`), RoIAlign
by default; see also `losses.density`, `losses.calibration`. Controls of it and later
losses for the same boxes are in `losses.unmatched`, `risk` and `mining`, rounds of
pseudo labels in `rounds.rounds`: extensions. Gradients by layer (section 5): see
`study.gradients`.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from cellrec_jax import masking
from cellrec_jax.config import limits
from cellrec_jax.methods import encoder
from cellrec_jax.methods.calibrated_rcnn import (
    forward,
    risk,
    sampled,
    second_look,
    stages,
)
from cellrec_jax.methods.calibrated_rcnn.options import ModelOptions, Options
from cellrec_jax.nn import convert, resnet
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
    """Builds the method's functions; a `CheckpointError` for unreadable weights.

    A `ConfigError` for rounds of pseudo labels of more than one class.
    """
    in_rounds = options.refine.rounds > 0
    limits.require(
        num_classes == 1 or not in_rounds,
        f"refine.rounds={options.refine.rounds}: pseudo labels are of one class, not "
        f"{num_classes}: merge them with --config.data.classes, such as "
        "cell=positive+negative, or train without: --config.refine.rounds=0",
    )
    if options.model.pretrained:
        convert.check_file(options.model.pretrained)
    bind = functools.partial(
        functools.partial, options=options, num_classes=num_classes
    )
    return Method(
        init=bind(_init),
        loss_fn=bind(_loss_fn),
        predict=bind(forward.predict),
        traits=Traits(
            max_detections=options.model.max_detections,
            trainable=functools.partial(_trainable, options=options.model),
            load_pretrained=functools.partial(
                encoder.load_pretrained, options.model.pretrained, "resnet"
            ),
            slots_per_class=True,
            has_boxes=True,
            by_trust=not in_rounds,
            candidates=bind(_candidates) if in_rounds else None,
        ),
        stages=(Stage("refine", "rounds", options.refine),) if in_rounds else (),
    )


def _init(
    rng: jax.Array, image: jax.Array, *, options: Options, num_classes: int
) -> tuple[Params, ModelState]:
    """Initial parameters and batch statistics; no weight depends on the image size."""
    model = options.model
    pooled = jnp.zeros((1, 1, model.roi_size, model.roi_size, model.channels))
    network = forward.network(options, num_classes)
    params, state = encoder.initialise(network, rng, image, pooled, method="both")
    state |= second_look.begin(options.loss) | risk.begin(options.loss)
    return params, state


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
    """Sum of the four losses; `averaged` is the teacher, where there is one."""
    model, loss = options.model, options.loss
    image_hw = batch.image.shape[1], batch.image.shape[2]
    anchors_yxyx = forward.anchors_of(model, image_hw)
    whole: Any = {"options": options, "num_classes": num_classes}
    network = forward.network(options, num_classes)
    statistics = forward.statistics(model_state)
    variables = {"params": params, **statistics}
    first_keys, second_keys = forward.example_keys(rng, batch.example_index)
    truth = _truth(batch)
    if options.refine.rounds:
        truth = stages.with_background(truth)
    elif batch.trust is not None:
        truth = stages.with_trust(truth, batch.trust)

    image = resnet.normalize_imagenet(batch.image)
    outputs, new_state = network.apply(variables, image, True, mutable=list(statistics))
    levels, logits, deltas = outputs
    mined = None
    if loss.mining != "none":
        mined = second_look.look_again(
            (params, model_state),
            averaged,
            batch,
            truth,
            (logits, deltas),
            progress,
            **whole,
        )
        truth = mined.truth
    first_stage: Any = functools.partial(
        stages.first_stage,
        anchors_yxyx=anchors_yxyx,
        progress=progress,
        model=model,
        loss=loss,
    )
    second_stage: Any = functools.partial(
        stages.second_stage, progress=progress, loss=loss
    )
    first = jax.vmap(first_stage)(first_keys, logits, deltas, truth)
    proposed, mask = forward.proposals(
        logits, deltas, anchors_yxyx, image_hw, model, True
    )
    rois = jax.vmap(
        functools.partial(stages.sample_rois, num_classes=num_classes, model=model)
    )(second_keys, proposed, mask, truth)
    refine: Any = functools.partial(forward.again, params, model_state, **whole)
    second = jax.vmap(second_stage)(
        *refine(levels, rois.boxes_yxyx), rois, truth, second_keys
    )
    terms, priors, seen = risk.add(
        _terms(first, second),
        {"rpn": first, "roi": second},
        model_state,
        loss,
    )
    after = {**new_state, **priors}
    one = jnp.ones(())
    metrics: Metrics = {f"loss/{name}": (value, one) for name, value in terms.items()}
    metrics |= _diagnostics(first, second) | seen
    total = sum(terms.values(), jnp.zeros(()))
    if mined is not None:
        metrics |= mined.metrics
        after |= mined.state
        if mined.levels:  # of pseudo_positive alone
            apart = second_look.difference(refine, levels, mined, image_hw[1])
            metrics["loss/consistency"] = (apart, one)
            total += loss.mining_consistency * apart
    return total, (after, metrics)


def _truth(batch: Batch) -> stages.Truth:
    """A batch's annotations; fillers among its images count nowhere."""
    valid = batch.valid & batch.image_mask[:, None, None]
    return stages.Truth(batch.boxes_yxyx, batch.labels, batch.points_mask, valid)


def _terms(first: stages.StageLoss, second: stages.StageLoss) -> dict[str, jax.Array]:
    """The four reduced losses."""
    mean = masking.masked_mean
    return {
        "rpn_cls": mean(first.cls, first.mask),
        "rpn_box": mean(first.box, first.mask),
        "roi_cls": mean(second.cls, second.mask),
        "roi_box": mean(second.box, second.mask),
    }


def _diagnostics(first: stages.StageLoss, second: stages.StageLoss) -> Metrics:
    """Positives an image; of negatives their mean weight, and the share mirrored.

    A weight of 1 does nothing; a risk has none.
    """
    images = jnp.asarray(first.mask.shape[0], jnp.float32)
    metrics: Metrics = {
        "rpn_positives": (jnp.sum(first.positive & first.mask) * 1.0, images),
        "roi_positives": (jnp.sum(second.positive & second.mask) * 1.0, images),
    }
    for prefix, stage in (("rpn_", first), ("", second)):
        negative = stage.mask & ~stage.positive
        if stage.margin is None:
            weight = masking.masked_sum_count(stage.weight, negative)
            metrics[f"{prefix}negative_weight"] = weight
        if stage.background is not None:
            known = jnp.sum(stage.background) * 1.0
            metrics[f"{prefix}known_background"] = (known, images)
        if stage.mirrored is not None:
            mirrored = masking.masked_sum_count(stage.mirrored, negative)
            metrics[f"{prefix}mirrored"] = mirrored
    return metrics


def _candidates(
    params: Params,
    model_state: ModelState,
    batch: Batch,
    decode: Decode,
    *,
    options: Options,
    num_classes: int,
) -> Detections:
    """Detections of training images that may become labels: where labels count."""
    found = forward.predict(
        params, model_state, batch, decode, options=options, num_classes=num_classes
    )
    assert found.boxes_yxyx is not None  # `predict` returns them
    inside = jax.vmap(stages.is_valid)(found.boxes_yxyx, batch.valid)
    return found._replace(mask=found.mask & inside)


def sampled_boxes(
    params: Params,
    model_state: ModelState,
    batch: Batch,
    rng: jax.Array,
    *,
    options: Options,
    num_classes: int,
) -> sampled.Sampled:
    """What the second stage makes of the RoIs that training samples, each [B, S, ...].

    With `batch` and `rng` of the loss those of the loss; batch statistics as for
    prediction.
    """
    model = options.model
    image_hw = batch.image.shape[1], batch.image.shape[2]
    whole: Any = {"options": options, "num_classes": num_classes}
    truth = _truth(batch)
    levels, logits, deltas = forward.look(params, model_state, batch, **whole)
    anchors_yxyx = forward.anchors_of(model, image_hw)
    proposed, mask = forward.proposals(
        logits, deltas, anchors_yxyx, image_hw, model, True
    )
    _, keys = forward.example_keys(rng, batch.example_index)
    rois = jax.vmap(
        functools.partial(stages.sample_rois, num_classes=num_classes, model=model)
    )(keys, proposed, mask, truth)
    boxes_yxyx = rois.boxes_yxyx
    refined = forward.again(params, model_state, levels, boxes_yxyx, **whole)
    look: Any = jax.vmap(sampled.of_image)
    return look(*refined, rois)


def _trainable(params: Params, *, options: ModelOptions) -> Any:
    """False for frozen norms and, if asked, for everything before layer1."""
    everything = jax.tree.map(lambda _: True, params)
    backbone = resnet.trainable_mask(
        params["resnet"], options.norm_kind, options.stem_is_frozen
    )
    return {**everything, "resnet": backbone}
