"""Limits of options, in their fields' metadata; imports neither jax nor tensorflow."""

from collections.abc import Iterable
import dataclasses
from typing import Any, NamedTuple

from cellrec_jax import errors


class Limits(NamedTuple):
    """What the value of an option may be, or each item of a tuple."""

    choices: tuple[Any, ...] = ()
    least: float | None = None
    """Included."""
    above: float | None = None
    """Not included."""
    most: float | None = None
    """Included."""
    below: float | None = None
    """Not included."""
    hint: str = ""
    """What to do, for the message."""


def option(default: Any, **limits: Any) -> Any:
    """A dataclass field with a default and `Limits` of its value.

    Example:
      >>> @dataclasses.dataclass(frozen=True)
      ... class Options:
      ...     rate: float = option(1e-3, above=0)
      >>> check("optim", Options(rate=0.0))
      Traceback (most recent call last):
      cellrec_jax.errors.ConfigError: --config.optim.rate=0.0 must be more than 0
    """
    return dataclasses.field(default=default, metadata={"limits": Limits(**limits)})


def check(section: str, options: Any) -> None:
    """Checks every field made by `option`; the `ConfigError` names key and limit.

    `section` is the first part of the keys, such as "data", or empty.
    """
    for field in dataclasses.fields(options):
        limits = field.metadata.get("limits")
        value = getattr(options, field.name)
        if limits is None or all(_fits(one, limits) for one in _several(value)):
            continue
        key = f"{section}.{field.name}" if section else field.name
        hint = f": {limits.hint}" if limits.hint else ""
        colon = ":" if limits.choices else ""
        require(False, f"{key}={text(value)}{colon} {meant(limits)}{hint}")


def require(ok: bool, message: str) -> None:
    """Raises a ConfigError about `--config.` + message unless `ok`."""
    if not ok:
        raise errors.ConfigError(f"--config.{message}")


PIXEL_SIZES = (0.02, 20.0)
"""Least and largest micrometres per px of a microscope's image."""


def is_pixel_size(mpp: float) -> bool:
    """Whether a number can be the micrometres per px of a microscope's image."""
    return PIXEL_SIZES[0] <= mpp <= PIXEL_SIZES[1]


def require_pixel_size(flag: str, mpp: float) -> None:
    """Raises a ConfigError about `--flag` unless it can be micrometres per px."""
    if not is_pixel_size(mpp):
        nm = f"; if that is nm, --{flag}={mpp / 1000:g}"
        raise errors.ConfigError(
            f"--{flag}={mpp:g}: give micrometres per px, 0.02 to 20, such as 0.25 for "
            f"a scan at 40x{nm if is_pixel_size(mpp / 1000) else ''}"
        )


def text(value: Any) -> str:
    """A value as it is typed on the command line."""
    return ",".join(map(str, _several(value)))


def words(choices: Iterable[Any]) -> str:
    """Choices for a message; the empty one as ''."""
    return ", ".join(str(word) or "''" for word in choices)


def _fits(value: Any, limits: Limits) -> bool:
    if limits.choices:
        return value in limits.choices
    return (
        abs(value) < float("inf")
        and (limits.least is None or value >= limits.least)
        and (limits.above is None or value > limits.above)
        and (limits.most is None or value <= limits.most)
        and (limits.below is None or value < limits.below)
    )


def meant(limits: Limits) -> str:
    """What a value may be, in words."""
    if limits.choices:
        return f"choose one of {words(limits.choices)}"
    if limits.most is None and limits.below is None:
        if limits.above is not None:
            return f"must be more than {limits.above}"
        least = limits.least or 0
        return f"must be at least {least}" if least else "must be 0 or more"
    low = f"({limits.above}" if limits.above is not None else f"[{limits.least}"
    high = f"{limits.below})" if limits.below is not None else f"{limits.most}]"
    return f"must be in {low}, {high}"


def _several(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
