"""Whole experiments that are measured, as their configuration files have them."""

from collections.abc import Collection, Mapping

from cellrec_jax import errors
from cellrec_jax.config import Experiment


def load(flag: str, overrides: Mapping[str, str] | None = None) -> Experiment:
    """The experiment of `--config FLAG`, with some keys set.

    Raises:
      ImportError: if a package that configuration files need is missing.
    """
    from cellrec_jax import main, methods  # late: need what kernels do without
    from cellrec_jax.config import overrides as lib

    settings = main.load_config(flag)
    for key, text in (overrides or {}).items():
        lib.override(settings, key, text)
    return methods.freeze(settings)


def chosen(presets: Collection[str], table: Collection[str]) -> list[str]:
    """Those of a table that were asked for, in its order; all where none was.

    Raises:
      ConfigError: if one is not in the table.
    """
    if unknown := set(presets) - set(table):
        raise errors.ConfigError(
            f"--presets {','.join(sorted(unknown))}: choose among {', '.join(table)}"
        )
    return [name for name in table if name in (presets or table)]
