"""Charts of a report, as SVG in the page's own colours; None where there is no data."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cellrec_jax.io import drawing, figures, recognition_figures
from cellrec_jax.report.blocks import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE = (4.8, 3.3)  # inches, so that text is legible on a phone


def losses(rows: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """Losses over the steps: totals, and their terms."""
    found = []
    for number, panel in enumerate(figures.loss_panels(rows)):
        axes = _axes()
        figures.draw_losses(axes, panel)
        caption = ("Loss", "Terms of the loss")[number]
        found.append(_picture(axes, f"loss-{number}", f"{caption} over the training."))
    return found


def validation(rows: Sequence[Mapping[str, Any]]) -> Picture | None:
    """What was measured on validation images meanwhile, where it was more than once."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for one in rows:
        for name, value in one.items():
            if name.startswith("val/") and isinstance(value, int | float):
                lines.setdefault(name, []).append((one["step"], value))
    lines = {name: line for name, line in lines.items() if len(line) > 1}
    if not lines:
        return None
    axes = _axes()
    drawing.style(axes, "training step", "validation images")
    for place, (name, line) in enumerate(sorted(lines.items())):
        color, label = drawing.color(place), drawing.plain(name)
        axes.plot(*np.array(line).T, "o-", ms=3, color=color, label=label)
    axes.legend(loc="best", fontsize=8.5, edgecolor="none")
    return _picture(axes, "validation", "Scores on validation images.")


def thresholds(
    tables: Mapping[str, Any], operating: Mapping[str, float]
) -> Picture | None:
    """F1 over the score threshold."""
    stored = tables.get("threshold_curves") or {}
    f1 = {
        name: np.array(curve["F1"], float)
        for name, curve in stored.get("curves", {}).items()
    }
    if not f1:
        return None
    axes = _axes(*_SIZE)
    cuts = np.array(stored["thresholds"], float)
    if recognition_figures.draw_thresholds(axes, cuts, f1, operating):
        _legend_below(axes)
    return _picture(
        axes, "thresholds", "F1 at every threshold; the dashed lines are those in use."
    )


def counts(rows: Sequence[Mapping[str, str]]) -> Picture | None:
    """Cells found in each image over those annotated."""
    axes = _dots(rows, "num_predicted", "num_truth")
    if axes is None:
        return None
    drawing.style(axes, "annotated cells", "cells found")
    return _picture(axes, "counts", "Number of cells, a dot an image.")


def shares(rows: Sequence[Mapping[str, str]], *columns: str) -> Picture | None:
    """The share that classes stand for, of detections over that of annotations.

    `columns` name them, as in "TPS_predicted" and "TPS_annotated"; without any, None.
    """
    axes = _dots(rows, *columns) if len(columns) == 2 else None
    if axes is None:
        return None
    name = columns[0].removesuffix("_predicted").replace("_", " ")
    drawing.style(axes, f"{name}, annotated", f"{name}, found")
    drawing.unit_square(axes)
    return _picture(axes, "shares", f"The {name} of each image, a dot an image.")


def rounds(summaries: Sequence[Mapping[str, Any]]) -> Picture | None:
    """Precision, recall and F1 over rounds: of test images, training ones dashed."""
    if len(summaries) < 2:
        return None
    axes = _axes()
    drawing.style(axes, "round", "")
    axes.set_xticks(range(len(summaries)))
    drawn = False
    for split, dash in (("train", "--"), ("test", "-")):
        for place, key in enumerate(("F1", "precision", "recall")):
            values = [(one.get(split) or {}).get(key) for one in summaries]
            heights = np.array(values, float)
            if np.isfinite(heights).any():
                drawn = True
                label = f"{key}, {split}" if split == "test" else None
                color = drawing.color(place)
                axes.plot(heights, f"o{dash}", ms=4, color=color, label=label)
    if not drawn:
        return None
    _legend_below(axes)
    caption = "Precision, recall and F1 over the rounds; dashed: training images."
    return _picture(axes, "rounds", caption)


def _dots(
    rows: Sequence[Mapping[str, str]], found: str, annotated: str
) -> "Axes | None":
    """A column over another, a dot a row; None of fewer than two."""
    names = annotated, found
    kept = [one for one in rows if all(one.get(name) for name in names)]
    if len(kept) < 2:
        return None
    across, up = (np.array([float(one[name]) for one in kept]) for name in names)
    axes = _axes(4.8, 4.0)
    most = 1.08 * max(across.max(), up.max(), 0.01)
    axes.axline((0, 0), slope=1, ls="--", lw=1, color="#888888", label="equal")
    axes.plot(across, up, "o", ms=5, alpha=0.7, color=drawing.color(0))
    axes.set_xlim(0, most)
    axes.set_ylim(0, most)
    drawing.legend(axes, "upper left")
    return axes


def _axes(width: float = _SIZE[0], height: float = _SIZE[1]) -> "Axes":
    return drawing.new_figure(width, height).add_subplot()


def _legend_below(axes: "Axes") -> None:
    """Curves may be anywhere: the legend stands below them."""
    _figure(axes).legend(
        loc="outside lower center", ncols=3, fontsize=8.5, frameon=False
    )


def _picture(axes: "Axes", name: str, caption: str) -> Picture:
    return Picture(caption, svg=drawing.svg(_figure(axes), name))


def _figure(axes: "Axes") -> "Figure":
    from matplotlib.figure import Figure

    figure = axes.get_figure()
    assert isinstance(figure, Figure)  # not a part of one
    return figure
