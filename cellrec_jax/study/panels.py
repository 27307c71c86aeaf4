"""Detections on a test image, by run and share of annotations: Fig. 7 of the paper.

Li et al., A Robust Training Method for Pathological Cellular Detector via Spatial Loss
Calibration, 2021. Reads what runs left behind, and predicts nothing.
"""

from collections.abc import Mapping, Sequence
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from etils import epath
import numpy as np

from cellrec_jax import errors, methods
from cellrec_jax.data import example, sets
from cellrec_jax.evaluate import saved
from cellrec_jax.io import drawing
from cellrec_jax.metrics import matching
from cellrec_jax.workdir import model as model_lib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = (
    *("label", "keep_rate", "run", "image", "threshold"),
    *("cells", "found", "missed", "false"),
)
"""Of `rows`; `threshold` is empty where classes have their own."""
_GREEN, _RED = "#00c800", "#e61414"
_PANEL_INCH = 3.6


class Panel(NamedTuple):
    """What a run found in an image, px of the image on disk."""

    label: str
    keep_rate: float
    run: str
    image_id: str
    image: np.ndarray
    """uint8 [H, W, C]."""
    points_yx: np.ndarray
    """f32 [M, 2] detections from the threshold on."""
    boxes_yxyx: np.ndarray
    """f32 [N, 4] of annotated cells that count."""
    num_found: int
    """Cells that are matched."""
    threshold: float | None


def read(
    runs: Mapping[str, Sequence[str]], image_id: str = "", threshold: float = 0.6
) -> list[Panel]:
    """Panels of label -> work directories of different keep rates.

    Of one test image ("" the first of the first run), from a score on; 0 takes each
    run's own thresholds. ConfigError for an image that a run lacks, and for two runs of
    one label and rate.
    """
    found: list[Panel] = []
    for label, workdirs in runs.items():
        for workdir in workdirs:
            chosen = image_id or (found[0].image_id if found else "")
            found.append(_read(label, workdir, chosen, threshold))
    places = [(one.label, one.keep_rate) for one in found]
    for place, one in zip(places, found, strict=True):
        if places.count(place) > 1:
            raise errors.ConfigError(
                f"{one.run}: is not the only run of {one.label} with keep rate "
                f"{one.keep_rate:g}; give one of its seeds"
            )
    return found


def rows(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """A row a panel with its counts."""
    return [
        {
            "label": one.label,
            "keep_rate": one.keep_rate,
            "run": one.run,
            "image": one.image_id,
            "threshold": one.threshold,
            "cells": len(one.boxes_yxyx),
            "found": one.num_found,
            "missed": len(one.boxes_yxyx) - one.num_found,
            "false": len(one.points_yx) - one.num_found,
        }
        for one in panels
    ]


def draw(path: str | os.PathLike[str], panels: Sequence[Panel]) -> None:
    """Draws a label a row and a keep rate a column, as PNG.

    Detections are green diamonds, annotations red boxes, as in the paper.
    """
    labels = list(dict.fromkeys(one.label for one in panels))
    rates = sorted({one.keep_rate for one in panels})
    height, width = panels[0].image.shape[:2]
    inch_h = _PANEL_INCH * height / width
    figure = drawing.new_figure(
        _PANEL_INCH * len(rates), (inch_h + 0.3) * len(labels) + 0.4
    )
    grid = figure.subplots(len(labels), len(rates), squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for one in panels:
        axes = grid[labels.index(one.label), rates.index(one.keep_rate)]
        _show(axes, one)
    _legend(figure)
    drawing.save(path, figure)


def _read(label: str, workdir: str, image_id: str, threshold: float) -> Panel:
    folder = epath.Path(workdir).expanduser()
    meta = model_lib.stored_meta(folder)
    experiment = methods.from_json(meta["config"])
    stored = saved.load(folder / "predictions" / saved.FILE)
    by_id = {one.image_id: one for one in stored.results}
    chosen = image_id or next(iter(by_id))
    if chosen not in by_id:
        raise errors.ConfigError(
            f"{workdir}: has no test image {chosen}; --image takes one of "
            f"{', '.join(by_id)}"
        )
    result = by_id[chosen]
    cuts = np.asarray(meta["decode"]["thresholds"])
    if threshold:
        cuts = np.full_like(cuts, threshold)
    sure = result.pred_scores >= cuts[result.pred_labels]
    points_yx = result.pred_points_yx[sure & ~result.pred_ignored]
    pairs = matching.match_points(
        points_yx,
        result.true_points_yx,
        stored.radius_px,
        strict=experiment.eval.strict,
    )
    split = sets.open_for_evaluation(experiment.data, experiment.seed, whole=False)
    record = split.source.load(chosen)
    counted = example.lie_in(example.valid_region(record), record.points_yx)
    return Panel(
        label,
        experiment.data.keep_rate,
        workdir,
        chosen,
        example.to_uint8(record.image),
        points_yx,
        example.cell_boxes(record, split.spec)[counted],
        len(pairs),
        float(cuts[0]) if len(set(cuts.tolist())) == 1 else None,
    )


def _show(axes: "Axes", one: Panel) -> None:
    from matplotlib.patches import Rectangle

    height, width = one.image.shape[:2]
    shown = np.broadcast_to(one.image, (height, width, 3))
    axes.imshow(shown, extent=(0, width, height, 0))
    for y0, x0, y1, x1 in one.boxes_yxyx.tolist():
        box = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=_RED, lw=1.0)
        axes.add_patch(box)
    for edge, thick in (("#141414", 2.2), (_GREEN, 1.1)):
        look: dict[str, Any] = {"s": 14, "marker": "D", "facecolors": "none"}
        axes.scatter(*one.points_yx.T[::-1], edgecolors=edge, lw=thick, **look)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    false = len(one.points_yx) - one.num_found
    counts = f"{one.num_found} of {len(one.boxes_yxyx)} found, {false} false"
    title = f"{one.label}, {100 * one.keep_rate:g} %: {counts}"
    drawing.title(axes, drawing.plain(title))


def _legend(figure: Any) -> None:
    from matplotlib.lines import Line2D

    hollow: dict[str, Any] = {"ls": "", "mfc": "none"}
    entries = [
        Line2D([], [], marker="D", ms=5, color=_GREEN, label="detections", **hollow),
        Line2D([], [], marker="s", ms=7, color=_RED, label="annotations", **hollow),
    ]
    options: dict[str, Any] = {"ncols": 2, "fontsize": 8.5, "frameon": False}
    figure.legend(handles=entries, loc="outside lower center", **options)
