"""The overlays of a sweep's rows side by side: what the numbers mean on an image."""

from collections.abc import Mapping, Sequence
import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from cellrec_jax.io import atomic, drawing
from cellrec_jax.sweep import plan, state

_COLUMNS = 3
_PANEL_INCH = 3.6
_PUBLISHED_WIDTH_PX = 1080


def find(sweep: plan.Sweep, done: Sequence[state.Job]) -> dict[str, Path]:
    """Label -> overlay of one test image, of each row's first run that is done.

    The image is the one most rows have, then first by name; rows without it are left
    out.
    """
    files: dict[str, dict[str, Path]] = {}
    rows = list(sweep.rows)
    for job in sorted(done, key=lambda job: rows.index(job.run.row)):
        found = job.workdir.glob("figures/overlay_*.png")
        label = sweep.rows[job.run.row].label
        files.setdefault(label, {path.name: path for path in found})
    names = sorted(name for of_row in files.values() for name in of_row)
    if not names:
        return {}
    name = max(names, key=names.count)  # the first of several
    return {label: of_row[name] for label, of_row in files.items() if name in of_row}


def draw(path: str | os.PathLike[str], overlays: Mapping[str, Path]) -> None:
    """Draws overlays, label -> file (at least one), as panels of one PNG."""
    columns = min(_COLUMNS, len(overlays))
    rows = -(-len(overlays) // columns)
    figure = drawing.new_figure(_PANEL_INCH * columns, (_PANEL_INCH + 0.3) * rows)
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid:
        axes.set_axis_off()
    for axes, (label, file) in zip(grid, overlays.items(), strict=False):
        with Image.open(file) as image:
            axes.imshow(np.asarray(image.convert("RGB")))
        drawing.title(axes, drawing.plain(label))
    drawing.save(path, figure)


def publish(path: str | os.PathLike[str], drawn: str | os.PathLike[str]) -> None:
    """Writes a smaller copy of `draw`'s figure, to be kept beside the code.

    At most 1080 px wide, 256 colours: nine panels take about 0.4 MB.
    """
    encoded = io.BytesIO()
    with Image.open(drawn) as image:
        small = image.convert("RGB")
    small.thumbnail((_PUBLISHED_WIDTH_PX, small.height))
    small.quantize(256).save(encoded, "PNG", optimize=True)
    atomic.write_bytes(path, encoded.getvalue())
