"""Calibrated two-stage detector for sparsely annotated cells.

Li et al., A Robust Training Method for Pathological Cellular Detector via Spatial Loss
Calibration, 2021: a feature pyramid detector whose loss on unmatched boxes is weighted
by the Boxes Density Energy. Differs: torchvision's backbone (see `nn.resnet`), RoIAlign
by default; see also `losses.density`, `losses.calibration`. Layer-wise gradients
(section 5) are analysed by `study.gradients`. Rounds of pseudo labels, `rounds.rounds`,
are an extension.
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax import masking
from cellrec_jax.config import limits
from cellrec_jax.methods import encoder
from cellrec_jax.methods.calibrated_rcnn import decode as rcnn_decode
from cellrec_jax.methods.calibrated_rcnn import risk, sampled, second_look, stages
from cellrec_jax.methods.calibrated_rcnn.options import ModelOptions, Options
from cellrec_jax.nn import convert, resnet, two_stage
from cellrec_jax.ops import anchors, roi_align
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
        "cell=positive+negative",
    )
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
                encoder.load_pretrained, options.model.pretrained, "resnet"
            ),
            slots_per_class=True,
            candidates=bind(_candidates) if in_rounds else None,
        ),
        stages=(Stage("refine", "rounds", options.refine),) if in_rounds else (),
    )


def _network(options: Options, num_classes: int) -> two_stage.TwoStage:
    model = options.model
    return two_stage.TwoStage(
        num_classes=num_classes,
        backbone=model.backbone,
        norm=model.norm_kind,
        channels=model.channels,
        rpn_channels=model.rpn_channels,
        head_channels=model.head_channels,
        num_anchors=len(model.anchor_ratios),
        min_level=model.min_level,
        merge=model.merge,
        freeze_stem=model.stem_is_frozen,
        dtype=options.compute.activations,
        remat=options.compute.remat,
    )


def _strides(model: ModelOptions) -> list[int]:
    return [2**level for level in range(model.min_level, 7)]


def _anchors(model: ModelOptions, image_hw: tuple[int, int]) -> np.ndarray:
    return anchors.pyramid_anchors(
        image_hw, _strides(model), model.anchor_sizes, model.anchor_ratios
    )


def _init(
    rng: jax.Array, image: jax.Array, *, options: Options, num_classes: int
) -> tuple[Params, ModelState]:
    """Initial parameters and batch statistics; no weight depends on the image size."""
    model = options.model
    pooled = jnp.zeros((1, 1, model.roi_size, model.roi_size, model.channels))
    network = _network(options, num_classes)
    params, state = encoder.initialise(network, rng, image, pooled, method="both")
    state |= second_look.begin(options.loss) | risk.begin(options.loss)
    return params, state


def _pool(
    levels: list[jax.Array], rois_yxyx: jax.Array, model: ModelOptions
) -> jax.Array:
    """Pools [B, R, 4] boxes from levels [B, h, w, C] (strides 4 to 32 only)."""
    levels, strides = levels[:-1], _strides(model)[:-1]

    def one_image(features: list[jax.Array], rois: jax.Array) -> jax.Array:
        level = roi_align.roi_levels(rois, model.min_level, 5)
        return roi_align.roi_align(
            features,
            rois,
            strides,
            level - model.min_level,
            size=model.roi_size,
            samples=model.roi_samples,
            pool=model.roi_pool,
            form=model.roi_form,
        )

    return jax.vmap(one_image)(levels, rois_yxyx)


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
    anchors_yxyx = _anchors(model, image_hw)
    network = _network(options, num_classes)
    statistics = _statistics(model_state)
    variables = {"params": params, **statistics}
    first_keys, second_keys = _example_keys(rng, batch.example_index)
    valid = batch.valid & batch.image_mask[:, None, None]
    truth = stages.Truth(batch.boxes_yxyx, batch.labels, batch.points_mask, valid)
    if options.refine.rounds:
        truth = stages.with_background(truth)

    image = resnet.normalize_imagenet(batch.image)
    outputs, new_state = network.apply(variables, image, True, mutable=list(statistics))
    levels, logits, deltas = outputs
    mined = None
    if loss.mining != "none":
        mined, other_levels = _look_again(
            (params, model_state),
            averaged,
            batch,
            truth,
            (logits, deltas),
            progress,
            options,
            num_classes,
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
    proposed, mask = _proposals(logits, deltas, anchors_yxyx, image_hw, model, True)
    rois = jax.vmap(
        functools.partial(stages.sample_rois, num_classes=num_classes, model=model)
    )(second_keys, proposed, mask, truth)
    pooled = _pool(levels, rois.boxes_yxyx, model)
    refined: Any = network.apply(variables, pooled, method="second")
    second = jax.vmap(second_stage)(*refined, rois, truth, second_keys)
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
    if mined is None:
        return total, (after, metrics)
    metrics |= mined.metrics
    if other_levels:  # of pseudo_positive alone

        def classes(levels: list[jax.Array], boxes_yxyx: jax.Array) -> jax.Array:
            pooled = _pool(levels, boxes_yxyx, model)
            refined: Any = network.apply(variables, pooled, method="second")
            return refined[0]

        apart = second_look.difference(
            classes, levels, other_levels, mined, image_hw[1]
        )
        metrics["loss/consistency"] = (apart, one)
        total += loss.mining_consistency * apart
    return total, ({**after, **mined.state}, metrics)


def _look_again(
    weights: tuple[Params, ModelState],
    averaged: tuple[Params, ModelState] | None,
    batch: Batch,
    truth: stages.Truth,
    outputs: tuple[jax.Array, jax.Array],
    progress: Progress,
    options: Options,
    num_classes: int,
) -> tuple[second_look.Mined, list[jax.Array]]:
    """What is mined, and the flipped images' levels where consistency asks for them."""
    loss = options.loss
    sure = second_look.is_sure(progress, loss)
    levels: list[jax.Array] = []
    if loss.mining == "pseudo_positive":
        image_hw = batch.image.shape[1], batch.image.shape[2]
        anchors_yxyx = _anchors(options.model, image_hw)
        propose = functools.partial(
            _proposals,
            anchors_yxyx=anchors_yxyx,
            image_hw=image_hw,
            model=options.model,
            train=True,
            form=stages.objects,
        )
        look = functools.partial(_look, options=options, num_classes=num_classes)
        found, levels = second_look.proposals(
            look, propose, weights, batch, outputs, sure
        )
    else:
        limits.require(
            loss.mining != "teacher" or averaged is not None,
            "loss.mining=teacher asks averaged weights: set --config.optim.ema=0.99",
        )
        brief = dataclasses.replace(
            options, model=second_look.briefly(options.model, loss.mining_boxes)
        )
        predict = functools.partial(_predict, options=brief, num_classes=num_classes)
        teacher = averaged if loss.mining == "teacher" else weights
        found = second_look.detections(predict, teacher, batch, num_classes, sure)
    mined = second_look.mine(found, truth, batch.image_mask, weights[1], sure, loss)
    return mined, levels if loss.mining_consistency else []


def _look(
    params: Params,
    model_state: ModelState,
    batch: Batch,
    *,
    options: Options,
    num_classes: int,
) -> tuple[list[jax.Array], jax.Array, jax.Array]:
    """Levels, logits and deltas of the first stage that is not trained now."""
    network = _network(options, num_classes)
    variables = {"params": params, **_statistics(model_state)}
    image = resnet.normalize_imagenet(batch.image)
    outputs: Any = network.apply(variables, image, False)
    return outputs


def _statistics(model_state: ModelState) -> ModelState:
    """What of the state is the network's, not of mining or of a risk."""
    own = (second_look.STATE, risk.STATE)
    return {name: part for name, part in model_state.items() if name not in own}


def _example_keys(
    rng: jax.Array, example_index: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Keys of the two stages' samples, one an example wherever it is computed."""
    fold = jax.vmap(jax.random.fold_in, (None, 0))
    again = jax.vmap(jax.random.fold_in, (0, None))
    keys = fold(rng, example_index)
    return again(keys, 0), again(keys, 1)


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


def _proposals(
    logits: jax.Array,
    deltas: jax.Array,
    anchors_yxyx: np.ndarray,
    image_hw: tuple[int, int],
    model: ModelOptions,
    train: bool,
    form: Callable[..., Any] = stages.proposals,
) -> Any:
    """Those of each image of a batch, in the form of a function of `stages`."""
    pre_nms = model.pre_nms_train if train else model.pre_nms_test
    sizes = anchors.level_sizes(image_hw, _strides(model), len(model.anchor_ratios))
    one_image = functools.partial(
        form,
        anchors_yxyx=anchors_yxyx,
        image_hw=image_hw,
        pre_nms=model.pre_nms_level or pre_nms,
        level_sizes=sizes if model.pre_nms_level else (),
        post_nms=model.post_nms_train if train else model.post_nms_test,
        iou_threshold=model.proposal_nms_iou,
    )
    return jax.vmap(one_image)(logits, deltas)


def _predict(
    params: Params,
    model_state: ModelState,
    batch: Batch,
    decode: Decode,
    *,
    options: Options,
    num_classes: int,
) -> Detections:
    """Detections of whole images: K * max_detections slots, sorted by score."""
    model = options.model
    image_hw = batch.image.shape[1], batch.image.shape[2]
    network = _network(options, num_classes)
    variables = {"params": params, **_statistics(model_state)}
    look = functools.partial(_look, options=options, num_classes=num_classes)
    levels, logits, deltas = look(params, model_state, batch)
    anchors_yxyx = _anchors(model, image_hw)
    proposed, mask = _proposals(logits, deltas, anchors_yxyx, image_hw, model, False)
    pooled = _pool(levels, proposed, model)
    refined: Any = network.apply(variables, pooled, method="second")
    finish = functools.partial(
        rcnn_decode.detect, decode=decode, image_hw=image_hw, model=model
    )
    mask = mask & batch.image_mask[:, None]
    return jax.vmap(finish)(proposed, mask, *refined)


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
    found = _predict(
        params, model_state, batch, decode, options=options, num_classes=num_classes
    )
    assert found.boxes_yxyx is not None  # `_predict` returns them
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
    network = _network(options, num_classes)
    variables = {"params": params, **_statistics(model_state)}
    valid = batch.valid & batch.image_mask[:, None, None]
    truth = stages.Truth(batch.boxes_yxyx, batch.labels, batch.points_mask, valid)
    image = resnet.normalize_imagenet(batch.image)
    outputs: Any = network.apply(variables, image, False)
    levels, logits, deltas = outputs
    anchors_yxyx = _anchors(model, image_hw)
    proposed, mask = _proposals(logits, deltas, anchors_yxyx, image_hw, model, True)
    _, keys = _example_keys(rng, batch.example_index)
    rois = jax.vmap(
        functools.partial(stages.sample_rois, num_classes=num_classes, model=model)
    )(keys, proposed, mask, truth)
    pooled = _pool(levels, rois.boxes_yxyx, model)
    refined: Any = network.apply(variables, pooled, method="second")
    look: Any = jax.vmap(sampled.of_image)
    return look(*refined, rois)


def _trainable(params: Params, *, options: ModelOptions) -> Any:
    """False for frozen norms and, if asked, for everything before layer1."""
    everything = jax.tree.map(lambda _: True, params)
    backbone = resnet.trainable_mask(
        params["resnet"], options.norm_kind, options.stem_is_frozen
    )
    return {**everything, "resnet": backbone}
