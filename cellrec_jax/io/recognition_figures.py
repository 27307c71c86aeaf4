"""Figures of cell recognition: the confusion matrix and F1 over the threshold."""

from collections.abc import Mapping, Sequence
import os
from typing import TYPE_CHECKING

import numpy as np

from cellrec_jax.io import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def confusion_matrix(
    path: str | os.PathLike[str], counts: np.ndarray, class_names: Sequence[str]
) -> None:
    """Draws how many cells of each class were predicted as which class.

    A square is as dark as its share of its row; the number is the count. `counts` is
    int [K + 1, K + 1], row annotated, column predicted; last column missed cells, last
    row false detections.
    """
    counts = np.asarray(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [drawing.plain(name) for name in class_names]
    side = 2.4 + 0.8 * len(counts)
    figure = drawing.new_figure(side + 0.8, side)
    axes = figure.add_subplot()
    drawing.style(axes, "predicted class", "annotated class")
    axes.grid(visible=False)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(counts))
    axes.set_xticks(ticks, [*names, "missed"], rotation=30, ha="right")
    axes.set_yticks(ticks, [*names, "false detection"])
    # No cell can be both missed and invented.
    for row, column in list(np.ndindex(*counts.shape))[:-1]:
        color = "white" if shares[row, column] > 0.5 else drawing.INK
        text = f"{counts[row, column]:,}"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=9)
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label("share of the row", color=drawing.INK)
    drawing.save(path, figure)


def threshold_curve(
    path: str | os.PathLike[str],
    thresholds: np.ndarray,
    f1: Mapping[str, np.ndarray],
    *,
    operating: Mapping[str, float] | None = None,
) -> None:
    """Draws F1 over the score threshold, one line a class.

    Thresholds [T] in [0, 1]; class name -> F1 [T], NaN (not drawn) where undefined, and
    class name -> the fitted threshold, a dashed line.
    """
    figure = drawing.new_figure(6.8, 4.0)
    axes = figure.add_subplot()
    drawing.title(axes, "Dashed: operating threshold" if operating else "")
    if draw_thresholds(axes, thresholds, f1, operating or {}):
        # Curves and lines may be anywhere: the legend stands beside them.
        axes.legend(
            loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8.5, frameon=False
        )
    drawing.save(path, figure)


def draw_thresholds(
    axes: "Axes",
    thresholds: np.ndarray,
    f1: Mapping[str, np.ndarray],
    operating: Mapping[str, float],
) -> bool:
    """Draws the curves of `threshold_curve`; whether any value is defined."""
    drawing.style(axes, "score threshold", "F1")
    drawing.unit_square(axes)
    for position, (name, values) in enumerate(f1.items()):
        color = drawing.color(position)
        axes.plot(thresholds, values, color=color, lw=1.8, label=drawing.plain(name))
        if name in operating:
            axes.axvline(operating[name], color=color, lw=1.2, ls="--")
    if any(np.isfinite(values).any() for values in f1.values()):
        return True
    drawing.say_empty(axes, "no cells and no detections")
    return False


def radius_curves(
    path: str | os.PathLike[str],
    radii_px: Sequence[float],
    f1: Mapping[str, Mapping[str, Sequence[float | None]]],
) -> None:
    """Draws F1 over the radius: a panel a measure, a line a class.

    Measure -> class name -> F1 at each radius, None (not drawn) where undefined.
    """
    figure = drawing.new_figure(1.6 + 3.6 * len(f1), 4.0)
    panels = figure.subplots(1, len(f1), squeeze=False, sharey=True)[0]
    for axes, (measure, curves) in zip(panels, f1.items(), strict=True):
        drawing.style(axes, "radius, px", drawing.plain(measure))
        for position, (name, values) in enumerate(curves.items()):
            heights = np.array(values, float)
            color = drawing.color(position)
            axes.plot(radii_px, heights, color=color, lw=1.8, label=drawing.plain(name))
        axes.set_ylim(0, 1)
    panels[-1].legend(
        loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8.5, frameon=False
    )
    drawing.save(path, figure)
