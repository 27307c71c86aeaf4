"""Which method has the least gradient of each layer: Fig. 8 of the BDE paper."""

from collections.abc import Mapping, Sequence
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from cellrec_jax.io import drawing
from cellrec_jax.study import gradients

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_NAMED = 45  # layers; more are numbered
_TIE_COLOR = "#ffffff"


def draw(
    path: str | os.PathLike[str],
    compared: Mapping[float, Mapping[str, np.ndarray]],
    names: Sequence[str],
) -> None:
    """Draws a grid of layers (y, the first on top) by keep rates, as PNG.

    Of `gradients.compare`, and the layers' names [L]: each field has the colour of the
    label with the least gradient, white where several have it; lines are around the
    middle half. The names, if not too many, else numbers and the parts' borders.
    """
    labels = list(next(iter(compared.values())))
    won = [gradients.winners(np.stack(list(one.values()))) for one in compared.values()]
    grid = np.stack(won, axis=1)
    height = 1.6 + max(0.085 * len(names), 3.0) * (2 if _named(names) else 1)
    figure = drawing.new_figure(3.6 + 0.5 * len(compared), min(height, 9.5))
    axes = figure.add_subplot()
    colors = {gradients.TIE: _TIE_COLOR}
    colors |= {index: drawing.color(index) for index in range(len(labels))}
    image = np.array([[_rgb(colors[int(one)]) for one in row] for row in grid])
    extent = (0.0, float(len(compared)), float(len(names)), 0.0)
    axes.imshow(image, extent=extent, aspect="auto", interpolation="nearest")
    axes.set_xticks(np.arange(len(compared)) + 0.5, [f"{one:g}" for one in compared])
    axes.set_xlabel("share of annotations kept", color=drawing.INK)
    _name_rows(axes, names)
    for edge in range(1, len(names)):
        axes.axhline(edge, color="white", lw=0.4)
    for edge in range(1, len(compared)):
        axes.axvline(edge, color="white", lw=0.8)
    _mark_middle(axes, len(names))
    _legend(axes, labels, colors, ties=bool((grid == gradients.TIE).any()))
    drawing.save(path, figure)


def _named(names: Sequence[str]) -> bool:
    return len(names) <= _MOST_NAMED


def _name_rows(axes: "Axes", names: Sequence[str]) -> None:
    axes.tick_params(colors=drawing.INK, labelsize=9, length=0)
    axes.set_ylabel("layer, in the order of the forward pass", color=drawing.INK)
    if _named(names):
        shown = [name.removesuffix("/kernel") for name in names]
        axes.set_yticks(np.arange(len(names)) + 0.5, shown, fontsize=6.5)
        return
    rows = [1, *range(10, len(names) + 1, 10)]
    axes.set_yticks(np.array(rows) - 0.5, [str(row) for row in rows])
    parts = [_part(name) for name in names]
    for part in dict.fromkeys(parts):
        first, size = parts.index(part), parts.count(part)
        if first:
            axes.axhline(first, color=drawing.INK, lw=0.9)
        place = 1.02, first + size / 2
        look: dict[str, Any] = {"va": "center", "fontsize": 7.5, "color": drawing.INK}
        axes.text(*place, part, transform=axes.get_yaxis_transform(), **look)


def _part(name: str) -> str:
    """Of a network with too many layers to name them: its stage, or its part."""
    part, module, *_ = name.split("/")
    return module.partition("_")[0] if part == "resnet" else part


def _mark_middle(axes: "Axes", number: int) -> None:
    inner = gradients.middle(number)
    for edge in (inner.start, inner.stop):
        axes.axhline(edge, color="black", lw=1.8, ls=(0, (4, 2)))


def _legend(
    axes: "Axes", labels: Sequence[str], colors: Mapping[int, str], *, ties: bool
) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: list[Patch | Line2D] = [
        Patch(facecolor=colors[index], label=drawing.plain(label))
        for index, label in enumerate(labels)
    ]
    if ties:
        entries.append(Patch(facecolor=_TIE_COLOR, edgecolor="#888888", label="equal"))
    line = Line2D([], [], color="black", lw=1.8, ls=(0, (4, 2)), label="middle half")
    axes.legend(
        handles=[*entries, line],
        title="least gradient",
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=2,
        fontsize=8.5,
        frameon=False,
    )


def _rgb(color: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(color)
