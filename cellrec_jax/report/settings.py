"""The configuration of a run beside the defaults of its method, and versions."""

import json
from typing import Any

from cellrec_jax import methods
from cellrec_jax.config import Experiment, keys, limits, overrides
from cellrec_jax.report.blocks import Block, Folded, Notes, Section, Table, row
from cellrec_jax.report.found import Found
from cellrec_jax.report.names import Names

_NAMES = ("root", "folder", "pretrained", "train_ids", "val_ids", "test_ids")
"""Ends of keys whose values are names."""
_SAID = ("note",)


def section(found: Found, names: Names) -> Section:
    """What differs from the defaults, then everything, both folded."""
    experiment = found.experiment
    if experiment is None:
        rows = [
            row(key, _value(key, value, names))
            for key, value in overrides.flatten(found.config).items()
        ]
        table = Table(("key", "value"), tuple(rows), num_text=2)
        blocks: tuple[Block, ...] = (
            Notes(("this version does not know all keys of config.json",)),
            Folded(f"all {len(rows)} keys", (table,)),
        )
    else:
        changed = _changed(experiment, names)
        every = _every(experiment, names)
        blocks = (
            Folded(f"{len(changed.rows)} keys differ from the defaults", (changed,)),
            Folded(f"all {len(every.rows)} keys", (every,)),
        )
    return Section("configuration", "Configuration", blocks)


def versions(found: Found) -> Section:
    """Of the program and what it stands on."""
    told = found.run.get("versions") or {}
    if not told:
        lines = Notes(("results.json tells no versions",))
        return Section("versions", "Versions", (lines,))
    rows = tuple(row(name, str(version)) for name, version in told.items())
    table = Table(("package", "version"), rows, num_text=2)
    return Section("versions", "Versions", (Folded("when it was measured", (table,)),))


def _changed(experiment: Experiment, names: Names) -> Table:
    options = methods.module(experiment.method).Options()
    defaults = methods.flatten(Experiment(experiment.method, options))
    own = methods.flatten(experiment)
    rows = [
        row(key, _value(key, value, names), _value(key, defaults[key], names), what)
        for key, value, what, _ in keys.described(experiment)
        if own[key] != defaults[key]
    ]
    columns = ("key", "this run", "default", "what it is")
    return Table(columns, tuple(rows), num_text=4)


def _every(experiment: Experiment, names: Names) -> Table:
    rows = [
        row(key, _value(key, value, names), what)
        for key, value, what, _ in keys.described(experiment)
    ]
    return Table(("key", "value", "what it is"), tuple(rows), num_text=3)


def _value(key: str, value: Any, names: Names) -> str:
    """A value as it is typed; what may hold names as these are shown."""
    if isinstance(value, dict):
        text = json.dumps(value)
    else:
        text = limits.text(tuple(value) if isinstance(value, list) else value)
    if key in _SAID:
        return names.said(text)
    is_name = key.rpartition(".")[2] in _NAMES
    if (is_name or "/" in text or "\\" in text) and text != "synthetic":
        text = names.of(text, "name")
    return text.replace(",", ", ")  # long ones find room
