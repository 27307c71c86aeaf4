"""One module a method; this table is the only registry."""

from collections.abc import Mapping
import dataclasses
import difflib
import functools
import importlib
import json
from types import ModuleType
from typing import Any

from cellrec_jax import config, errors, types
from cellrec_jax.config import Experiment, overrides
from cellrec_jax.methods import gone

METHODS = {
    "blob_filter": "cellrec_jax.methods.blob_filter",
    "calibrated_rcnn": "cellrec_jax.methods.calibrated_rcnn",
    "density_map": "cellrec_jax.methods.density_map",
    "estimate_mask": "cellrec_jax.methods.estimate_mask",
    "heatmap_pu": "cellrec_jax.methods.heatmap_pu",
    "multitask": "cellrec_jax.methods.multitask",
    "point_matching": "cellrec_jax.methods.point_matching",
    "vicar": "cellrec_jax.methods.vicar",
}


def module(name: str) -> ModuleType:
    """Imports a method's module, `Options` and `make`; a `ConfigError` if unknown."""
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1, cutoff=0.0)
        raise errors.ConfigError(
            f"--config.method={name}: no such method; did you mean {near[0]}?"
        )
    return importlib.import_module(METHODS[name])


def freeze(fields: Any) -> Experiment:
    """Turns a finished configuration into frozen dataclasses, made and checked once.

    `fields` is a ConfigDict or nested mappings; what they leave out is the default. A
    TypeError for an unknown key, else a `ConfigError`, naming the key.
    """
    rest = dict(fields.to_dict() if hasattr(fields, "to_dict") else fields)
    defaults = module(rest["method"]).Options()
    own = {
        field.name: type(getattr(defaults, field.name))(**rest.pop(field.name, {}))
        for field in dataclasses.fields(defaults)
    }
    options = dataclasses.replace(defaults, **own)
    return Experiment(options=options, **config.shared(rest))


def from_json(fields: Mapping[str, Any]) -> Experiment:
    """Inverse of `config.to_json`, for configurations stored with a run.

    Options that are gone pass at their default; other unknown keys are a `ConfigError`.
    What they lack is done as it was then.
    """
    try:
        names = [f.name for f in dataclasses.fields(module(fields["method"]).Options)]
        return freeze(gone.as_then(gone.without(_tuples(fields), names)))
    except TypeError as error:
        raise errors.ConfigError(
            f"stored configuration does not fit this version of cellrec_jax ({error})"
        ) from error


def changed(experiment: Experiment, values: Mapping[str, Any]) -> Experiment:
    """Changes dotted keys and checks: `changed(experiment, {"total_steps": 100})`."""
    fields = config.to_json(experiment)
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        (fields[section] if section else fields)[name] = value
    return freeze(fields)


def flatten(experiment: Experiment) -> dict[str, Any]:
    """Dotted key -> value as JSON holds it."""
    return overrides.flatten(json.loads(json.dumps(config.to_json(experiment))))


def build(experiment: Experiment, num_classes: int) -> types.Method:
    """Builds an experiment's method; equal options give the same, compiled once.

    A `ConfigError` for a number of classes (without background) that it cannot have.
    """
    return _build(experiment.method, experiment.options, num_classes)


@functools.lru_cache(maxsize=8)
def _build(name: str, options: Any, num_classes: int) -> types.Method:
    return module(name).make(options, num_classes=num_classes)


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
