"""One logged series of several runs over the training steps."""

from collections.abc import Iterable, Mapping, Sequence
import math
import os
from typing import Any

from etils import epath
import numpy as np

from cellrec_jax import errors
from cellrec_jax.io import figures
from cellrec_jax.workdir import writer


def draw(
    path: str | os.PathLike[str], runs: Mapping[str, Sequence[str]], name: str
) -> None:
    """Draws a line a label, the mean of its work directories (seeds).

    Of `name` in metrics.jsonl, at the steps that all work directories of a label have.
    ConfigError for runs without it, which lists what they have, and for work
    directories of a label that share no step.
    """
    lines = {}
    for label, workdirs in runs.items():
        found = [_series(workdir, name) for workdir in workdirs]
        steps = sorted(set.intersection(*map(set, found)))
        if not steps:
            raise errors.ConfigError(
                f"{label}: {len(found)} work directories have {name} at no common "
                "step: give each a label"
            )
        values = np.array([[one[step] for step in steps] for one in found])
        lines[label] = np.array(steps), values.mean(axis=0)
    figures.series_curves(path, name, lines)


def _series(workdir: str, name: str) -> dict[int, float]:
    """Step -> value, the last that was logged; a resumed run takes steps back."""
    file = epath.Path(workdir).expanduser() / "metrics.jsonl"
    rows = writer.read_metrics(file)
    series: dict[int, float] = {}
    for row in rows:
        if _is_number(row.get(name)):
            step = int(row["step"])
            while series and next(reversed(series)) >= step:
                series.popitem()
            series[step] = float(row[name])
    if not series:
        there = ", ".join(_names(rows)) or f"nothing: {file} is missing or empty"
        raise errors.ConfigError(f"{workdir}: no series --name {name}; it has {there}")
    return series


def _names(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Of what is logged as a number."""
    pairs = (pair for row in rows for pair in row.items())
    return sorted({name for name, value in pairs if _is_number(value)} - {"step"})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
