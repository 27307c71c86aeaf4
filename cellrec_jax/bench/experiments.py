"""Whole experiments that are measured, as their configuration files have them.

Where ml_collections is missing, as files in `presets` have them, see `freeze`.
"""

from collections.abc import Collection, Mapping
import json
from pathlib import Path
from typing import Any

from cellrec_jax import errors
from cellrec_jax.config import Experiment

PRESETS = Path(__file__).parent / "presets"


def load(flag: str, overrides: Mapping[str, str] | None = None) -> Experiment:
    """The experiment of `--config FLAG`; ImportError if its packages are missing."""
    from cellrec_jax import methods  # late: needs what kernels do without
    from cellrec_jax.config import overrides as lib

    settings = _settings(flag)
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


def frozen(flag: str) -> dict[str, Any] | None:
    """The configuration of `FILE[:PRESET]` in `presets`, as config.json has it."""
    name, _, preset = flag.partition(":")
    path = PRESETS / f"{name}.json"
    return json.loads(path.read_text()).get(preset) if path.is_file() else None


def _settings(flag: str) -> Any:
    try:
        from cellrec_jax import config_files
    except ModuleNotFoundError as error:
        stored = frozen(flag)
        if error.name != "ml_collections" or stored is None:
            raise
    else:
        return config_files.load(flag)
    from cellrec_jax import config, methods

    return config.to_json(methods.from_json(stored))
