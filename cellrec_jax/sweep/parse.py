"""Reads sweep files, which are TOML: nothing in them is executed.

    title = "Loss at two keep rates"
    seeds = [0, 1, 2]
    seed_keys = ["seed", "data.keep_seed"]  # keys that follow the seed; ["seed"]
    folds = 0                               # k of k-fold cross-validation; 0 is none
    metrics = ["F1@12px", "count_mae"]      # names in results.json, see `table`
    x = "kept"                              # the figure's axis; first numeric one

    [set]                                   # overrides of every run
    data.format = "bcdata"

    [axes.kept]                             # crossed with every row
    key = "data.keep_rate"                  # or several: ["data.a", "data.b"]
    values = [0.1, 1.0]

    [axes.split.choices]                    # an axis that sets several keys at once
    first = { data.train_ids = "0-15", data.test_ids = "19-25" }

    [rows.bde]
    config = "ki67_bde:small"               # as for --config
    label = "BDE"                           # in the table; the row's name
    set.loss.calibration = "bde"            # overrides of the row
    axes = ["kept"]                         # axes that it is crossed with; all
    paper = { "F1@12px" = 0.8 }             # printed beside the row's results

Later ones win: `set`, the row's `set`, axes, seed and fold, the command line.
"""

from collections.abc import Mapping
from pathlib import Path
import re
import tomllib
from typing import Any

from cellrec_jax import errors, overrides
from cellrec_jax.sweep.plan import Axis, Row, Sweep

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")  # names become folders
_RESERVED = ("seed", "fold")


def read(path: Path) -> Sweep:
    """Reads a sweep file.

    Raises:
      ConfigError: if it cannot be read, or holds what no sweep has.
    """
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise errors.ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # TOML or UTF-8
        raise errors.ConfigError(f"{path}: is no TOML ({error})") from error
    try:
        return _sweep(path.stem, fields)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else error
        raise errors.ConfigError(f"{path}: {reason}") from error


def _sweep(name: str, fields: dict[str, Any]) -> Sweep:
    known = {"title", "rows", "metrics", "axes", "seeds", "seed_keys", "folds", "x"}
    _require_known(fields, known | {"set"}, "the file")
    axes = {key: _axis(key, value) for key, value in fields.get("axes", {}).items()}
    common = _texts(fields.get("set", {}))
    rows = {key: _row(key, row, common, axes) for key, row in fields["rows"].items()}
    if not rows or not fields["metrics"]:
        raise ValueError("needs at least one row and one metric")
    if len({row.label for row in rows.values()}) < len(rows):
        raise ValueError("two rows have one label")
    numeric = [key for key, axis in axes.items() if axis.numbers]
    x = fields.get("x", numeric[0] if numeric else "")
    if x and x not in numeric:
        raise ValueError(f"x = {x!r} is no axis of numbers")
    return Sweep(
        name=name,
        title=fields.get("title", name),
        rows=rows,
        metrics=tuple(fields["metrics"]),
        axes=axes,
        seeds=tuple(map(int, fields.get("seeds", (0,)))),
        seed_keys=tuple(fields.get("seed_keys", ("seed",))),
        folds=int(fields.get("folds", 0)),
        x=x,
    )


def _row(
    name: str,
    fields: dict[str, Any],
    common: Mapping[str, str],
    axes: Mapping[str, Axis],
) -> Row:
    _require_name(name, "row")
    where = f"rows.{name}"
    _require_known(fields, {"config", "label", "set", "axes", "paper"}, where)
    if "config" not in fields:
        raise ValueError(f"{where} lacks a config")
    crossed = tuple(fields.get("axes", axes))
    _require_known(crossed, axes, f"{where}.axes")
    return Row(
        config=fields["config"],
        label=fields.get("label", name),
        overrides={**common, **_texts(fields.get("set", {}))},
        axes=crossed,
        paper={key: float(value) for key, value in fields.get("paper", {}).items()},
    )


def _axis(name: str, fields: dict[str, Any]) -> Axis:
    _require_name(name, "axis")
    where = f"axes.{name}"
    if name in _RESERVED:
        raise ValueError(f"{where}: the name is taken")
    _require_known(fields, {"key", "values", "choices"}, where)
    if "choices" in fields:
        choices = {key: _texts(value) for key, value in fields["choices"].items()}
        numbers: tuple[float, ...] = ()
    else:
        keys = [fields["key"]] if isinstance(fields["key"], str) else fields["key"]
        values = fields["values"]
        choices = {_text(one): {key: _text(one) for key in keys} for one in values}
        plain = all(type(one) in (int, float) for one in values)
        numbers = tuple(map(float, values)) if plain else ()
    for choice in choices:
        _require_name(choice, where)
    return Axis(choices, numbers)


def _texts(tree: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings as dotted keys with the text of a command-line flag."""
    return {key: _text(value) for key, value in overrides.flatten(tree).items()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return str(value)


def _require_known(found: Any, known: Any, where: str) -> None:
    for key in found:
        if key not in known:
            raise ValueError(f"{where} has {key!r}; there are {', '.join(known)}")


def _require_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{what} {name!r}: use letters, digits and . _ + -")
