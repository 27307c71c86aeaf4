"""Sets single keys of a configuration from the text of command-line flags."""

from collections.abc import Mapping
import difflib
from typing import TYPE_CHECKING, Any

from cellrec_jax import errors

if TYPE_CHECKING:
    from ml_collections import ConfigDict


_UNITS = {"px": "pixels", "um": "micrometres"}
RENAMED = {"eval.batch_size": "predict.batch"}
"""Keys of older versions -> those that do the same now."""
MOVED = {"model.dtype": "compute.dtype", "model.remat": "compute.remat"}
"""The same of keys whose values still matter."""


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def override(config: "ConfigDict | dict[str, Any]", key: str, text: str) -> None:
    """Sets `config.key` (dotted, without "config.") from the text of a flag, in place.

    The text is parsed as the type of the present value; tuples as "a,b", of numbers
    where that is empty. Another type or an unknown key is a `ConfigError`.
    """
    known = flatten(config if isinstance(config, dict) else config.to_dict())
    if key not in known:
        raise errors.ConfigError(
            f"--config.{key}: no such key; did you mean {_nearest(key, known)}?"
        )
    try:
        value = _parse(text, known[key])
    except ValueError:
        kind = _kind(known[key])
        raise errors.ConfigError(
            f"--config.{key}={text}: expected {kind}, such as {_example(known[key])}"
        ) from None
    section, _, name = key.rpartition(".")
    (config[section] if section else config)[name] = value


def _nearest(key: str, known: Mapping[str, Any]) -> str:
    """The flag most like an unknown key; with its unit, beside those of other units."""
    tail = key.rsplit(".", 1)[-1]
    later = RENAMED | MOVED
    near = [later[key]] if key in later else []
    near = near or difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    near = near or [k for k in known if k.rsplit(".", 1)[-1] == tail]
    near = near or difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    stem, unit = _split_unit(near[0])
    if not unit or key.endswith(unit):
        return f"--config.{near[0]}"
    same = [k for k in known if _split_unit(k)[0] == stem and _split_unit(k)[1]]
    return " or ".join(f"--config.{k} ({_UNITS[_split_unit(k)[1]]})" for k in same)


def _split_unit(key: str) -> tuple[str, str]:
    """A key without its unit, and the unit; "" where it has none."""
    stem, _, unit = key.rpartition("_")
    return (stem, unit) if unit in _UNITS else (key, "")


def _parse(text: str, like: Any) -> Any:
    if isinstance(like, bool):
        words = {"true": True, "1": True, "false": False, "0": False}
        if text.lower() not in words:
            raise ValueError(text)
        return words[text.lower()]
    if isinstance(like, tuple):
        parts = [part for part in text.strip("()[] ").split(",") if part.strip()]
        return tuple(_parse(part.strip(), _item(like)) for part in parts)
    if isinstance(like, int | float):
        return type(like)(text)
    return text


def _item(value: tuple[Any, ...]) -> Any:
    """An item of the type that a tuple holds; what is empty now takes numbers."""
    return value[0] if value else 0.0


def _kind(value: Any) -> str:
    if isinstance(value, tuple):
        plural = {bool: "true or false", int: "whole numbers", float: "numbers"}
        return f"{plural.get(type(_item(value)), 'text')} separated by commas"
    names = {bool: "true or false", int: "a whole number", float: "a number"}
    return names.get(type(value), "text")


def _example(value: Any) -> str:
    several = isinstance(value, tuple)
    return ",".join(map(str, value or (0.5, 2.0))) if several else str(value)
