"""A second look at a batch's images, and what of it joins their annotations."""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cellrec_jax import masking
from cellrec_jax.config import limits
from cellrec_jax.methods.calibrated_rcnn import forward, mining, stages
from cellrec_jax.methods.calibrated_rcnn.mining_options import MiningOptions
from cellrec_jax.methods.calibrated_rcnn.options import ModelOptions, Options
from cellrec_jax.types import Batch, Decode, Detections, Metrics, Progress

Params = Any
ModelState = Any


class Mined(NamedTuple):
    """A batch's annotations, extended, and what there is to tell."""

    truth: stages.Truth
    found: mining.Found
    """[B, M] all that was looked at."""
    taken: jax.Array
    """bool [B, M] what was taken of it."""
    state: ModelState
    """The running counts, by `forward.MINING`."""
    metrics: Metrics
    levels: list[jax.Array]
    """Of the flipped images, where the other view is compared; else none."""


def begin(loss: MiningOptions) -> ModelState:
    """State before the first step; empty without mining."""
    if loss.mining == "none":
        return {}
    return {forward.MINING: {"counts": jnp.zeros((4, mining.BINS))}}


def flipped(batch: Batch) -> Batch:
    """The batch with its images mirrored left to right, and nothing else."""
    return batch._replace(image=batch.image[:, :, ::-1])


def is_sure(progress: Progress, loss: MiningOptions) -> jax.Array:
    """Whether burn-in is over, bool []."""
    return progress.step >= loss.mining_burn_in * progress.total


def after(sure: jax.Array, look: Callable[[], Any]) -> Any:
    """What `look` finds once it is `sure`, else zeros: burn-in costs nothing."""
    shapes = jax.eval_shape(look)
    nothing = functools.partial(
        jax.tree.map, lambda x: jnp.zeros(x.shape, x.dtype), shapes
    )
    return jax.lax.stop_gradient(jax.lax.cond(sure, look, nothing))


def briefly(model: ModelOptions, number: int) -> ModelOptions:
    """The same with no more boxes than in training, or than are looked at."""
    return dataclasses.replace(
        model,
        pre_nms_test=min(model.pre_nms_test, model.pre_nms_train),
        post_nms_test=min(model.post_nms_test, model.post_nms_train),
        max_detections=min(model.max_detections, number),
    )


def detections(
    predict: Callable[..., Detections],
    weights: Any,
    batch: Batch,
    num_classes: int,
    sure: jax.Array,
) -> mining.Found:
    """All detections [B, ...] on the flipped images, in the frame of the batch.

    By `weights`, parameters and model state, which get no gradient.
    """

    def look() -> mining.Found:
        keep_all = Decode(jnp.zeros(num_classes), jnp.zeros(()))
        seen = predict(*jax.lax.stop_gradient(weights), flipped(batch), keep_all)
        boxes_yxyx = mining.flip(jnp.asarray(seen.boxes_yxyx), batch.image.shape[2])
        return mining.Found(boxes_yxyx, seen.labels, seen.scores, seen.mask)

    found: mining.Found = after(sure, look)
    return found


def proposals(
    look: Callable[..., Any],
    propose: Callable[..., mining.Found],
    weights: Any,
    batch: Batch,
    outputs: tuple[jax.Array, jax.Array],
    sure: jax.Array,
) -> tuple[mining.Found, list[jax.Array]]:
    """Proposals [B, ...] of a batch, scored by both views, and the flipped levels.

    `look` gives levels, logits and deltas by weights and batch, `propose` boxes by
    logits and deltas, of which `outputs` are the batch's own. No gradient.
    """

    def other() -> tuple[mining.Found, list[jax.Array]]:
        levels, *theirs = look(*jax.lax.stop_gradient(weights), flipped(batch))
        found = propose(*theirs)
        boxes_yxyx = mining.flip(found.boxes_yxyx, batch.image.shape[2])
        return found._replace(boxes_yxyx=boxes_yxyx), levels

    theirs, levels = after(sure, other)
    return jax.vmap(mining.agreed)(propose(*outputs), theirs), levels


def mine(
    found: mining.Found,
    truth: stages.Truth,
    image_mask: jax.Array,
    model_state: ModelState,
    sure: jax.Array,
    loss: MiningOptions,
) -> Mined:
    """Extends annotations of a batch by boxes `found` in it, [B, any number].

    The threshold is that of the counts of the steps before this one, so that it waits
    for no other device.
    """
    found = jax.vmap(functools.partial(mining.best, number=loss.mining_boxes))(found)
    found = found._replace(mask=found.mask & image_mask[:, None])
    before = model_state[forward.MINING]["counts"]
    least = mining.threshold(before, loss.mining_rule, loss.mining_at)
    count = functools.partial(mining.counts, classed=loss.mining != "pseudo_positive")
    seen = jax.vmap(count)(found, truth) * image_mask[:, None, None]
    # A mean over the slots of a batch: the same on any devices and in any parts.
    counted = mining.remember(before, jnp.mean(seen, axis=0), sure)
    in_valid = jax.vmap(stages.is_valid)(found.boxes_yxyx, truth.valid)
    per_image = jax.vmap(mining.mine, in_axes=(0, 0, None, None, 0))
    chosen = per_image(found, truth, least, sure, in_valid)
    extended = jax.vmap(functools.partial(mining.extended, loss=loss))
    at_cells = jax.vmap(mining.scores_at)(found, truth)
    cells = truth.mask & image_mask[:, None] & sure
    asked = sure.astype(jnp.float32)
    images = jnp.sum(image_mask) * asked
    metrics = {
        "mining": (asked, jnp.ones(())),
        "pseudo_boxes": (jnp.sum(chosen.taken) * 1.0, images),
        "pseudo_score": masking.masked_sum_count(found.scores, chosen.taken),
        "pseudo_threshold": (least * asked, asked),
        "pseudo_recall": masking.masked_sum_count(at_cells >= least, cells),
    }
    return Mined(
        extended(truth, found, chosen),
        found,
        chosen.taken,
        {forward.MINING: {"counts": counted}},
        metrics,
        [],
    )


def difference(
    refine: Callable[..., Any],
    levels: list[jax.Array],
    mined: Mined,
    width: int,
) -> jax.Array:
    """Mean square difference of both views' class probabilities at what was taken.

    f32 []; `refine` gives logits [B, M, K + 1] and deltas by levels and boxes
    [B, M, 4]. No gradient to the view that is flipped, of images `width` px wide.
    """
    here, _ = refine(levels, mined.found.boxes_yxyx)
    there, _ = refine(mined.levels, mining.flip(mined.found.boxes_yxyx, width))
    apart = jax.nn.softmax(here) - jax.nn.softmax(jax.lax.stop_gradient(there))
    return masking.masked_mean(jnp.mean(apart**2, axis=-1), mined.taken)


def look_again(
    weights: tuple[Params, ModelState],
    averaged: tuple[Params, ModelState] | None,
    batch: Batch,
    truth: stages.Truth,
    outputs: tuple[jax.Array, jax.Array],
    progress: Progress,
    *,
    options: Options,
    num_classes: int,
) -> Mined:
    """What is mined; `outputs` are the logits and deltas of the batch's own view."""
    loss = options.loss
    sure = is_sure(progress, loss)
    levels: list[jax.Array] = []
    if loss.mining == "pseudo_positive":
        image_hw = batch.image.shape[1], batch.image.shape[2]
        anchors_yxyx = forward.anchors_of(options.model, image_hw)
        propose = functools.partial(
            forward.proposals,
            anchors_yxyx=anchors_yxyx,
            image_hw=image_hw,
            model=options.model,
            train=True,
            form=stages.objects,
        )
        look: Any = functools.partial(
            forward.look, options=options, num_classes=num_classes
        )
        found, levels = proposals(look, propose, weights, batch, outputs, sure)
    else:
        limits.require(
            loss.mining != "teacher" or averaged is not None,
            "loss.mining=teacher asks averaged weights: set --config.optim.ema=0.99",
        )
        brief = dataclasses.replace(
            options, model=briefly(options.model, loss.mining_boxes)
        )
        predict = functools.partial(
            forward.predict, options=brief, num_classes=num_classes
        )
        teacher = averaged if loss.mining == "teacher" else weights
        found = detections(predict, teacher, batch, num_classes, sure)
    mined = mine(found, truth, batch.image_mask, weights[1], sure, loss)
    return mined._replace(levels=levels if loss.mining_consistency else [])
