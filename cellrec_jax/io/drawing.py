"""What all figures share: colours, axes, saving. Matplotlib is imported when used."""

import io
import os
import re
from typing import TYPE_CHECKING, Literal
from xml.etree import ElementTree

import numpy as np

from cellrec_jax.io import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#333333"
_DPI = 150
_FRAME = "#888888"
_GRID = "#e3e3e3"
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_OF_PAGE = {
    INK: "currentColor",
    "#000000": "currentColor",
    "#ffffff": "var(--paper, #ffffff)",
    _FRAME: "var(--frame, #888888)",
    _GRID: "var(--grid, #e3e3e3)",
}
"""What a page chooses in a drawing, which then suits light and dark ones."""


def new_figure(width_inch: float, height_inch: float) -> "Figure":
    """A figure that no window shows; the layout keeps labels apart."""
    # The figure class alone, without pyplot: no global state, no display is asked for.
    from matplotlib.figure import Figure

    return Figure(figsize=(width_inch, height_inch), dpi=_DPI, layout="constrained")


def style(axes: "Axes", x_label: str = "", y_label: str = "") -> None:
    """Names the axes, and draws a light frame and grid."""
    axes.set_xlabel(x_label, color=INK)
    axes.set_ylabel(y_label, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FRAME)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(color=_GRID, lw=0.8)
    axes.set_axisbelow(True)


def title(axes: "Axes", text: str) -> None:
    """Writes a small title, left."""
    axes.set_title(text, loc="left", fontsize=10, color=INK)


def unit_square(axes: "Axes") -> None:
    """Makes both axes run from 0 to 1."""
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.02)
    ticks = np.linspace(0, 1, 6)
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)


def legend(
    axes: "Axes", loc: Literal["upper right", "upper left", "lower left"]
) -> None:
    """Draws the legend inside the axes."""
    axes.legend(loc=loc, fontsize=8.5, frameon=True, framealpha=0.9, edgecolor="none")


def say_empty(axes: "Axes", text: str) -> None:
    """Says in words why nothing is drawn."""
    axes.text(0.5, 0.5, text, ha="center", color=INK, transform=axes.transAxes)


def color(position: int) -> str:
    """Colour of the line at this position; they repeat after seven."""
    return _COLORS[position % len(_COLORS)]


def plain(name: str) -> str:
    """A name as a label: no formulas, not hidden by a leading underscore."""
    return name.replace("$", r"\$").lstrip("_") or "(no name)"


def save(path: str | os.PathLike[str], figure: "Figure") -> None:
    """Writes a PNG, as a whole or not at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    encoded = io.BytesIO()
    FigureCanvasAgg(figure).print_png(encoded)
    atomic.write_bytes(path, encoded.getvalue())


def svg(figure: "Figure", name: str) -> str:
    """A figure as an `<svg>` element to stand in a page, without a background.

    Text stays text, in the page's font and colour; a page may set `--paper`, `--frame`
    and `--grid`. The same figure gives the same text; `name` keeps apart what several
    in one page refer to.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set_visible(False)
    encoded = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        FigureCanvasSVG(figure).print_svg(encoded, metadata={"Date": None})
    root = ElementTree.fromstring(encoded.getvalue())
    for element in list(root.iter()):
        _suit_page(element)
    root.set("fill", "currentColor")  # what is black is not said
    return ElementTree.tostring(root, encoding="unicode")


def _suit_page(element: ElementTree.Element) -> None:
    """Takes away namespaces, fonts, global rules and names that others may have."""
    for child in list(element):
        if child.tag.endswith(("}metadata", "}style")):
            element.remove(child)
    element.tag = element.tag.rpartition("}")[2]
    for key in list(element.attrib):
        value = element.attrib.pop(key)
        if (element.tag, key) != ("g", "id"):
            element.set(key.rpartition("}")[2], value)
    if style := element.get("style"):
        for drawn, chosen in _OF_PAGE.items():
            style = style.replace(drawn, chosen)
        style = re.sub(r"font: ([\d.]+px)[^;]*", r"font-size: \1", style)
        element.set("style", re.sub(r"font-family:[^;]*;? *", "", style))
