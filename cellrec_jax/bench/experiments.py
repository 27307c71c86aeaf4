"""Whole experiments that are measured, as their configuration files have them."""

from collections.abc import Collection, Mapping

from cellrec_jax import errors
from cellrec_jax.config import Experiment


def load(flag: str, overrides: Mapping[str, str] | None = None) -> Experiment:
    """The experiment of `--config FLAG`; ImportError if its packages are missing."""
    from cellrec_jax import main, methods  # late: need what kernels do without
    from cellrec_jax.config import overrides as lib

    settings = main.load_config(flag)
    for key, text in (overrides or {}).items():
        lib.override(settings, key, text)
    return methods.freeze(settings)


def chosen(presets: Collection[str], table: Collection[str]) -> list[str]:
    """Those asked for, in the table's order, or all; ConfigError if one is unknown."""
    if unknown := set(presets) - set(table):
        raise errors.ConfigError(
            f"--presets {','.join(sorted(unknown))}: choose among {', '.join(table)}"
        )
    return [name for name in table if name in (presets or table)]
