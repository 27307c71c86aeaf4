"""One logged series of several runs over the training steps.

Of losses it is Fig. A1 of Li et al., A Robust Training Method for Pathological Cellular
Detector via Spatial Loss Calibration, 2021: with fewer annotations the loss is larger
at first and, from about step 3,000 there, smaller.
"""

from collections.abc import Iterable, Mapping, Sequence
import math
import os
from typing import Any

from etils import epath
import numpy as np

from cellrec_jax import errors
from cellrec_jax.io import figures
from cellrec_jax.workdir import writer

COLUMNS = ("series", "label", "keep_rate", "step", "value")
"""Of `measure`; `keep_rate` is empty where a run does not say."""
CROSSING_COLUMNS = ("label", "keep_rate", "than", "crossing", "before", "after")
"""Of `crossings`."""
_Line = tuple[np.ndarray, np.ndarray]


def measure(runs: Mapping[str, Sequence[str]], name: str) -> list[dict[str, Any]]:
    """Rows of a series, the mean of a label's work directories of one keep rate.

    Of `name` in metrics.jsonl, at the steps that all of these have. ConfigError for
    runs without it, which lists what they have, and for those that share no step.
    """
    rows = []
    for label, workdirs in runs.items():
        by_rate: dict[float | None, list[str]] = {}
        for workdir in workdirs:
            by_rate.setdefault(_keep_rate(workdir), []).append(workdir)
        for rate in sorted(by_rate, key=lambda rate: rate or 0.0):
            facts = {"series": name, "label": label, "keep_rate": rate}
            for step, value in zip(*_mean(label, by_rate[rate], name), strict=True):
                rows.append(facts | {"step": int(step), "value": float(value)})
    return rows


def draw(path: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Draws a line a label; a panel a label where one has several keep rates."""
    name, lines = str(rows[0]["series"]), _lines(rows)
    if all(len(by_rate) == 1 for by_rate in lines.values()):
        single = {label: next(iter(one.values())) for label, one in lines.items()}
        figures.series_curves(path, name, single)
        return
    panels = {
        label: {_percent(rate): line for rate, line in by_rate.items()}
        for label, by_rate in lines.items()
    }
    figures.series_panels(path, name, panels, legend="annotations kept")


def crossings(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Where a label's series of each keep rate falls below that of its highest one.

    Rows with the `crossing` (None where there is none) and the mean difference of the
    two `before` and `after` it (of all steps, as `before`, where there is none); of
    labels with several rates alone, at the steps that both have.
    """
    found = []
    for label, by_rate in _lines(rows).items():
        most = list(by_rate)[-1]
        for rate in list(by_rate)[:-1]:
            steps, low, high = _common(by_rate[rate], by_rate[most])
            place = crossing(steps, low, high)
            first = np.full(len(steps), True) if place is None else steps < place
            difference = low - high
            found.append(
                {
                    "label": label,
                    "keep_rate": _percent(rate),
                    "than": _percent(most),
                    "crossing": None if place is None else round(place),
                    "before": _mean_of(difference[first]),
                    "after": _mean_of(difference[~first]),
                }
            )
    return found


def crossing(steps: np.ndarray, first: np.ndarray, second: np.ndarray) -> float | None:
    """The step from which on a series is below another that it was above before.

    Of steps [M], rising, and values [M] each, smoothed as they are drawn; None where
    it stays on one side. Of several crossings the one that leaves most of the area
    between them above before it and below after it: where the sum of differences is
    largest; between two steps by a straight line. Nearer to an end than what values
    are smoothed over there is none.

    Example:
      >>> steps = np.array([0, 10, 20, 30])
      >>> crossing(steps, np.array([4.0, 3, 1, 0]), np.array([2.0, 2, 2, 2]))
      15.0
    """
    difference = figures.running_mean(first) - figures.running_mean(second)
    sums = np.cumsum(difference)
    last = int(np.argmax(sums))
    window = figures.window_of(len(sums))
    sides = min(last + 1, len(sums) - 1 - last)
    if sums[last] <= 0 or sides < window or sums[-1] == sums[last]:
        return None
    above, below = difference[last], -difference[last + 1]
    share = above / (above + below) if above + below > 0 else 0.0
    return float(steps[last] + share * (steps[last + 1] - steps[last]))


def _lines(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[float | None, _Line]]:
    """Label -> keep rate, rising -> steps and values."""
    points: dict[str, dict[float | None, list[tuple[float, float]]]] = {}
    for row in rows:
        rate = None if row["keep_rate"] in (None, "") else float(row["keep_rate"])
        by_rate = points.setdefault(str(row["label"]), {})
        by_rate.setdefault(rate, []).append((int(row["step"]), float(row["value"])))
    lines: dict[str, dict[float | None, _Line]] = {}
    for label, by_rate in points.items():
        lines[label] = {}
        for rate, own in by_rate.items():
            steps, values = zip(*own, strict=True)
            lines[label][rate] = np.array(steps), np.array(values)
    return lines


def _common(first: _Line, second: _Line) -> tuple[np.ndarray, ...]:
    """Steps of two lines, and the values of both there."""
    steps, own, other = np.intersect1d(first[0], second[0], return_indices=True)
    return steps, first[1][own], second[1][other]


def _mean_of(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _percent(rate: float | None) -> str:
    return "of unknown rate" if rate is None else f"{100 * rate:g} %"


def _keep_rate(workdir: str) -> float | None:
    """Of a run's configuration."""
    config = writer.read_json(epath.Path(workdir).expanduser() / "config.json") or {}
    rate = config.get("data", {}).get("keep_rate")
    return None if rate is None else float(rate)


def _mean(label: str, workdirs: Sequence[str], name: str) -> _Line:
    """Common steps of work directories and their mean values."""
    found = [_series(workdir, name) for workdir in workdirs]
    steps = sorted(set.intersection(*map(set, found)))
    if not steps:
        raise errors.ConfigError(
            f"{label}: {len(found)} work directories have {name} at no common step: "
            "give each a label"
        )
    values = np.array([[one[step] for step in steps] for one in found])
    return np.array(steps), values.mean(axis=0)


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
