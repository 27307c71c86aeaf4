"""Encoders, parameters that a ResNet's weights fit: norm, weights, fresh start."""

import functools
from typing import Any

import flax
from flax import linen as nn
import jax

from cellrec_jax.config import limits
from cellrec_jax.nn import convert

NORMS = ("auto", "frozen_batch", "sync_batch", "group", "layer")


def check_norm(norm: str, pretrained: str) -> None:
    """Refuses frozen statistics without pretrained weights, with a `ConfigError`."""
    limits.require(
        bool(pretrained) or norm != "frozen_batch",
        "model.norm=frozen_batch needs statistics to freeze: give "
        "--config.model.pretrained=FILE, or use --config.model.norm=group",
    )


def norm_kind(norm: str, pretrained: str) -> str:
    """The kind of `nn.norm` that the option `model.norm` stands for."""
    if norm != "auto":
        return norm
    return "frozen_batch" if pretrained else "group"


def initialise(
    network: nn.Module, rng: jax.Array, *inputs: Any, **options: Any
) -> tuple[Any, Any]:
    """Draws parameters and other collections by `network.init`.

    Compiled once for equal networks, options and shapes, whatever the key.
    """
    drawn = _draw(network, tuple(options.items()), rng, inputs)
    variables = flax.core.unfreeze(drawn)
    params = variables.pop("params")
    return params, variables


@functools.partial(jax.jit, static_argnums=(0, 1))
def _draw(network: nn.Module, options: Any, rng: jax.Array, inputs: Any) -> Any:
    return network.init(rng, *inputs, **dict(options))


def load_pretrained(
    file: str, name: str, params: Any, model_state: Any
) -> tuple[Any, Any, tuple[str, ...]]:
    """Fills the encoder `name` of a network from a ResNet's file, if not "".

    Takes and returns the whole network's parameters and state, and a report.
    """
    if not file:
        return params, model_state, ()
    stats = model_state.get("batch_stats", {})
    loaded = convert.load_torchvision_resnet(file, params[name], stats.get(name, {}))
    if stats:
        model_state = {
            **model_state,
            "batch_stats": {**stats, name: loaded.batch_stats},
        }
    return {**params, name: loaded.params}, model_state, loaded.report
