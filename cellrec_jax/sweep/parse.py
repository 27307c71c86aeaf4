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
                                            # of numbers, if all names are numbers

    [rows.bde]
    config = "ki67_bde:small"               # as for --config
    label = "BDE"                           # in the table; the row's name
    set.loss.calibration = "bde"            # overrides of the row
    init_from = "ki67"                      # start from these weights, as --init-from:
                                            # a shipped model, a file, a work directory
    axes = ["kept"]                         # axes that it is crossed with; all
    paper = { "F1@12px" = 0.8 }             # printed beside the row's results; a list
                                            # has one for each value of its only axis

    [[pairs]]                               # row less against, image by image, in a
    row = "bde"                             # table of their own, see `pairs`
    against = "plain"
    metric = "F1@12px/positive"             # F1, of all cells or of a class

Later ones win: `set`, the row's `set`, axes, seed and fold, the command line.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
import re
import tomllib
from typing import Any

from cellrec_jax import errors
from cellrec_jax.config import overrides
from cellrec_jax.sweep import plan
from cellrec_jax.sweep.plan import Axis, Pair, Row, Sweep

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")  # names become folders
_NUMBER = re.compile(r"\d+(\.\d+)?")
_RESERVED = ("seed", "fold")

# Key -> type of its value; [type] is a list of different ones.
_FILE: dict[str, Any] = {
    **{"title": str, "x": str, "folds": int, "seeds": [int], "seed_keys": [str]},
    **{"metrics": [str], "set": dict, "axes": dict, "rows": dict, "pairs": list},
}
_ROW: dict[str, Any] = {
    **{"config": str, "label": str, "set": dict, "axes": [str], "paper": dict},
    "init_from": str,
}
_PAIR = {"row": str, "against": str, "metric": str}
_AXIS: dict[str, Any] = {"key": object, "values": list, "choices": dict}
_WANTED: dict[Any, str] = {
    **{dict: "a table, as {}.KEY = VALUE", list: "a list", str: "a text"},
    **{int: "a whole number", float: "a number"},
}


def read(path: Path) -> Sweep:
    """Reads a sweep file; ConfigError if unreadable or with what no sweep has."""
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
    _check(fields, "", _FILE, ("rows", "metrics"))
    axes = {key: _axis(key, one) for key, one in fields.get("axes", {}).items()}
    common = _texts(fields.get("set", {}))
    rows = {key: _row(key, one, common, axes) for key, one in fields["rows"].items()}
    _require(bool(rows), "rows has none; give at least one")
    labels = {row.label for row in rows.values()}
    _require(len(labels) == len(rows), "two rows have one label")
    numeric = [key for key, axis in axes.items() if axis.numbers]
    x = fields.get("x", numeric[0] if numeric and len(plan.groups(rows)) == 1 else "")
    _require(not x or x in numeric, f"x = {x!r} is no axis of numbers")
    folds = fields.get("folds", 0)
    fits = folds >= 0 and folds != 1
    _require(fits, f"folds = {folds}: give 2 or more, or 0 for none")
    lists = {"seeds": [0], "seed_keys": ["seed"], **fields}
    several = {key: tuple(lists[key]) for key in ("metrics", "seeds", "seed_keys")}
    for key, values in several.items():
        _require(bool(values), f"{key} is empty; give at least one")
    return Sweep(
        name=name,
        title=fields.get("title", name),
        rows=rows,
        axes=axes,
        folds=folds,
        x=x,
        pairs=tuple(_pair(one, rows) for one in fields.get("pairs", [])),
        **several,
    )


def _pair(fields: Any, rows: Mapping[str, Row]) -> Pair:
    _check(fields, "pairs", _PAIR, _PAIR)
    pair = Pair(**fields)
    for key, name in (("row", pair.row), ("against", pair.against)):
        _require(
            name in rows, f"pairs.{key} = {name!r}; the rows are {', '.join(rows)}"
        )
    _require(pair.row != pair.against, f"pairs compares {pair.row!r} with itself")
    _require(
        pair.metric.startswith("F1@"),
        f"pairs.metric = {pair.metric!r}: give F1@12px or F1@12px/CLASS, 12 px the "
        "match radius",
    )
    for axis in rows[pair.against].axes:
        _require(
            axis in rows[pair.row].axes,
            f"pairs.against = {pair.against!r} has the axis {axis}, {pair.row!r} not",
        )
    return pair


def _row(
    name: str, fields: Any, common: Mapping[str, str], axes: Mapping[str, Axis]
) -> Row:
    where = f"rows.{name}"
    _require_name(name, where)
    _check(fields, where, _ROW, ("config",))
    crossed = tuple(fields.get("axes", axes))
    for axis in crossed:
        _require_known(axis, axes, f"{where}.axes")
    printed = fields.get("paper", {})
    start = fields.get("init_from")
    _require(start != "", f"{where}.init_from is empty: leave it out for fresh weights")
    return Row(
        config=fields["config"],
        label=fields.get("label", name),
        overrides={**common, **_texts(fields.get("set", {}))},
        axes=crossed,
        paper={
            key: _printed(one, f"{where}.paper.{key}", [axes[axis] for axis in crossed])
            for key, one in printed.items()
        },
        init_from=start or "",
    )


def _printed(given: Any, where: str, axes: Sequence[Axis]) -> float | tuple[float, ...]:
    """A number of the paper, or one for each value of the only axis."""
    if not isinstance(given, list):
        _require_type(given, float, where)
        return float(given)
    for one in given:
        _require_type(one, float, where)
    _require(
        len(axes) == 1 and len(given) == len(axes[0].choices),
        f"{where} has {len(given)} numbers: give one for each value of the row's only "
        "axis",
    )
    return tuple(map(float, given))


def _axis(name: str, fields: Any) -> Axis:
    where = f"axes.{name}"
    _require_name(name, where)
    _require(name not in _RESERVED, f"{where}: the name is taken")
    chosen = isinstance(fields, dict) and "choices" in fields
    _check(fields, where, _AXIS, () if chosen else ("values", "key"))
    numbers: tuple[float, ...] = ()
    if chosen:
        for key, one in fields["choices"].items():
            _require_type(one, dict, f"{where}.choices.{key}")
        choices = {key: _texts(one) for key, one in fields["choices"].items()}
        if all(_NUMBER.fullmatch(key) for key in choices):
            numbers = tuple(map(float, choices))
    else:
        keys, values = fields["key"], fields["values"]
        keys = [keys] if isinstance(keys, str) else keys
        _require_type(keys, [str], f"{where}.key")
        _require(bool(keys), f"{where}.key is empty; give at least one")
        texts = [_text(one) for one in values]
        _require_type(texts, [str], f"{where}.values")  # no value twice
        choices = {text: dict.fromkeys(keys, text) for text in texts}
        if all(type(one) in (int, float) for one in values):
            numbers = tuple(map(float, values))
    _require(bool(choices), f"{where} has no values; give at least one")
    for choice in choices:
        _require_name(choice, where)
    return Axis(choices, numbers)


def _texts(table: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings as dotted keys with the text of a command-line flag."""
    return {key: _text(one) for key, one in overrides.flatten(table).items()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return str(value)


def _check(
    fields: Any, where: str, types: Mapping[str, Any], needed: Iterable[str]
) -> None:
    """Requires a table of known keys with values of their types."""
    _require_type(fields, dict, where)
    for key, value in fields.items():
        _require_known(key, types, where or "the file")
        _require_type(value, types[key], f"{where}.{key}".lstrip("."))
    for key in needed:
        _require(key in fields, f"{where or 'the file'} lacks {key!r}")


def _require_type(value: Any, kind: Any, where: str) -> None:
    """Equal items would share a folder, or a column of the table."""
    if isinstance(kind, list):
        items = "texts" if kind[0] is str else "whole numbers"
        fits = isinstance(value, list) and all(type(one) is kind[0] for one in value)
        _require(fits, f"{where} = {value!r}: give a list of {items}")
        for one in value:
            _require(value.count(one) == 1, f"{where} has {one!r} twice")
        return
    allowed = (int, float) if kind is float else (kind,)
    if kind is not object and type(value) not in allowed:
        wanted = _WANTED[kind].format(where)
        raise ValueError(f"{where} = {value!r}: give {wanted}")


def _require_known(key: str, known: Iterable[str], where: str) -> None:
    _require(key in known, f"{where} has {key!r}; there are {', '.join(known)}")


def _require_name(name: str, where: str) -> None:
    fits = _NAME.fullmatch(name) is not None
    _require(fits, f"{where}: use letters, digits and . _ + - for {name!r}")


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise ValueError(message)
