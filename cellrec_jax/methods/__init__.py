"""One module a method; this table is the only registry."""

from collections.abc import Mapping
import dataclasses
import difflib
import importlib
from types import ModuleType
from typing import Any

from cellrec_jax import errors, types

METHODS = {
    "calibrated_rcnn": "cellrec_jax.methods.calibrated_rcnn",
    "density_map": "cellrec_jax.methods.density_map",
    "heatmap_pu": "cellrec_jax.methods.heatmap_pu",
    "point_matching": "cellrec_jax.methods.point_matching",
    "vicar": "cellrec_jax.methods.vicar",
}


def module(name: str) -> ModuleType:
    """Imports the module of a method.

    Args:
      name: a key of `METHODS`.

    Returns:
      The module, with `Options` and `make`.

    Raises:
      ConfigError: if there is no such method.
    """
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1, cutoff=0.0)
        raise errors.ConfigError(
            f"--config.method={name}: no such method; did you mean {near[0]}?"
        )
    return importlib.import_module(METHODS[name])


def options(name: str, model: Mapping[str, Any], loss: Mapping[str, Any]) -> Any:
    """A method's `Options`; arguments as `build`, what they leave out is the default.

    Raises:
      ConfigError: for an unknown method or an impossible combination of options.
      TypeError: for a field that the method does not have.
    """
    chosen = module(name)
    return dataclasses.replace(
        chosen.Options(),
        model=chosen.ModelOptions(**model),
        loss=chosen.LossOptions(**loss),
    )


def build(
    name: str,
    model: Mapping[str, Any],
    loss: Mapping[str, Any],
    *,
    num_classes: int,
    total_steps: int,
) -> types.Method:
    """Builds a method from the `model` and `loss` sections of a configuration.

    Args:
      name: a key of `METHODS`.
      model: fields of the method's `ModelOptions`.
      loss: fields of the method's `LossOptions`.
      num_classes: K, background excluded.
      total_steps: length of training, for losses that follow a schedule.

    Returns:
      The method's functions.

    Raises:
      ConfigError: for an unknown method or an impossible combination of options.
    """
    chosen = options(name, model, loss)
    make = module(name).make
    return make(chosen, num_classes=num_classes, total_steps=total_steps)
