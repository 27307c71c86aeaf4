"""The two stages over a batch of images, as training and prediction use them."""

from collections.abc import Callable
import functools
from typing import Any

import jax
import numpy as np

from cellrec_jax.methods.calibrated_rcnn import decode as rcnn_decode
from cellrec_jax.methods.calibrated_rcnn import stages
from cellrec_jax.methods.calibrated_rcnn.options import ModelOptions, Options
from cellrec_jax.nn import resnet, two_stage
from cellrec_jax.ops import anchors, roi_align
from cellrec_jax.types import Batch, Decode, Detections

Params = Any
ModelState = Any
MINING, PRIOR = "mining", "prior"
"""Names in the model's state of what is not the network's."""


def network(options: Options, num_classes: int) -> two_stage.TwoStage:
    """The network of options."""
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


def strides(model: ModelOptions) -> list[int]:
    """px, of the pyramid's levels."""
    return [2**level for level in range(model.min_level, 7)]


def anchors_of(model: ModelOptions, image_hw: tuple[int, int]) -> np.ndarray:
    """Anchors f32 [A, 4] px of all levels of an image."""
    return anchors.pyramid_anchors(
        image_hw, strides(model), model.anchor_sizes, model.anchor_ratios
    )


def statistics(model_state: ModelState) -> ModelState:
    """What of the state is the network's, not of mining or of a risk."""
    own = (MINING, PRIOR)
    return {name: part for name, part in model_state.items() if name not in own}


def look(
    params: Params,
    model_state: ModelState,
    batch: Batch,
    *,
    options: Options,
    num_classes: int,
) -> tuple[list[jax.Array], jax.Array, jax.Array]:
    """Levels, logits and deltas of the first stage that is not trained now."""
    variables = {"params": params, **statistics(model_state)}
    image = resnet.normalize_imagenet(batch.image)
    outputs: Any = network(options, num_classes).apply(variables, image, False)
    return outputs


def proposals(
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
    sizes = anchors.level_sizes(image_hw, strides(model), len(model.anchor_ratios))
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


def pool(
    levels: list[jax.Array], rois_yxyx: jax.Array, model: ModelOptions
) -> jax.Array:
    """Pools [B, R, 4] boxes from levels [B, h, w, C] (strides 4 to 32 only)."""
    levels, steps = levels[:-1], strides(model)[:-1]

    def one_image(features: list[jax.Array], rois: jax.Array) -> jax.Array:
        level = roi_align.roi_levels(rois, model.min_level, 5)
        return roi_align.roi_align(
            features,
            rois,
            steps,
            level - model.min_level,
            size=model.roi_size,
            samples=model.roi_samples,
            pool=model.roi_pool,
            form=model.roi_form,
        )

    return jax.vmap(one_image)(levels, rois_yxyx)


def again(
    params: Params,
    model_state: ModelState,
    levels: list[jax.Array],
    boxes_yxyx: jax.Array,
    *,
    options: Options,
    num_classes: int,
) -> tuple[jax.Array, jax.Array]:
    """Logits and deltas of the second stage, of boxes [B, R, 4]."""
    variables = {"params": params, **statistics(model_state)}
    pooled = pool(levels, boxes_yxyx, options.model)
    whole: Any = network(options, num_classes)
    refined: tuple[jax.Array, jax.Array] = whole.apply(
        variables, pooled, method="second"
    )
    return refined


def example_keys(
    rng: jax.Array, example_index: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Keys of the two stages' samples, one an example wherever it is computed."""
    fold = jax.vmap(jax.random.fold_in, (None, 0))
    of_stage = jax.vmap(jax.random.fold_in, (0, None))
    keys = fold(rng, example_index)
    return of_stage(keys, 0), of_stage(keys, 1)


def predict(
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
    whole: Any = {"options": options, "num_classes": num_classes}
    levels, logits, deltas = look(params, model_state, batch, **whole)
    anchors_yxyx = anchors_of(model, image_hw)
    proposed, mask = proposals(logits, deltas, anchors_yxyx, image_hw, model, False)
    refined = again(params, model_state, levels, proposed, **whole)
    finish = functools.partial(
        rcnn_decode.detect, decode=decode, image_hw=image_hw, model=model
    )
    mask = mask & batch.image_mask[:, None]
    return jax.vmap(finish)(proposed, mask, *refined)
