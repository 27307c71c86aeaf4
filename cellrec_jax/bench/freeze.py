"""`python -m cellrec_jax.bench freeze`: writes the configurations of benchmarks.

A file of `presets` for each configuration file: preset -> all keys, as config.json of a
work directory has them. Machines without ml_collections read these.
"""

import argparse
from collections.abc import Sequence
import json
from pathlib import Path

from cellrec_jax.bench import (
    decoders,
    experiments,
    large,
    predict,
    rounds,
    slide,
    train,
)
from cellrec_jax.io import atomic


def flags() -> list[str]:
    """`FILE[:PRESET]` of all that a benchmark takes."""
    sizes = [(row.small, row.full) for row in predict.ROWS.values()]
    found = {flag for pair in sizes for flag in pair}
    found |= {flag for flag, _ in train.PRESETS.values()}
    found |= {large.CONFIG, rounds.CONFIG, slide.CONFIG}
    for full in (False, True):
        found |= {decoders.flag(name, full) for name in decoders.ROWS}
    return sorted(found)


def texts() -> dict[str, str]:
    """Name of a file in `presets` -> what it should hold."""
    from cellrec_jax import config, config_files, methods

    files: dict[str, dict[str, object]] = {}
    for flag in flags():
        name, _, preset = flag.partition(":")
        fields = config.to_json(methods.freeze(config_files.load(flag)))
        files.setdefault(f"{name}.json", {})[preset] = fields
    return {name: json.dumps(some, indent=1) + "\n" for name, some in files.items()}


def command(arguments: Sequence[str]) -> int:
    """Writes the files, and names them."""
    parser = argparse.ArgumentParser(
        prog="python -m cellrec_jax.bench freeze", description=__doc__
    )
    parser.add_argument("--out", type=Path, default=experiments.PRESETS)
    out = parser.parse_args(arguments).out
    for name, text in texts().items():
        atomic.write_bytes(out / name, text.encode())
        print(out / name)  # noqa: T201
    return 0
