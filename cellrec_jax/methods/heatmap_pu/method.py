"""Cell detection by a position heat map, for sparse labels and rounds of pseudo labels.

Fujii et al., Cell Detection from Imperfect Annotation by Pseudo Label Selection Using
P-classification, MICCAI 2021: a U-Net, Gaussians, a loss near labels alone (it finds
nearly all cells and much else), then `rounds.rounds`. One class; class 1 is known
background. Comparisons are options: `loss.form=plain` (Nishimura et al.),
`model.classifier` (Yang et al.), others of our own.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from cellrec_jax import masking
from cellrec_jax.config import limits
from cellrec_jax.losses import sparse_heatmap
from cellrec_jax.methods import encoder, frozen, heatmap_forms, patch_reader
from cellrec_jax.methods.heatmap_pu.options import ModelOptions, Options
from cellrec_jax.methods.patch_reader import normalize
from cellrec_jax.methods.refine_options import RefineOptions
from cellrec_jax.nn import patch_net, unet
from cellrec_jax.ops import peaks
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

_START_PRIOR = 0.1
_RELATIVE = (
    "warning: images are cut into tiles, and model.peak_rule=relative takes each "
    "tile's own range of heights, so that cells are found in empty tiles too; train "
    "with --config.model.peak_rule=absolute"
)


def make(options: Options, *, num_classes: int) -> Method:
    """Builds the method's functions; a `ConfigError` for more than one class.

    Parameters are {"detector": ...} and maybe "classifier", without gradient here.
    """
    limits.require(
        num_classes == 1,
        f"method=heatmap_pu finds cells of one class, not {num_classes} (generated "
        "nuclei, where there is no --config.data.root, have 2): merge them with "
        "--config.data.classes, such as cell=positive+negative",
    )
    bind = functools.partial(functools.partial, options=options)
    return Method(
        init=bind(_init),
        loss_fn=bind(_loss_fn),
        predict=bind(_predict),
        traits=Traits(
            max_detections=options.model.max_detections,
            trainable=frozen.all_but("classifier"),  # the loop has no part in it
            stride=unet.MULTIPLE,
            candidates=bind(_candidates),
            by_highest=True,
            tile_warning=_RELATIVE if options.model.peak_rule == "relative" else "",
        ),
        stages=(Stage("refine", "rounds", options.judging),) if options.judges else (),
    )


def _network(options: Options) -> unet.UNet:
    model = options.model
    return unet.UNet(
        num_outputs=1,
        width=model.width,
        norm=model.norm,
        resize=model.resize,
        dtype=options.compute.activations,
        remat=options.compute.remat,
    )


def _init(
    rng: jax.Array, image: jax.Array, *, options: Options
) -> tuple[Params, ModelState]:
    """Initial parameters and batch statistics; no weight depends on the image size."""
    del image  # always one channel, see `normalize`
    model = options.model
    draw = functools.partial(encoder.initialise, train=False)
    blank = jnp.zeros((1, unet.MULTIPLE, unet.MULTIPLE, 1))
    detector, model_state = draw(_network(options), rng, blank)
    params = {"detector": detector}
    if model.classifier:
        net = patch_net.PatchNet(model.classifier)
        side = model.patch_px // options.refine.patch_step
        blank = jnp.zeros((1, side, side, 1))
        params["classifier"], _ = draw(net, rng, blank)
    if options.loss.form == "pu":
        model_state = {**model_state, "prior": {"value": jnp.float32(_START_PRIOR)}}
    return params, model_state


def _apply(
    detector: Params,
    model_state: ModelState,
    batch: Batch,
    options: Options,
    *,
    train: bool,
) -> tuple[jax.Array, ModelState]:
    """Returns outputs [B, H, W] before the activation, and new batch statistics."""
    stats = {name: part for name, part in model_state.items() if name != "prior"}
    outputs, updated = _network(options).apply(
        {"params": detector, **stats},
        normalize(batch.image, batch.highest),
        train,
        mutable=list(stats) if train else [],
    )
    return outputs[..., 0], {**model_state, **updated}


def _activate(outputs: jax.Array, model: ModelOptions) -> jax.Array:
    return jax.nn.sigmoid(outputs) if model.activation == "sigmoid" else outputs


def _loss_fn(
    params: Params,
    model_state: ModelState,
    batch: Batch,
    rng: jax.Array,
    progress: Progress,
    *,
    options: Options,
    averaged: tuple[Params, ModelState] | None = None,
) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
    """Mean cost of the batch's pixels that count, by their weights."""
    del rng
    model, loss = options.model, options.loss
    outputs, new_state = _apply(
        params["detector"], model_state, batch, options, train=True
    )
    valid = batch.valid & batch.image_mask[:, None, None]
    painted = jax.vmap(functools.partial(heatmap_forms.paint, loss=loss))(batch)
    if loss.form == "pu":
        return heatmap_forms.pixel_risk(outputs, painted, valid, new_state, loss)
    heights = _activate(outputs, model)
    if loss.form == "mean_teacher":
        limits.require(
            averaged is not None,
            "loss.form=mean_teacher asks averaged weights: set --config.optim.ema=0.99",
        )
        assert averaged is not None  # for mypy
        teacher = _heights(averaged[0]["detector"], averaged[1], batch, options)
        sure = progress.step >= loss.burn_in * progress.total
        taught = functools.partial(
            heatmap_forms.taught, sure=sure, loss=loss, window_px=model.window_px
        )
        pixels = jax.vmap(taught)(heights, teacher, painted, valid)
    else:
        form = heatmap_forms.form(loss, model.window_px)
        pixels = jax.vmap(form)(heights, painted, valid)
    total = masking.masked_mean(pixels.costs, pixels.weights)
    one = jnp.ones(())
    metrics: Metrics = {
        "loss/map": (total, one),
        "counted": masking.masked_sum_count(pixels.weights, valid),
        "negative_weight": masking.masked_sum_count(
            pixels.weights, valid & ~painted.known
        ),
        "highest": masking.masked_sum_count(
            jnp.max(heights, axis=(1, 2)), batch.image_mask
        ),
    }
    if loss.range_weight:
        beyond = sparse_heatmap.outside_range(heights, valid)
        mean = masking.masked_mean(beyond, valid)
        metrics["loss/range"] = (mean, one)
        total += loss.range_weight * mean
    return total, (new_state, metrics)


def _predict(
    params: Params,
    model_state: ModelState,
    batch: Batch,
    decode: Decode,
    *,
    options: Options,
) -> Detections:
    """Detections of whole images: max_detections slots, highest peak first."""
    model = options.model
    heights = _heights(params["detector"], model_state, batch, options)
    if model.cut_negative == "always":
        heights = jax.nn.relu(heights)
    found = _detect_all(heights, batch, decode, model)
    if model.classifier:
        keep = functools.partial(
            _classify, params["classifier"], judging=options.judging
        )
        grey = normalize(batch.image, batch.highest)
        kept = jax.vmap(keep)(grey, batch.valid, found.points_yx)
        found = found._replace(mask=found.mask & kept)
    return found


def _candidates(
    params: Params,
    model_state: ModelState,
    batch: Batch,
    decode: Decode,
    *,
    options: Options,
) -> Detections:
    """All peaks of training images; Fujii et al.'s code cuts below 0 here alone."""
    model = options.model
    heights = _heights(params["detector"], model_state, batch, options)
    if model.cut_negative != "never":
        heights = jax.nn.relu(heights)
    return _detect_all(heights, batch, decode, model)


def _heights(
    detector: Params, model_state: ModelState, batch: Batch, options: Options
) -> jax.Array:
    """Maps [B, H, W] of a network that is not trained now."""
    outputs, _ = _apply(detector, model_state, batch, options, train=False)
    return _activate(outputs, options.model)


def _detect_all(
    heights: jax.Array, batch: Batch, decode: Decode, model: ModelOptions
) -> Detections:
    detect = functools.partial(_detect, decode=decode, model=model)
    found = jax.vmap(detect)(heights, batch.valid)
    return found._replace(mask=found.mask & batch.image_mask[:, None])


def _detect(
    heights: jax.Array, valid: jax.Array, *, decode: Decode, model: ModelOptions
) -> Detections:
    """Peaks of one image's map [H, W] where it is valid, scored by the peak rule."""
    if model.peak_rule == "relative":
        heights = peaks.rescale(heights, valid)
    found = peaks.find_peaks(
        heights,
        max_peaks=model.max_detections,
        window_px=model.window_px,
        min_distance=decode.min_distance,
        threshold_abs=0.0,
        valid=valid,
    )
    scores = jnp.clip(found.scores, 0.0, 1.0)
    return Detections(
        found.points_yx,
        scores,
        jnp.zeros(scores.shape, jnp.int32),
        scores[:, None],
        found.mask & (scores >= decode.thresholds[0]),
    )


def _classify(
    classifier: Params,
    grey: jax.Array,
    valid: jax.Array,
    points_yx: jax.Array,
    judging: RefineOptions,
) -> jax.Array:
    """Whether the classifier takes each point's patch for a cell; bool [M]."""
    patches = patch_reader.read(grey, valid, points_yx, judging)
    scores, _ = patch_reader.judge(classifier, patches, judging)
    return scores > 0
