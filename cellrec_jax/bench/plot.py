"""One figure a kernel: time over size, log-log, one line a contestant.

Matplotlib is imported when the first figure is drawn; benchmarks run without it.
"""

from collections.abc import Mapping, Sequence
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellrec_jax import errors
from cellrec_jax.bench.report import Report, Row, point
from cellrec_jax.io import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COPY_STYLE = {"color": "#8c8c8c", "ls": ":"}  # a bound, not a rival
_PANELS_A_ROW = 4


def require_matplotlib() -> None:
    """Raises a ConfigError before anything is measured, rather than after."""
    if importlib.util.find_spec("matplotlib") is None:
        raise errors.ConfigError(
            "--plot needs Matplotlib: pip install matplotlib, or leave --plot out"
        )


def draw(path: Path, name: str, report: Report, facts: Mapping[str, Any]) -> None:
    """Draws medians as lines and quartiles as bands, one panel a pass and setting.

    Without rows the figure says so. RunError if the file cannot be written.
    """
    panels = _panels(report.rows, report.x)
    names = list(dict.fromkeys(row["contestant"] for row in report.rows))
    width = min(len(panels), _PANELS_A_ROW) or 1
    height = -(-len(panels) // width) or 1
    figure = drawing.new_figure(1.2 + 3.4 * max(width, 1.5), 1.1 + 3.0 * height)
    grid = figure.subplots(height, width, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    lines: dict[str, Any] = {}  # one of each contestant, for the legend
    for axes, (title, rows) in zip(grid.flat, panels.items(), strict=False):
        axes.set_xscale("log")
        axes.set_yscale("log")
        drawing.title(axes, title)
        drawing.style(axes)
        for position, contestant in enumerate(names):
            own = [row for row in rows if row["contestant"] == contestant]
            if own:
                lines[contestant] = _draw_line(axes, position, own, report.x)
    text: Any = {"color": drawing.INK, "fontsize": 10}
    figure.supxlabel(report.x.replace("_", " "), **text)
    figure.supylabel("time a call, ms", **text)
    machine = f"{facts['device']} ({facts['cores']} cores)"
    figure.suptitle(f"{name}: median and quartiles on {machine}", **text)
    if lines:
        legend: Any = {"fontsize": 9, "frameon": False, "loc": "outside lower center"}
        figure.legend(lines.values(), lines.keys(), ncols=min(len(lines), 4), **legend)
    else:
        drawing.say_empty(grid.flat[0], "nothing was timed")
    drawing.save(path, figure)


def _panels(rows: Sequence[Row], x: str) -> dict[str, list[Row]]:
    """Title -> rows that differ in size and contestant only."""
    columns = point(rows[0]) if rows else {}
    varying = [c for c in columns if c != x and not _follows(rows, c, x)]
    panels: dict[str, list[Row]] = {}
    for row in rows:
        words = [
            row[column] if isinstance(row[column], str) else f"{column} {row[column]}"
            for column in varying
        ]
        panels.setdefault(", ".join([*words, row["direction"]]), []).append(row)
    return panels


def _follows(rows: Sequence[Row], column: str, x: str) -> bool:
    """Whether a column has one value at each x, or one value at all."""
    values: dict[Any, set[Any]] = {}
    for row in rows:
        values.setdefault(row[x], set()).add(row[column])
    constant = len(set().union(*values.values())) == 1
    return constant or (len(values) > 1 and all(len(v) == 1 for v in values.values()))


def _draw_line(axes: "Axes", position: int, rows: Sequence[Row], x: str) -> Any:
    name = rows[0]["contestant"]
    style: dict[str, Any] = {"color": drawing.color(position), "ls": "-"}
    if name == "copy":
        style |= _COPY_STYLE
    elif name.startswith("torch"):
        style["ls"] = "--"
    rows = sorted(rows, key=lambda row: row[x])
    sizes = [row[x] for row in rows]
    low, high = ([row[key] for row in rows] for key in ("low_ms", "high_ms"))
    axes.fill_between(sizes, low, high, color=style["color"], alpha=0.18, lw=0)
    medians = [row["median_ms"] for row in rows]
    return axes.plot(sizes, medians, marker="o", ms=3.5, lw=1.6, **style)[0]
