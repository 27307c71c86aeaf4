"""Optimisers and schedules, from optax."""

from collections.abc import Callable
import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import optax

from cellrec_jax.config import OptimConfig


def scaled(config: OptimConfig, batch_size: int) -> OptimConfig:
    """The same with the learning rate of its rule, `scale_rate`, which is then done.

    Linear: Goyal et al., Accurate, Large Minibatch SGD, 2017, 2.1. Root: Krizhevsky,
    One weird trick for parallelizing convolutional neural networks, 2014, 5.
    """
    if not config.scale_rate:
        return config
    times = batch_size / config.base_batch
    times = math.sqrt(times) if config.scale_rate == "sqrt" else times
    rate = config.learning_rate * times
    return dataclasses.replace(config, learning_rate=rate, scale_rate="", base_batch=0)


def make_schedule(config: OptimConfig, total_steps: int) -> optax.Schedule:
    """Step -> learning rate; `drops` are shares of `total_steps`."""
    rate = config.learning_rate
    after = max(total_steps - config.warmup_steps, 1)
    if config.schedule == "cosine":
        schedule = optax.cosine_decay_schedule(rate, after)
    elif config.schedule == "constant":
        schedule = optax.constant_schedule(rate)
    else:
        drops = {
            round(d * total_steps) - config.warmup_steps: 0.1 for d in config.drops
        }
        schedule = optax.piecewise_constant_schedule(rate, drops)
    if not config.warmup_steps:
        return schedule
    warmup = optax.linear_schedule(0.0, rate, config.warmup_steps)
    return optax.join_schedules([warmup, schedule], [config.warmup_steps])


def make_optimizer(
    config: OptimConfig,
    total_steps: int,
    trainable: Callable[[Any], Any] | None = None,
) -> optax.GradientTransformation:
    """Optimiser of what `Traits.trainable` says; the others get no update.

    Weight decay touches kernels only (two or more axes).
    """
    schedule = make_schedule(config, total_steps)
    decayed = optax.add_decayed_weights(config.weight_decay, mask=_is_kernel)
    parts = []
    if config.clip_norm > 0:
        parts.append(optax.clip_by_global_norm(config.clip_norm))
    if config.name == "momentum":
        parts += [decayed, optax.sgd(schedule, config.momentum)]
    elif config.name == "adam":
        parts += [decayed, optax.adam(schedule)]
    else:
        parts.append(
            optax.adamw(schedule, weight_decay=config.weight_decay, mask=_is_kernel)
        )

    def labels(params: Any) -> Any:
        mask = trainable(params) if trainable else jax.tree.map(lambda _: True, params)
        return jax.tree.map(lambda train: "train" if train else "freeze", mask)

    return optax.partition(
        {"train": optax.chain(*parts), "freeze": optax.set_to_zero()}, labels
    )


def update_ema(averages: Any, latest: Any, decay: float, step: jax.Array) -> Any:
    """Moves averages to the latest by min(decay, (1 + step) / (10 + step)), as TF."""
    decay_now = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return optax.incremental_update(latest, averages, 1.0 - decay_now)


def _is_kernel(params: Any) -> Any:
    return jax.tree.map(lambda p: p.ndim > 1, params)
