"""The overlays of a sweep's rows side by side: what the numbers mean on an image."""

from collections.abc import Mapping
import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from cellrec_jax.io import atomic, drawing

_COLUMNS = 3
_PANEL_INCH = 3.6
_PUBLISHED_WIDTH_PX = 1080


def find(workdirs: Mapping[str, Path]) -> tuple[str, dict[str, Path]]:
    """The overlay of one test image that most rows have.

    Args:
      workdirs: label of each row -> work directory of one of its runs.

    Returns:
      Its file name, and label -> file of the rows that have it; "" and none where no
      row has any. Among equals the first by name.
    """
    files = {
        label: {path.name: path for path in workdir.glob("figures/overlay_*.png")}
        for label, workdir in workdirs.items()
    }
    names = sorted({name for of_row in files.values() for name in of_row})
    counts = [sum(name in of_row for of_row in files.values()) for name in names]
    if not names:
        return "", {}
    name = names[int(np.argmax(counts))]
    return name, {label: found[name] for label, found in files.items() if name in found}


def draw(path: str | os.PathLike[str], overlays: Mapping[str, Path]) -> None:
    """Draws overlays as panels of one figure.

    Args:
      path: the PNG file.
      overlays: label -> file; at least one.

    Raises:
      RunError: if the figure cannot be written.
    """
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

    At most 1080 px wide with a palette of 256 colours: nine panels take about 0.4 MB,
    a quarter of the figure.

    Args:
      path: the PNG file.
      drawn: the figure.

    Raises:
      RunError: if it cannot be written.
    """
    encoded = io.BytesIO()
    with Image.open(drawn) as image:
        small = image.convert("RGB")
    small.thumbnail((_PUBLISHED_WIDTH_PX, small.height))
    small.quantize(256).save(encoded, "PNG", optimize=True)
    atomic.write_bytes(path, encoded.getvalue())
