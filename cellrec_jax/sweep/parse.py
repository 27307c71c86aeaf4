"""Reads sweep files, which are TOML: nothing in them is executed.

    title = "Loss at two keep rates"
    seeds = [0, 1, 2]
    seed_keys = ["seed", "data.keep_seed"]  # keys that follow the seed; ["seed"]
    folds = 0                               # k of k-fold cross-validation; 0 is none
    metrics = ["F1@12px", "count_mae"]      # names in results.json, see `table`
    x = "kept"                              # the figure's axis; first numeric one, or
                                            # each row's own, if they share none

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

from collections.abc import Mapping, Sequence
from pathlib import Path
import re
import tomllib
from typing import Any, TypeVar

from cellrec_jax import errors
from cellrec_jax.config import overrides
from cellrec_jax.sweep import plan
from cellrec_jax.sweep.plan import Axis, Row, Sweep

_Item = TypeVar("_Item", str, int)

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
    except ValueError as error:
        raise errors.ConfigError(f"{path}: {error}") from error


def _sweep(name: str, fields: dict[str, Any]) -> Sweep:
    known = {"title", "rows", "metrics", "axes", "seeds", "seed_keys", "folds", "x"}
    _require_known(fields, known | {"set"}, "the file")
    named = _table(fields.get("axes", {}), "axes")
    axes = {key: _axis(key, value) for key, value in named.items()}
    common = _texts(fields.get("set", {}), "set")
    named = _table(_needed(fields, "rows", "the file"), "rows")
    rows = {key: _row(key, value, common, axes) for key, value in named.items()}
    if not rows:
        raise ValueError("rows has none; give at least one")
    if len({row.label for row in rows.values()}) < len(rows):
        raise ValueError("two rows have one label")
    numeric = [key for key, axis in axes.items() if axis.numbers]
    x = fields.get("x", numeric[0] if numeric and len(plan.groups(rows)) == 1 else "")
    if x and x not in numeric:
        raise ValueError(f"x = {x!r} is no axis of numbers")
    return Sweep(
        name=name,
        title=_string(fields.get("title", name), "title"),
        rows=rows,
        metrics=_filled(_needed(fields, "metrics", "the file"), str, "metrics"),
        axes=axes,
        seeds=_filled(fields.get("seeds", [0]), int, "seeds"),
        seed_keys=_filled(fields.get("seed_keys", ["seed"]), str, "seed_keys"),
        folds=_folds(fields.get("folds", 0)),
        x=x,
    )


def _row(
    name: str, value: Any, common: Mapping[str, str], axes: Mapping[str, Axis]
) -> Row:
    _require_name(name, "row")
    where = f"rows.{name}"
    fields = _table(value, where)
    _require_known(fields, {"config", "label", "set", "axes", "paper"}, where)
    crossed = _list(fields.get("axes", list(axes)), str, f"{where}.axes")
    _require_known(crossed, axes, f"{where}.axes")
    printed = _table(fields.get("paper", {}), f"{where}.paper")
    for key, number in printed.items():
        if type(number) not in (int, float):
            raise ValueError(f"{where}.paper.{key} = {number!r}: give a number")
    return Row(
        config=_string(_needed(fields, "config", where), f"{where}.config"),
        label=_string(fields.get("label", name), f"{where}.label"),
        overrides={**common, **_texts(fields.get("set", {}), f"{where}.set")},
        axes=crossed,
        paper={key: float(number) for key, number in printed.items()},
    )


def _axis(name: str, value: Any) -> Axis:
    _require_name(name, "axis")
    where = f"axes.{name}"
    if name in _RESERVED:
        raise ValueError(f"{where}: the name is taken")
    fields = _table(value, where)
    _require_known(fields, {"key", "values", "choices"}, where)
    if "choices" in fields:
        named = _table(fields["choices"], f"{where}.choices")
        choices = {
            key: _texts(one, f"{where}.choices.{key}") for key, one in named.items()
        }
        numbers: tuple[float, ...] = ()
    else:
        choices, numbers = _values(fields, where)
    if not choices:
        raise ValueError(f"{where} has no values; give at least one")
    for choice in choices:
        _require_name(choice, where)
    return Axis(choices, numbers)


def _values(
    fields: Mapping[str, Any], where: str
) -> tuple[dict[str, dict[str, str]], tuple[float, ...]]:
    """Overrides of each value of an axis, and the values if all are numbers."""
    values, key = _needed(fields, "values", where), _needed(fields, "key", where)
    if not isinstance(values, list):
        raise ValueError(f"{where}.values = {values!r}: give a list")
    keys = [key] if isinstance(key, str) else _filled(key, str, f"{where}.key")
    texts = [_text(one) for one in values]
    _require_distinct(texts, f"{where}.values")
    plain = all(type(one) in (int, float) for one in values)
    numbers = tuple(map(float, values)) if plain else ()
    return {text: dict.fromkeys(keys, text) for text in texts}, numbers


def _folds(value: Any) -> int:
    if type(value) is not int or value < 0 or value == 1:
        raise ValueError(f"folds = {value!r}: give 2 or more, or 0 for none")
    return value


def _texts(value: Any, where: str) -> dict[str, str]:
    """Nested settings as dotted keys with the text of a command-line flag."""
    flat = overrides.flatten(_table(value, where))
    return {key: _text(one) for key, one in flat.items()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return str(value)


def _needed(fields: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in fields:
        raise ValueError(f"{where} lacks {key!r}")
    return fields[key]


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} = {value!r}: give a table, as {where}.KEY = VALUE")
    return value


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{where} = {value!r}: give a text")
    return value


def _list(value: Any, kind: type[_Item], where: str) -> tuple[_Item, ...]:
    if not isinstance(value, list) or any(type(one) is not kind for one in value):
        items = "texts" if kind is str else "whole numbers"
        raise ValueError(f"{where} = {value!r}: give a list of {items}")
    _require_distinct(value, where)
    return tuple(value)


def _filled(value: Any, kind: type[_Item], where: str) -> tuple[_Item, ...]:
    found = _list(value, kind, where)
    if not found:
        raise ValueError(f"{where} is empty; give at least one")
    return found


def _require_distinct(found: Sequence[Any], where: str) -> None:
    """Equal ones would share a folder, or a column of the table."""
    for one in found:
        if found.count(one) > 1:
            raise ValueError(f"{where} has {one!r} twice")


def _require_known(found: Any, known: Any, where: str) -> None:
    for key in found:
        if key not in known:
            raise ValueError(f"{where} has {key!r}; there are {', '.join(known)}")


def _require_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{what} {name!r}: use letters, digits and . _ + -")
