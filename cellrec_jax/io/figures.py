"""Figures of a run, as PNG. Matplotlib is imported when the first one is drawn."""

from collections.abc import Mapping, Sequence
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from cellrec_jax.io import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WINDOWS = 25  # of a running mean, in a series


def loss_curves(
    path: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Draws every logged loss over the training steps.

    That is, names with a part `loss`: totals (those whose last part it is) left, terms
    right; many raw values are pale under a running mean. The axis is logarithmic where
    all are positive and the largest is over 30 times the least. `rows` have `step` and
    name -> value; None, NaN and other non-numbers are left out.
    """
    panels = loss_panels(rows) or [{}]
    figure = drawing.new_figure(5.2 * len(panels), 3.6)
    for index, panel in enumerate(panels):
        draw_losses(figure.add_subplot(1, len(panels), index + 1), panel)
    drawing.save(path, figure)


def loss_panels(
    rows: Sequence[Mapping[str, Any]],
) -> list[dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Losses of `loss_curves`, name -> (steps, values): totals, then terms, if any."""
    series = _loss_series(rows)
    totals = {name: line for name, line in series.items() if name.endswith("loss")}
    parts = {name: line for name, line in series.items() if name not in totals}
    return [panel for panel in (totals, parts) if panel]


def draw_losses(
    axes: "Axes", panel: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    """Draws a panel of `loss_curves`."""
    drawing.style(axes, "training step", "loss")
    axes.locator_params(axis="x", integer=True)
    for position, (name, line) in enumerate(panel.items()):
        draw_line(axes, name, *line, drawing.color(position))
    values = np.concatenate([np.zeros(0), *(value for _, value in panel.values())])
    if len(values) and values.min() > 0 and values.max() > 30 * values.min():
        axes.set_yscale("log")
    elif len(values) and values.min() >= 0:
        axes.set_ylim(0, 1.08 * (values.max() or 1))
    if panel:
        drawing.legend(axes, loc="upper right")
    else:
        drawing.say_empty(axes, "no loss was logged")


def series_curves(
    path: str | os.PathLike[str],
    name: str,
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> None:
    """Draws the series `name` over the training steps, one line a label.

    `lines` are label -> (steps [M], values [M]); many raw values are pale under a
    running mean.
    """
    figure = drawing.new_figure(6.8, 4.0)
    axes = figure.add_subplot()
    drawing.style(axes, "training step", drawing.plain(name))
    axes.locator_params(axis="x", integer=True)
    for position, (label, line) in enumerate(lines.items()):
        draw_line(axes, label, *line, drawing.color(position))
    # Curves may be anywhere: the legend stands beside them.
    axes.legend(
        loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8.5, frameon=False
    )
    drawing.save(path, figure)


def series_panels(
    path: str | os.PathLike[str],
    name: str,
    panels: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]],
    *,
    legend: str = "",
) -> None:
    """Draws `series_curves` side by side, title -> lines, on the same axes.

    Lines of one label have one colour, of a scale in the labels' order; `legend` is the
    title above them. The axis of values is logarithmic as in `loss_curves`.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    figure = drawing.new_figure(0.8 + 4.4 * len(panels), 4.0)
    grid = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    every = [values for lines in panels.values() for _, values in lines.values()]
    values = np.concatenate(every)
    labels = [label for lines in panels.values() for label in lines]
    names = sorted(set(labels), key=lambda name: (len(name), name))
    scale = colormaps["viridis"](np.linspace(0, 0.9, len(names)))
    colors = dict(zip(names, map(to_hex, scale), strict=True))
    for index, (axes, (title, lines)) in enumerate(
        zip(grid, panels.items(), strict=True)
    ):
        drawing.style(axes, "training step", "" if index else drawing.plain(name))
        drawing.title(axes, drawing.plain(title))
        axes.locator_params(axis="x", integer=True)
        for label, line in lines.items():
            draw_line(axes, label, *line, colors[label])
        if values.min() > 0 and values.max() > 30 * values.min():
            axes.set_yscale("log")
        axes.legend(
            title=legend,
            title_fontsize=8.5,
            fontsize=8.5,
            framealpha=0.9,
            edgecolor="none",
        )
    drawing.save(path, figure)


def running_mean(values: np.ndarray) -> np.ndarray:
    """Mean of about a 25th part of a series [M] around each value, f64 [M].

    At both ends of the part of the window that exists; few values stay as they are.
    """
    weights = np.ones(window_of(len(values)))
    smooth = np.convolve(values, weights, "same")
    return smooth / np.convolve(np.ones(len(values)), weights, "same")


def window_of(number: int) -> int:
    """Values that `running_mean` of so many is over; 1 of few."""
    return max(number // _WINDOWS, 1)


def precision_recall(
    path: str | os.PathLike[str],
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    criterion: str = "box IoU > 0.5",
) -> None:
    """Draws precision over recall, one line a class.

    `curves` are class name -> (recall [M], precision [M]), best score first;
    `criterion` is what makes a true positive, for the title.
    """
    figure = drawing.new_figure(4.8, 4.4)
    axes = figure.add_subplot()
    drawing.style(axes, "recall", "precision")
    drawing.unit_square(axes)
    drawing.title(axes, f"True positive: {criterion}")
    for position, (name, (recall, precision)) in enumerate(curves.items()):
        color, label = drawing.color(position), drawing.plain(name)
        axes.plot(recall, precision, color=color, lw=1.8, label=label)
        if len(recall):  # the curve ends where detections do, not where recall is 1
            axes.plot(recall[-1], precision[-1], "o", ms=4, color=color)
    if curves:
        drawing.legend(axes, loc="lower left")
    else:
        drawing.say_empty(axes, "no detections")
    drawing.save(path, figure)


def reliability(
    path: str | os.PathLike[str],
    edges: np.ndarray,
    mean_score: np.ndarray,
    fraction_true: np.ndarray,
    counts: np.ndarray,
    ece: float | None,
) -> None:
    """Draws the precision of detections by score, and how many there are.

    Of S score bins: borders `edges` [S + 1] in [0, 1], mean scores and shares of true
    positives [S], NaN where empty, detections [S]. `ece`: expected calibration error,
    None without detections.
    """
    figure = drawing.new_figure(4.8, 5.2)
    grid = figure.add_gridspec(2, 1, height_ratios=(3, 1))
    upper = figure.add_subplot(grid[0])
    lower = figure.add_subplot(grid[1], sharex=upper)
    drawing.style(upper, "", "precision (share of true positives)")
    drawing.style(lower, "score", "detections")
    drawing.unit_square(upper)
    upper.tick_params(labelbottom=False)
    filled = np.asarray(counts) > 0
    starts, widths = np.asarray(edges)[:-1], np.diff(edges)
    scores, shares = np.asarray(mean_score)[filled], np.asarray(fraction_true)[filled]
    bar: dict[str, Any] = {"align": "edge", "edgecolor": "white"}
    upper.bar(starts[filled], shares, widths[filled], color="#a9cbe2", **bar)
    upper.plot([0, 1], [0, 1], "--", color="#888888", label="perfect calibration")
    upper.plot(scores, shares, "o-", color=drawing.color(0), ms=4, label="these scores")
    lower.bar(starts, counts, widths, color="#8c8c8c", **bar)
    error = "not defined" if ece is None else f"{ece:.3f}"
    total = f"{int(np.sum(counts)):,} detections"
    drawing.title(upper, f"Expected calibration error {error}, {total}")
    drawing.legend(upper, loc="upper left")
    drawing.save(path, figure)


def _loss_series(
    rows: Sequence[Mapping[str, Any]],
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Loss name -> (steps, values), rows without a number left out."""
    points: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for name, value in row.items():
            is_loss = "loss" in name.split("/")
            if is_loss and isinstance(value, int | float) and np.isfinite(value):
                points.setdefault(name, []).append((float(row["step"]), float(value)))
    return {name: (*np.array(line).T,) for name, line in sorted(points.items())}


def draw_line(
    axes: "Axes", name: str, steps: np.ndarray, values: np.ndarray, color: str
) -> None:
    """Draws raw values pale and their running mean; few values as they are."""
    label = drawing.plain(name)
    if window_of(len(values)) < 2:
        marker = "o" if len(values) < 3 else None
        axes.plot(steps, values, color=color, lw=1.5, marker=marker, ms=4, label=label)
        return
    smooth = running_mean(values)
    axes.plot(steps, values, color=color, lw=0.7, alpha=0.25)
    axes.plot(steps, smooth, color=color, lw=1.8, label=label)
