"""Cell recognition with a dynamic and a prior decoder beside the main one.

Zhang et al., Weakly Supervised Learning for Cell Recognition in Immunohistochemical
Cytoplasm Staining Images, ISBI 2022. One encoder. The main decoder learns circles at
the points, one map a class; the dynamic one random polygons, new in each step, and both
are drawn to each other; the prior one the map of a network that learnt circles for a
short while (`prior`): roughly the tumour. Detection uses the encoder and the main
decoder alone; cells are peaks of its maps.

Differs from the paper: Eq. 1, 2 and 6, which do not work as printed
(`losses.multitask`); group norm by default, no pretrained encoder, no dropout.
"""

import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from cellrec_jax import masking
from cellrec_jax.methods import encoder, frozen
from cellrec_jax.methods.multitask import costs, targets
from cellrec_jax.methods.multitask import decode as decode_lib
from cellrec_jax.methods.multitask.options import Options
from cellrec_jax.nn import maps, resnet
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

Params = Any
ModelState = Any

_PREDICTS = ("encoder", "main")
_STRIDE = 16  # the largest of all networks
_START = -4.0  # added to logits, see `density_map`


def make(options: Options, *, num_classes: int) -> Method:
    """Builds the method's functions.

    Parameters and state are {"encoder": ..., "main": ...} and the other decoders'.
    """
    bind = functools.partial(
        functools.partial, options=options, num_classes=num_classes
    )
    has_prior = "prior" in options.decoders
    return Method(
        init=bind(_init),
        loss_fn=bind(_loss_fn),
        predict=bind(_predict),
        traits=Traits(
            trainable=frozen.all_but(FIRST) if has_prior else None,
            predicts=_PREDICTS,
            max_detections=options.model.max_detections,
            stride=max(_STRIDE, options.model.output_stride),
            circles=(("loss.radius_px", options.loss.radius_px),),
        ),
        stages=(Stage("prior", "prior", options.prior),) if has_prior else (),
    )


def _modules(
    options: Options, num_classes: int, names: tuple[str, ...]
) -> dict[str, nn.Module]:
    """The encoder and decoders by name; all decoders have the same layers."""
    model = options.model
    halves = maps.halves(
        model.network,
        width=model.width,
        backbone=model.backbone,
        output_stride=model.output_stride,
        norm=model.norm,
        dtype=options.compute.activations,
        remat=options.compute.remat,
    )
    number = {"main": num_classes, "dynamic": num_classes, "prior": 1}
    return {"encoder": halves.encoder} | {
        name: halves.decoder(number[name]) for name in names
    }


def _init(
    rng: jax.Array, image: jax.Array, *, options: Options, num_classes: int
) -> tuple[Params, ModelState]:
    """Initial parameters and batch statistics; no weight depends on the image size."""
    params, state = _fresh(rng, image, options, num_classes)
    if "prior" in options.decoders:
        first = jax.random.fold_in(rng, 1)
        params[FIRST] = dict(
            zip(
                ("params", "state"),
                _fresh(first, image, options.circles_alone, num_classes),
                strict=True,
            )
        )
    return params, state


def _fresh(
    rng: jax.Array, image: jax.Array, options: Options, num_classes: int
) -> tuple[Params, ModelState]:
    modules = _modules(options, num_classes, options.decoders)
    blank = jnp.zeros((1, 32, 32, image.shape[-1]))
    rngs = dict(zip(modules, jax.random.split(rng, len(modules)), strict=True))
    draw = functools.partial(encoder.initialise, train=False)
    drawn = {"encoder": draw(modules["encoder"], rngs["encoder"], blank)}
    variables = _variables(*drawn["encoder"])
    run = functools.partial(modules["encoder"].apply, variables, train=False)
    features = jax.tree.map(lambda x: jnp.zeros(x.shape), jax.eval_shape(run, blank))
    for name in options.decoders:
        drawn[name] = draw(modules[name], rngs[name], features, size_hw=(32, 32))
    params = {name: pair[0] for name, pair in drawn.items()}
    return params, {name: pair[1] for name, pair in drawn.items() if pair[1]}


def _variables(params: Params, collections: ModelState) -> Any:
    return {"params": params, **collections}


def _logits(
    params: Params,
    state: ModelState,
    image: jax.Array,
    names: tuple[str, ...],
    *,
    train: bool,
    options: Options,
    num_classes: int,
) -> tuple[dict[str, jax.Array], ModelState]:
    """Logits [B, H, W, maps] of some decoders, and new batch statistics."""
    updated = {}

    def run(name: str, module: nn.Module, *inputs: Any) -> Any:
        own = state.get(name, {})
        out, new = module.apply(
            _variables(params[name], own), *inputs, train, mutable=list(own)
        )
        updated.update({name: dict(new) if train else own} if own else {})
        return out

    modules = _modules(options, num_classes, names)
    size_hw = (image.shape[1], image.shape[2])
    features = run("encoder", modules["encoder"], resnet.normalize_imagenet(image))
    logits = {
        name: _START + run(name, modules[name], features, size_hw) for name in names
    }
    return logits, updated


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
    """Eq. 7, a mean over images: the decoders' losses, weighted."""
    del progress, averaged
    loss, decoders = options.loss, options.decoders
    logits, new_state = _logits(
        params,
        model_state,
        batch.image,
        decoders,
        train=True,
        options=options,
        num_classes=num_classes,
    )
    probs = {name: jax.nn.sigmoid(values) for name, values in logits.items()}
    circles = targets.paint(batch, num_classes, loss)
    parts = {"map": costs.of_main(logits["main"], circles, batch.valid, loss)}
    facts = {"highest": jnp.max(probs["main"], axis=(1, 2, 3))}
    metrics: Metrics = {}
    if "dynamic" in decoders:
        polygons = targets.paint_polygons(batch, rng, num_classes, loss)
        parts |= costs.of_dynamic(probs, polygons, batch.valid, loss)
        changed = costs.errors("absolute")
        facts["polygons_differ"] = changed(polygons, circles, batch.valid)
    if "prior" in decoders:
        target = prior_map(params[FIRST], batch.image, options, num_classes)
        parts["prior"] = costs.of_prior(probs["prior"], target, batch.valid, loss)
        metrics = costs.prior_metrics(target, circles, batch, loss)
    means = {
        name: masking.masked_mean(values, batch.image_mask)
        for name, values in parts.items()
    }
    weights = {"map": 1.0, "dynamic": loss.dynamic_weight, "prior": loss.prior_weight}
    weights["consistency"] = loss.consistency_weight
    total = sum(weights[name] * mean for name, mean in means.items())
    metrics |= {f"loss/{name}": (mean, jnp.ones(())) for name, mean in means.items()}
    for name, values in facts.items():
        metrics[name] = masking.masked_sum_count(values, batch.image_mask)
    return jnp.asarray(total), (new_state, metrics)


def decoder_maps(
    params: Params,
    model_state: ModelState,
    image: jax.Array,
    names: tuple[str, ...],
    *,
    options: Options,
    num_classes: int,
) -> dict[str, jax.Array]:
    """Maps of some decoders, outside of training: f32 [B, H, W, maps] in [0, 1]."""
    run = functools.partial(_logits, options=options, num_classes=num_classes)
    logits, _ = run(params, model_state, image, names, train=False)
    return {name: jax.nn.sigmoid(values) for name, values in logits.items()}


def prior_map(
    first: Any, image: jax.Array, options: Options, num_classes: int
) -> jax.Array:
    """The prior decoder's target, f32 [B, H, W, 1], without gradient.

    From the variables of the network that was trained first.
    """
    maps = decoder_maps(
        first["params"],
        first["state"],
        image,
        ("main",),
        options=options.circles_alone,
        num_classes=num_classes,
    )
    label, threshold = options.loss.prior_class, options.prior.threshold
    probs = maps["main"][..., label : label + 1]
    if threshold:
        probs = (probs >= threshold).astype(jnp.float32)
    return jax.lax.stop_gradient(probs)


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
    maps = decoder_maps(
        params,
        model_state,
        batch.image,
        ("main",),
        options=options,
        num_classes=num_classes,
    )
    finish = functools.partial(decode_lib.detect, decode=decode, model=options.model)
    found = jax.vmap(finish)(maps["main"])
    return found._replace(mask=found.mask & batch.image_mask[:, None])
