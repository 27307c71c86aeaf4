"""What a verb of the command line declares: flags, keys, examples and what it does."""

import argparse
from collections.abc import Callable, Mapping
import functools
import types
from typing import TYPE_CHECKING, Any, NamedTuple

from etils import epath

from cellrec_jax import errors
from cellrec_jax.config import limits

if TYPE_CHECKING:
    from cellrec_jax.config import Experiment
    from cellrec_jax.io.console import Console


class Flag(NamedTuple):
    """A flag of one verb or several, whose values are then of one kind."""

    name: str
    """As it is typed, such as "--mpp-trained"."""
    help: str
    options: Mapping[str, Any]
    """Of argparse's `add_argument`."""
    often: bool
    """Whether help has it among the most used."""

    @property
    def key(self) -> str:
        """Name of its value in what is parsed."""
        return self.name.removeprefix("--").replace("-", "_")


class Words(NamedTuple):
    """What stands behind a verb without a flag; `words` in what is parsed."""

    metavar: str
    help: str


class Verb(NamedTuple):
    """One thing that the command line does."""

    name: str
    what: str
    """One line."""
    examples: tuple[str, ...]
    """Whole command lines."""
    run: Callable[[argparse.Namespace, Mapping[str, str]], int]
    """Parsed flags, `--config.KEY` -> text: the exit code."""
    flags: tuple[Flag, ...]
    words: Words | None = None
    keys: tuple[str, ...] = ()
    """How the keys begin that it reads; "" is all."""
    fixed_keys: Mapping[str, str] = types.MappingProxyType({})
    """Keys among these that it does not read after all -> why, and what to do."""
    has_several: bool = False
    """Whether several processes may do it together."""
    has_devices: bool = False
    """Whether it computes with JAX: devices are there, and what is compiled is kept."""


def flag(name: str, help: str, *, often: bool = False, **options: Any) -> Flag:
    """A flag; `options` are those of argparse's `add_argument`."""
    return Flag(name, help, options, often)


def need(flags: argparse.Namespace, key: str, what: str) -> None:
    """Raises a ConfigError where the flag of this key is not given."""
    if not getattr(flags, key):
        raise errors.ConfigError(f"{flags.called} needs {what}")


def console(experiment: "Experiment") -> "Console":
    """A console; of several processes only the first one speaks."""
    from cellrec_jax import hosts
    from cellrec_jax.io.console import Console

    return Console(quiet=not hosts.is_first(), seconds=experiment.log.seconds)


def path(text: str) -> epath.Path:
    """Type of a flag: a path; the shell leaves the ~ of --flag=~/folder to us."""
    return epath.Path(text).expanduser()


@functools.cache  # one type of one flag, whatever verbs have it
def micrometres(name: str) -> Callable[[str], float]:
    """Type of a flag of this name: um per px, 0 is unknown."""

    def number(text: str) -> float:
        mpp = float(text)
        if mpp:
            limits.require_pixel_size(name, mpp)
        return mpp

    return number


def above_0(
    name: str, unit: str = "a number", below: float = 1e5
) -> Callable[[str], float]:
    """Type of a flag of this name: above 0, and `below` what cannot be meant."""

    def number(text: str) -> float:
        value = float(text)
        if not 0 < value < below:
            raise errors.ConfigError(f"--{name} {text}: give {unit} above 0")
        return value

    return number
