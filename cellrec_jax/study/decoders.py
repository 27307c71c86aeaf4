"""The maps of a run's decoders above what each learns, as Fig. 1 of Zhang et al."""

import os
from typing import TYPE_CHECKING

import numpy as np

from cellrec_jax import errors
from cellrec_jax.io import drawing
from cellrec_jax.predict import outputs
from cellrec_jax.study import maps as maps_lib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TARGETS = {"main": "circles", "dynamic": "polygons", "prior": "first network, {}"}
_PANEL_INCH = 3.2


def draw(path: str | os.PathLike[str], workdir: str, image_id: str = "") -> None:
    """Draws a column a decoder: its map, then its target; image and cells first.

    Of one test image ("" the first; ConfigError for others). Classes have their colours
    on white; a line is the border of the true tissue where that is known.
    """
    run = maps_lib.open_run(workdir)
    ids = run.split.image_ids
    chosen = image_id or ids[0]
    if chosen not in ids:
        raise errors.ConfigError(f"--image {chosen}: choose among {', '.join(ids)}")
    (one,) = maps_lib.of(run, (chosen,))
    tissue = maps_lib.tissue(run, chosen)
    names, options = run.model.class_names, run.model.experiment.options
    colors = np.array(outputs.colors_of(names)) / 255
    own = colors[options.loss.prior_class : options.loss.prior_class + 1]
    columns = 1 + len(one.found)
    figure = drawing.new_figure(_PANEL_INCH * columns, 2 * _PANEL_INCH + 0.6)
    grid = figure.subplots(2, columns, squeeze=False)
    _show(grid[0, 0], one.image, f"image {chosen}")
    _show(grid[1, 0], one.image, "annotated cells")
    for label, name in enumerate(names):
        points_yx = one.points_yx[one.labels == label]
        look = {"s": 12, "color": colors[label], "edgecolors": "w", "lw": 0.4}
        grid[1, 0].scatter(*points_yx.T[::-1], label=drawing.plain(name), **look)
    drawing.legend(grid[1, 0], "lower left")
    steps = f"{options.prior.steps} steps"
    for column, (name, found) in enumerate(one.found.items(), 1):
        inks = own if name == "prior" else colors
        for axes, values, title in (
            (grid[0, column], found, f"{name} decoder"),
            (grid[1, column], one.targets[name], _TARGETS[name].format(steps)),
        ):
            _show(axes, on_white(values, inks), title)
            if name == "prior" and tissue is not None:
                axes.contour(tissue, [0.5], colors=drawing.INK, linewidths=0.8)
    drawing.save(path, figure)


def on_white(values: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Maps [H, W, K] in [0, 1] in their colours [K, 3], as inks: f64 [H, W, 3]."""
    inks = 1 - np.asarray(values, np.float64)[..., None] * (1 - colors)
    return np.prod(inks, axis=-2)


def _show(axes: "Axes", image: np.ndarray, title: str) -> None:
    """An image in px: pixel (i, j) covers [i, i + 1) x [j, j + 1)."""
    height, width = image.shape[:2]
    axes.imshow(np.clip(image, 0, 1), extent=(0, width, height, 0))
    axes.set_axis_off()
    drawing.title(axes, drawing.plain(title))
