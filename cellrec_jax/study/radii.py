"""F1 over the radius of several runs, as Fig. 3 of Zhang et al., ISBI 2022."""

from collections.abc import Mapping, Sequence
import os
from typing import Any

from etils import epath
import numpy as np

from cellrec_jax import errors
from cellrec_jax.io import recognition_figures
from cellrec_jax.workdir import writer

MEASURES = ("total_F1", "mean_F1")


def draw(
    path: str | os.PathLike[str],
    runs: Mapping[str, Sequence[str]],
    class_name: str = "",
) -> dict[str, dict[str, float | None]]:
    """Draws a line a label, the mean of its work directories (seeds).

    Of one class, "" the first. Returns label -> measure -> mean area of the curves.
    ConfigError for runs without radii, of others, or without the class.
    """
    f1: dict[str, dict[str, list[float | None]]] = {one: {} for one in MEASURES}
    areas: dict[str, dict[str, float | None]] = {}
    first = class_name
    radii_px: list[float] = []
    for label, workdirs in runs.items():
        tables = [_table(workdir) for workdir in workdirs]
        for workdir, table in zip(workdirs, tables, strict=True):
            first = first or next(iter(table["classes"]))
            radii_px = radii_px or table["radii_px"]
            if table["radii_px"] != radii_px or first not in table["classes"]:
                raise errors.ConfigError(
                    f"{workdir}: has other radii, or no class {first}"
                )
        own = [table["classes"][first] for table in tables]
        areas[label] = {
            measure: _mean([[one[measure]["area"]["value"]] for one in own])[0]
            for measure in MEASURES
        }
        for measure in MEASURES:
            f1[measure][label] = _mean([one[measure]["value"] for one in own])
    recognition_figures.radius_curves(path, radii_px, f1)
    return areas


def _table(workdir: str) -> Mapping[str, Any]:
    found = writer.read_json(epath.Path(workdir).expanduser() / "results.json") or {}
    table = found.get("tables", {}).get("radii")
    if not table:
        raise errors.ConfigError(
            f"{workdir}: no F1 over radii; repeat its command with "
            "--config.eval.radii_px=4,8,12"
        )
    return table


def _mean(rows: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Of curves [runs, radii]; None where one is undefined."""
    means = np.mean(np.array(rows, float), axis=0)
    return [float(one) if np.isfinite(one) else None for one in means]
