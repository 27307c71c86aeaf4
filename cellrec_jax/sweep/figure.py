"""One figure a sweep: bars of its rows, or lines along an axis of numbers."""

from collections.abc import Sequence
import dataclasses
import math
import os
from typing import TYPE_CHECKING, Any

from cellrec_jax.io import drawing
from cellrec_jax.sweep import plan
from cellrec_jax.sweep.plan import Sweep
from cellrec_jax.sweep.table import Cell, Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

_DASHES = ("-", "--", ":", "-.")
_PANELS_A_ROW = 3
_BEYOND = 1.3  # times the longest bar that an interval is drawn to


def draw(path: str | os.PathLike[str], sweep: Sweep, lines: Sequence[Line]) -> None:
    """Draws means and intervals over seeds, one panel a metric.

    Along `sweep.x` a line for each row and other axis value; a row without that axis is
    a level. Without `x` bars. The paper's values are diamonds. Rows that share no axis
    are drawn below each other.
    """
    drawn = [
        (part, [line for line in lines if line.row in part.rows])
        for part in parts(sweep)
    ]
    columns = len(sweep.metrics)
    if len(drawn) == 1:
        columns = min(columns, _PANELS_A_ROW)
    heights = [_height(part, own, columns) for part, own in drawn]
    figure = drawing.new_figure(1.6 + 3.6 * columns, 0.8 + sum(heights))
    areas = figure.subfigures(len(drawn), squeeze=False, height_ratios=heights).flat
    for area, (part, own) in zip(areas, drawn, strict=True):
        _draw_part(area, part, own, columns)
    figure.suptitle(drawing.plain(sweep.title), color=drawing.INK, fontsize=11)
    drawing.save(path, figure)


def parts(sweep: Sweep) -> list[Sweep]:
    """Sweeps of the rows that share axes, each with its first axis of numbers as `x`.

    With an `x`, or an axis that its rows share, a sweep is its only part.
    """
    groups = plan.groups(sweep.rows)
    if sweep.x or len(groups) == 1:
        return [sweep]
    found = []
    for rows in groups:
        crossed = next(iter(rows.values())).axes  # all rows of a group have the same
        x = next((axis for axis in crossed if sweep.axes[axis].numbers), "")
        found.append(dataclasses.replace(sweep, rows=rows, x=x))
    return found


def series(sweep: Sweep, lines: Sequence[Line]) -> dict[str, list[Line]]:
    """Label -> lines of the table that differ in nothing but the axis `sweep.x`."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        label = ", ".join([sweep.rows[line.row].label, *_others(sweep, line)])
        found.setdefault(label, []).append(line)
    return found


def _height(sweep: Sweep, lines: Sequence[Line], columns: int) -> float:
    """Height in inches of the panels of a part."""
    panel = 3.2 if sweep.x else 1.0 + 0.28 * len(lines)
    return -(-len(sweep.metrics) // columns) * panel


def _draw_part(
    area: "FigureBase", sweep: Sweep, lines: Sequence[Line], columns: int
) -> None:
    """One panel a metric, and the legend of the lines; one alone is a title."""
    rows = -(-len(sweep.metrics) // columns)
    grid = area.subplots(rows, columns, squeeze=False, sharey=not sweep.x)
    for axes in grid.flat[len(sweep.metrics) :]:
        axes.set_axis_off()
    for axes, name in zip(grid.flat, sweep.metrics, strict=False):
        drawing.style(axes)
        (_draw_lines if sweep.x else _draw_bars)(axes, sweep, lines, name)
    if not (sweep.x and lines):
        return
    named = grid.flat[0].get_legend_handles_labels()
    if len(sweep.rows) == len(named[1]) == 1:
        drawing.title(grid.flat[0], named[1][0])
    else:
        area.legend(*named, loc="outside lower center", ncols=3, fontsize=8.5)


def _draw_lines(axes: "Axes", sweep: Sweep, lines: Sequence[Line], name: str) -> None:
    for label, own in series(sweep, lines).items():
        means, halves = _numbers([line.cells[name] for line in own])
        look: dict[str, Any] = _look(sweep, lines, own[0])
        look["label"] = drawing.plain(label)
        if sweep.x not in own[0].axes:
            axes.axhline(means[0], **look)
            continue
        x = [float(line.axes[sweep.x]) for line in own]
        axes.errorbar(x, means, halves, marker="o", ms=4, capsize=2.5, **look)
        papers = _papers(sweep, own, name)
        axes.plot(x, papers, ":D", ms=3, lw=1, color=look["color"], alpha=0.6)
    axes.set_xlabel(drawing.plain(sweep.x), color=drawing.INK)
    axes.set_ylabel(_named(sweep, name), color=drawing.INK)


def _look(sweep: Sweep, lines: Sequence[Line], line: Line) -> dict[str, Any]:
    """Colours tell the values of other axes apart, and dashes rows; or colours rows."""
    values = list(dict.fromkeys(_others(sweep, one) for one in lines))
    color = row = list(sweep.rows).index(line.row)
    dashes = "-" if sweep.x in line.axes else "--"
    if len(values) > 1:
        color = values.index(_others(sweep, line))
        dashes = _DASHES[row % len(_DASHES)]
    return {"color": drawing.color(color), "ls": dashes, "lw": 1.4}


def _others(sweep: Sweep, line: Line) -> tuple[str, ...]:
    """What a label adds to the row: its values on the axes but `sweep.x`."""
    return tuple(f"{key} {one}" for key, one in line.axes.items() if key != sweep.x)


def _draw_bars(axes: "Axes", sweep: Sweep, lines: Sequence[Line], name: str) -> None:
    labels = [drawing.plain(label) for label in series(sweep, lines)]
    means, halves = _numbers([line.cells[name] for line in lines])
    places = range(len(lines))
    axes.barh(places, means, height=0.65, color=drawing.color(0), alpha=0.45)
    axes.errorbar(
        means, places, xerr=halves, fmt="o", ms=3, color=drawing.INK, capsize=2.5
    )
    papers = _papers(sweep, lines, name)
    axes.plot(papers, places, "D", ms=4.5, color=drawing.color(1))
    axes.set_yticks(places, labels)
    axes.set_ylim(max(len(lines), 1) - 0.5, -0.5)  # the first row on top
    axes.set_xlim(left=0)
    if shown := [value for value in (*means, *papers) if value > 0]:  # not NaN
        # An interval of two seeds is as wide as it is honest: it would hide the rest.
        axes.set_xlim(right=min(axes.get_xlim()[1], _BEYOND * max(shown)))
    axes.set_xlabel(_named(sweep, name), color=drawing.INK)


def _papers(sweep: Sweep, lines: Sequence[Line], name: str) -> list[float]:
    """The paper's values; NaN, which is not drawn, where it has none."""
    found = [plan.printed(sweep, line.row, line.axes, name) for line in lines]
    return [math.nan if value is None else value for value in found]


def _named(sweep: Sweep, name: str) -> str:
    printed = any(name in row.paper for row in sweep.rows.values())
    return drawing.plain(name) + (" (diamond: paper)" if printed else "")


def _numbers(cells: Sequence[Cell]) -> tuple[list[float], list[float]]:
    """Means and half intervals; NaN, which is not drawn, where there is none."""
    means = [math.nan if cell.mean is None else cell.mean for cell in cells]
    return means, [math.nan if cell.half is None else cell.half for cell in cells]
