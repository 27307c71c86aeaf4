"""What is written of a slide whose scanned part begins inside of it."""

from pathlib import Path

import numpy as np
import pytest

from cellrec_jax.cells import Cells
from cellrec_jax.data.pixels.slides import Description, Level
from cellrec_jax.io import table
from cellrec_jax.predict.slide import outputs, tissue
from cellrec_jax.predict.slide.options import SlideOptions

pytest.importorskip("tifffile")


def _write(output, cells):
    levels = (Level((300, 400), (1.0, 1.0)),)
    bounds = (100, 50, 300, 400)
    described = Description(Path("a"), "", levels, 0.5, "", bounds, 0, ())
    options = SlideOptions(geometry="box")
    sheet = outputs.Sheet("a", ("x", "y"), described, {}, options, has_boxes=True)
    small = tissue.Thumbnail(
        np.full((30, 40, 3), 255, np.uint8), np.ones((30, 40), bool), (10.0, 10.0)
    )
    counts = outputs.write(output, sheet, small, tissue.everything(small), cells)
    assert outputs.written(output, sheet, sum(counts)) == set(output.iterdir())
    return counts


def test_boxes_are_moved_as_points_are(tmp_path):
    cells = Cells(
        np.array([[120, 90.5]], np.float32),
        np.array([0.5], np.float32),
        np.array([1], np.int32),
        np.array([[0.25, 0.5]], np.float32),
        np.array([[110, 80, 130, 101]], np.float32),
    )
    assert _write(tmp_path, [cells]) == [0, 1]
    (row,) = table.read_rows(tmp_path / "a.csv")
    found = [float(row[name]) for name in ("x", "y", "x0", "y0", "x1", "y1")]
    assert found == [40.5, 20, 30, 10, 51, 30]


def test_a_slide_without_cells_has_the_same_columns(tmp_path):
    assert _write(tmp_path, []) == [0, 0]
    columns = (tmp_path / "a.csv").read_text().strip().split(",")
    assert columns[-4:] == ["x0", "y0", "x1", "y1"]
