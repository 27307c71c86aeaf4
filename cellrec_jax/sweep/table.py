"""What the runs found: one CSV line a run, one line of a Markdown table a setting."""

from collections.abc import Iterable, Mapping, Sequence
import math
import os
from pathlib import Path
import statistics
from typing import Any, NamedTuple

from scipy import stats

from cellrec_jax.io import atomic
from cellrec_jax.io import table as io_table
from cellrec_jax.sweep import plan
from cellrec_jax.sweep.plan import Run, Sweep

_CONFIDENCE = 0.95
CONFIG = "config"
"""Column of `state.digest`."""
_FACTS = ("seconds", "predict_s", "parameters", CONFIG)
BEST_F1 = "F1(best)"
"""A metric: F1, matched one to one, at that score threshold of `CURVE_THRESHOLDS` which
suits the test images best; beside F1 it says what the threshold costs."""


class Record(NamedTuple):
    """Results of a run."""

    run: Run
    values: Mapping[str, float | None]
    """Of the sweep's metrics; None where undefined or not measured."""
    facts: Mapping[str, Any]
    """`_FACTS` and versions, as far as they are known."""


class Cell(NamedTuple):
    """A metric over seeds."""

    mean: float | None
    half: float | None
    """Half the 95 % t interval; None with fewer than two seeds."""
    num_seeds: int


class Line(NamedTuple):
    """A row of the sweep at one combination of axis values."""

    row: str
    axes: Mapping[str, str]
    num_seeds: int
    cells: Mapping[str, Cell]


def record(
    run: Run, results: Mapping[str, Any], metrics: Sequence[str], config: str = ""
) -> Record:
    """Picks what a table needs from the content of results.json.

    Its `metrics`; or seconds (of training, all stages), predict_s (an image's),
    parameters (of the network), `BEST_F1`, those of `_over_radii`. `config` is
    `state.digest`.
    """
    tables = results.get("tables", {})
    measured, found = results.get("metrics", {}), results.get("run", {})
    facts = {key: found.get("timing", {}).get(key) for key in ("seconds", "predict_s")}
    facts |= {"parameters": found.get("parameters"), CONFIG: config}
    known = {**facts, BEST_F1: _best_f1(tables), **_over_radii(tables.get("radii", {}))}
    values = {
        name: measured[name].get("value") if name in measured else known.get(name)
        for name in metrics
    }
    return Record(run, values, {**facts, **found.get("versions", {})})


def _best_f1(tables: Mapping[str, Any]) -> float | None:
    """Mean over classes of the highest point of each one's threshold curve."""
    curves = tables.get("threshold_curves", {}).get("curves", {})
    peaks = [
        max(defined)
        for curve in curves.values()
        if (defined := [f1 for f1 in curve["F1"] if f1 is not None])
    ]
    return statistics.fmean(peaks) if peaks else None


def _over_radii(radii: Mapping[str, Any]) -> dict[str, float | None]:
    """F1 of classes at each of `eval.radii_px`, and the areas of these curves.

    `F1@8px/CLASS` (of all cells together), `mean_F1@8px/CLASS` (of images),
    `F1(area)/CLASS` and `mean_F1(area)/CLASS`.
    """
    found = {}
    for label, curves in radii.get("classes", {}).items():
        for name, measure in (("F1", "total_F1"), ("mean_F1", "mean_F1")):
            values = curves[measure]["value"]
            for radius, value in zip(radii["radii_px"], values, strict=True):
                found[f"{name}@{radius:g}px/{label}"] = value
            found[f"{name}(area)/{label}"] = curves[measure]["area"]["value"]
    return found


def interval(values: Sequence[float]) -> Cell:
    """Mean and 95 % t interval of independent values."""
    if len(values) < 2:
        return Cell(values[0] if values else None, None, len(values))
    error = statistics.stdev(values) / math.sqrt(len(values))
    quantile = stats.t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1)
    return Cell(statistics.fmean(values), float(quantile * error), len(values))


def summarize(sweep: Sweep, records: Iterable[Record]) -> list[Line]:
    """Means over seeds, as in the sweep file; settings without a run are left out.

    A seed's value is the mean of its folds that are done; intervals are over seeds.
    """
    groups: dict[tuple[int, ...], list[Record]] = {}
    for one in records:
        groups.setdefault(_place(sweep, one.run), []).append(one)
    lines = []
    for _, group in sorted(groups.items()):
        cells = {name: _over_seeds(group, name) for name in sweep.metrics}
        num_seeds = len({one.run.seed for one in group})
        lines.append(Line(group[0].run.row, group[0].run.axes, num_seeds, cells))
    return lines


def markdown(sweep: Sweep, lines: Iterable[Line]) -> str:
    """Means ± half intervals and the paper's values; no line break at the end."""
    printed = {name for row in sweep.rows.values() for name in row.paper}
    header = ["row", *sweep.axes, "seeds"]
    for name in sweep.metrics:
        header += [name, "paper"] if name in printed else [name]
    table = [header, ["---"] * len(header)]
    for line in lines:
        row = sweep.rows[line.row]
        cells = [row.label, *(line.axes.get(axis, "") for axis in sweep.axes)]
        cells.append(str(line.num_seeds))
        for name in sweep.metrics:
            cells.append(_text(line.cells[name], line.num_seeds))
            cells += [_paper(sweep, line, name)] if name in printed else []
        table.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table)


def write_markdown(path: Path, sweep: Sweep, texts: Sequence[str]) -> None:
    """Writes tables, that of `markdown` first, under the sweep's title."""
    note = "Mean ± half the 95 % t interval over seeds."
    text = "\n\n".join([f"# {sweep.title}", note, *texts])
    atomic.write_bytes(path, f"{text}\n".encode())


def write_csv(
    path: str | os.PathLike[str], sweep: Sweep, records: Sequence[Record]
) -> None:
    """Writes a line a run: what it was, its metrics, seconds, parameters, versions."""
    rows: list[dict[str, Any]] = []
    for run, values, facts in records:
        row = {"sweep": sweep.name, "row": run.row, **run.axes, "seed": run.seed}
        rows.append({**row, "fold": run.fold, **values, **facts})
    first = ["sweep", "row", *sweep.axes, "seed", "fold", *sweep.metrics, *_FACTS]
    columns = list(dict.fromkeys([*first, *(key for row in rows for key in row)]))
    empty = dict.fromkeys(columns)
    io_table.write_rows(path, [{**empty, **row} for row in rows], columns)


def _place(sweep: Sweep, run: Run) -> tuple[int, ...]:
    """Position of a run's row, and of its values on their axes."""
    chosen = (list(sweep.axes[axis].choices).index(k) for axis, k in run.axes.items())
    return (list(sweep.rows).index(run.row), *chosen)


def _over_seeds(group: Iterable[Record], name: str) -> Cell:
    by_seed: dict[int, list[float]] = {}
    for one in group:
        value = one.values[name]
        if value is not None:
            by_seed.setdefault(one.run.seed, []).append(value)
    return interval([statistics.fmean(folds) for folds in by_seed.values()])


def _text(cell: Cell, num_seeds: int) -> str:
    if cell.mean is None:
        return "-"
    digits = _digits(cell.mean)
    text = f"{cell.mean:,.{digits}f}"
    if cell.half:  # 0 where nothing varies, as with parameters
        text += f" ± {cell.half:,.{digits}f}"
    return text if cell.num_seeds == num_seeds else f"{text} (n={cell.num_seeds})"


def _digits(value: float) -> int:
    return 3 if abs(value) < 100 else 0


def _paper(sweep: Sweep, line: Line, name: str) -> str:
    value = plan.printed(sweep, line.row, line.axes, name)
    return "" if value is None else f"{value:,.{_digits(value)}f}"
