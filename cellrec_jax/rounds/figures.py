"""Figures of rounds of pseudo labels: what was selected, by which scores, with success.

Colours of Fig. 3 of Fujii et al., MICCAI 2021 (see `rounds`): yellow given, red
pseudo-positive, blue pseudo-negative, green not selected.
"""

from collections.abc import Mapping, Sequence
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from etils import epath
import numpy as np

from cellrec_jax.io import drawing
from cellrec_jax.rounds import labels as round_labels
from cellrec_jax.rounds.labels import ImageLabels

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNSELECTED = "unselected"
AT_LABELS = "at labels"
"""Peaks that a label marks, given or selected in an earlier round."""

_RGB = dict(zip(round_labels.ORIGINS, round_labels.COLORS, strict=True))
_COLORS = {name: "#{:02x}{:02x}{:02x}".format(*rgb) for name, rgb in _RGB.items()}
_COLORS[UNSELECTED] = "#2fc24b"
_COLORS[AT_LABELS] = _COLORS[round_labels.GIVEN]
# A shape for each, to tell them apart without colours, too; the first lie on top.
_SHAPES: dict[str, dict[str, Any]] = {
    round_labels.GIVEN: {"marker": "o", "ms": 6.5, "zorder": 5},
    round_labels.POSITIVE: {"marker": "^", "ms": 6.5, "zorder": 4},
    round_labels.NEGATIVE: {"marker": "s", "ms": 5.0, "zorder": 3},
    UNSELECTED: {"marker": "o", "ms": 4.0, "zorder": 2},
}
_COLUMNS = 3
_BINS = 32


class RoundPanel(NamedTuple):
    """One image in one round."""

    title: str
    labels: ImageLabels
    """What the round selected, with the labels it began with."""
    unselected_yx: np.ndarray
    """[M, 2] px of the peaks that are at no label."""


def selected_labels(
    path: str | os.PathLike[str], image: np.ndarray, panels: Sequence[RoundPanel]
) -> None:
    """Draws labels over an image, a panel a round, as Fig. 3 of the paper.

    The image is [H, W] or [H, W, C] of any type and range (C other than 3: the mean),
    its contrast stretched; panels are in its px.
    """
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    shown = _stretch(image)
    height, width = shown.shape[:2]
    panel_width = 4.6 if columns > 1 else 6.4
    panel_height = panel_width * np.clip(height / width, 0.4, 2.0) + 0.3
    figure = drawing.new_figure(panel_width * columns, panel_height * rows + 0.4)
    for index, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, index + 1)
        # Pixel (i, j) covers [i, i + 1) x [j, j + 1).
        axes.imshow(shown, cmap="gray", vmin=0, vmax=1, extent=(0, width, height, 0))
        axes.set_axis_off()
        axes.set_autoscale_on(False)
        drawing.title(axes, drawing.plain(panel.title))
        for name in _SHAPES:
            _mark(axes, name, _points_of(panel, name))
    _legend_below(figure)
    drawing.save(path, figure)


def score_histograms(
    path: str | os.PathLike[str], scores: Mapping[str, Mapping[str, np.ndarray]]
) -> None:
    """Draws how scores are spread, a panel a score, each kind of peak by itself.

    Bars are shares of their kind; the highest and lowest thousandth of scores go into
    the outermost. `scores` are title -> kind of peak -> [N], drawn if finite.
    """
    columns = max(1, min(_COLUMNS, len(scores)))
    rows = max(1, -(-len(scores) // columns))
    figure = drawing.new_figure(4.4 * columns, 3.5 * rows)
    for index, (title, kinds) in enumerate(scores.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        drawing.style(axes, "score", "share of its kind" if not index % columns else "")
        drawing.title(axes, drawing.plain(title))
        finite = {name: x[np.isfinite(x)] for name, x in kinds.items()}
        _draw_bars(axes, finite)
    if not scores:
        drawing.say_empty(figure.add_subplot(), "nothing was scored")
    drawing.save(path, figure)


def draw_rounds(workdir: epath.Path, summaries: Sequence[Mapping[str, Any]]) -> None:
    """Draws precision, recall and F1 over the rounds."""
    curves = {
        title: {
            key: [
                np.nan if (value := summary[name][key]) is None else value
                for summary in summaries
            ]
            for key in summaries[0][name]
        }
        for name, title in (("train", "training images"), ("test", "test images"))
        if summaries and all(summary.get(name) for summary in summaries)
    }
    round_curves(workdir / "figures" / "rounds.png", curves)


def round_curves(
    path: str | os.PathLike[str], curves: Mapping[str, Mapping[str, Sequence[float]]]
) -> None:
    """Draws measures over the rounds, a panel a set of images, as Tables 2 and 3.

    Set -> measure -> values in [0, 1] after 0, 1, ... rounds; NaN where undefined.
    """
    figure = drawing.new_figure(4.4 * max(1, len(curves)), 3.7)
    names = list(dict.fromkeys(name for lines in curves.values() for name in lines))
    for index, (title, lines) in enumerate(curves.items()):
        axes = figure.add_subplot(1, len(curves), index + 1)
        drawing.style(axes, "rounds of pseudo labels")
        drawing.title(axes, drawing.plain(title))
        axes.set_ylim(-0.02, 1.04)
        for name, values in lines.items():
            color = drawing.color(names.index(name))
            width = 2.4 if name.lower() == "f1" else 1.4
            label = drawing.plain(name)
            axes.plot(values, "o-", ms=5, lw=width, color=color, label=label)
        axes.set_xticks(range(max(map(len, lines.values()), default=1)))
    if curves:
        _legend_below(figure)
    else:
        drawing.say_empty(figure.add_subplot(), "no round was evaluated")
    drawing.save(path, figure)


def _legend_below(figure: "Figure") -> None:
    """One legend for all panels."""
    entries: dict[Any, Artist] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        entries |= zip(labels, handles, strict=True)
    figure.legend(
        entries.values(),
        entries.keys(),
        loc="outside lower center",
        ncols=max(1, len(entries)),
        frameon=False,
        fontsize=9,
        labelcolor=drawing.INK,
    )


def _stretch(image: np.ndarray) -> np.ndarray:
    """[H, W] or [H, W, 3] in [0, 1], from the 0.5th to the 99.5th percentile."""
    image = np.asarray(image, np.float32)
    if image.ndim == 3 and image.shape[2] != 3:
        image = image.mean(axis=2)
    low, high = np.percentile(image, (0.5, 99.5))
    return np.clip((image - low) / max(high - low, 1e-6), 0, 1)


def _points_of(panel: RoundPanel, name: str) -> np.ndarray:
    if name == UNSELECTED:
        return panel.unselected_yx
    chosen = [origin == name for origin in panel.labels.origins]
    return panel.labels.points_yx[np.array(chosen, bool)]


def _mark(axes: "Axes", name: str, points_yx: np.ndarray) -> None:
    axes.plot(
        points_yx[:, 1],
        points_yx[:, 0],
        color=_COLORS[name],
        label=_label(name),
        linestyle="none",
        markeredgecolor="black",
        markeredgewidth=0.6,
        **_SHAPES[name],
    )


def _label(name: str) -> str:
    return drawing.plain(name).replace("_", "-")


def _draw_bars(axes: "Axes", kinds: Mapping[str, np.ndarray]) -> None:
    """Outlined histograms over one another, with the numbers in the legend."""
    together = np.concatenate([np.zeros(0), *kinds.values()])
    if not len(together):
        drawing.say_empty(axes, "nothing was scored")
        return
    low, high = np.percentile(together, (0.1, 99.9))
    margin = 1e-3 * max(abs(low), abs(high), 1e-3)
    edges = np.linspace(low - margin, high + margin, _BINS + 1)
    for position, (name, values) in enumerate(kinds.items()):
        counts = np.histogram(np.clip(values, low, high), edges)[0]
        shares = counts / max(len(values), 1)
        color = _COLORS.get(name, drawing.color(position))
        label = f"{_label(name)} ({len(values):,})"
        axes.stairs(shares, edges, fill=True, color=color, alpha=0.3)
        axes.stairs(shares, edges, color=color, lw=1.5, label=label)
    # The legend has the room above the bars to itself.
    axes.set_ylim(0, axes.get_ylim()[1] * (1.1 + 0.11 * len(kinds)))
    drawing.legend(axes, loc="upper left")
