"""Boxes of training drawn over its steps, and their energies: Fig. 2 of the paper."""

from collections.abc import Mapping, Sequence
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from cellrec_jax.io import drawing
from cellrec_jax.study.energies import KINDS, Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

_PANEL_INCH = 3.0
_ANNOTATED, _REGRESSION = "#e61414", "#00a000"
_NAMES = {
    "annotated": "annotated cells",
    "unannotated": "unannotated cells",
    "background": "background",
}


def draw(path: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Draws a run a row, energies left and areas under the ROC curve right, as PNG.

    Rows as of `energies.measure`, or as text.
    """
    runs: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        runs.setdefault((row["label"], row["run"]), []).append(row)
    names = [label for label, _ in runs]
    figure = drawing.new_figure(9.6, 3.2 * len(runs) + 0.4)
    grid = figure.subplots(len(runs), 2, squeeze=False)
    for line, ((label, run), own) in zip(grid, runs.items(), strict=True):
        name = label if names.count(label) == 1 else f"{label}: {run}"
        drawing.title(line[0], drawing.plain(name))
        drawing.title(line[1], "unannotated cells against background")
        steps = [int(row["step"]) for row in own]
        for index, kind in enumerate(KINDS):
            values = [_number(row[f"energy_{kind}"]) for row in own]
            look = {"color": drawing.color(index), "label": _NAMES[kind]}
            line[0].plot(steps, values, "o-", ms=3.5, lw=1.6, **look)
        for index, (name, text) in enumerate(
            (("AUC_energy", "low energy"), ("AUC_score", "high score"))
        ):
            values = [_number(row[name]) for row in own]
            look = {"color": drawing.color(index + 3), "label": text}
            line[1].plot(steps, values, "o-", ms=3.5, lw=1.6, **look)
        line[1].axhline(0.5, color="#888888", ls="--", lw=1, label="chance")
        line[1].set_ylim(top=1.0)
        for axes, y_label in zip(line, ("mean energy", "AUC"), strict=True):
            drawing.style(axes, "training step", y_label)
            axes.locator_params(axis="x", integer=True)
            axes.legend(fontsize=8.5, frameon=True, framealpha=0.9, edgecolor="none")
    drawing.save(path, figure)


def draw_boxes(
    path: str | os.PathLike[str], panels: Mapping[str, Sequence[Panel]]
) -> None:
    """Draws a label a row, a step of training a column: boxes on an image, as PNG.

    Regression boxes are green, annotations red, as in the paper; dashed are cells
    without an annotation, which it does not show.
    """
    columns = max(map(len, panels.values()))
    size = _PANEL_INCH * columns, (_PANEL_INCH + 0.3) * len(panels) + 0.4
    figure = drawing.new_figure(*size)
    grid = figure.subplots(len(panels), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, (label, own) in zip(grid, panels.items(), strict=True):
        for place, (axes, panel) in enumerate(zip(line, own, strict=False)):
            name = f"{label}, step" if not place and len(panels) > 1 else "step"
            title = f"{name} {panel.step:,} ({panel.share:.0%})"
            drawing.title(axes, drawing.plain(title))
            _show(axes, panel)
    _legend(figure)
    drawing.save(path, figure)


def _show(axes: "Axes", panel: Panel) -> None:
    height, width = panel.image.shape[:2]
    axes.imshow(np.clip(panel.image, 0, 1), extent=(0, width, height, 0))
    _outline(axes, panel.boxes_yxyx, edgecolor=_REGRESSION, lw=0.7, alpha=0.8)
    _outline(axes, panel.cells_yxyx, edgecolor=_ANNOTATED, lw=0.9, ls=":")
    _outline(axes, panel.annotated_yxyx, edgecolor=_ANNOTATED, lw=2.0)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)


def _outline(axes: "Axes", boxes_yxyx: np.ndarray, **look: Any) -> None:
    from matplotlib.patches import Rectangle

    for y0, x0, y1, x1 in boxes_yxyx.tolist():
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, **look))


def _legend(figure: "FigureBase") -> None:
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], color=_REGRESSION, lw=1.2, label="regression boxes"),
        Line2D([], [], color=_ANNOTATED, lw=2.0, label="annotations"),
        Line2D([], [], color=_ANNOTATED, lw=1.2, ls=":", label="other cells"),
    ]
    options: dict[str, Any] = {"ncols": 3, "fontsize": 8.5, "frameon": False}
    figure.legend(handles=entries, loc="outside lower center", **options)


def _number(value: Any) -> float:
    """A cell of a table; NaN, which is not drawn, where it is empty."""
    return math.nan if value in (None, "") else float(value)
