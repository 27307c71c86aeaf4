"""What is written of a slide whose scanned part begins inside of it."""

import json
from pathlib import Path

import numpy as np
import pytest

from cellrec_jax.cells import Cells
from cellrec_jax.data.annotations import qupath
from cellrec_jax.data.pixels.slides import Description, Level
from cellrec_jax.io import table
from cellrec_jax.predict.slide import outputs, tissue
from cellrec_jax.predict.slide.options import SlideOptions

pytest.importorskip("tifffile")


def _write(output, cells, names=("x", "y"), **options):
    levels = (Level((300, 400), (1.0, 1.0)),)
    bounds = (100, 50, 300, 400)
    described = Description(Path("a"), "", levels, 0.5, "", bounds, 0, ())
    options = SlideOptions(geometry="box", **options)
    sheet = outputs.Sheet("a", names, described, {}, options, has_boxes=True)
    small = tissue.Thumbnail(
        np.full((30, 40, 3), 255, np.uint8), np.ones((30, 40), bool), (10.0, 10.0)
    )
    counts = outputs.write(output, sheet, small, tissue.everything(small), cells)
    assert outputs.written(output, sheet, sum(counts)) == set(output.iterdir())
    return counts


CELLS = Cells(
    np.array([[120, 90.5]], np.float32),
    np.array([0.5], np.float32),
    np.array([1], np.int32),
    np.array([[0.25, 0.5]], np.float32),
    np.array([[110, 80, 130, 101]], np.float32),
)


def test_boxes_are_moved_as_points_are(tmp_path):
    assert _write(tmp_path, [CELLS]) == [0, 1]
    (row,) = table.read_rows(tmp_path / "a.csv")
    found = [float(row[name]) for name in ("x", "y", "x0", "y0", "x1", "y1")]
    assert found == [40.5, 20, 30, 10, 51, 30]


def test_a_slide_without_cells_has_the_same_columns(tmp_path):
    assert _write(tmp_path, []) == [0, 0]
    columns = (tmp_path / "a.csv").read_text().strip().split(",")
    assert columns[-4:] == ["x0", "y0", "x1", "y1"]


def test_classes_have_the_names_by_which_qupath_counts(tmp_path):
    """In GeoJSON alone, which gives ours back, with the probability of each class."""
    _write(tmp_path, [CELLS], ("tumour_neg", "tumour_pos"))
    file = tmp_path / "a.geojson"
    (feature,) = json.loads(file.read_text())["features"]
    properties = feature["properties"]
    assert properties["classification"] == {
        "name": "Tumor: Positive",
        "color": [200, 50, 50],
    }
    assert properties["measurements"] == {
        **{"score": 0.5, "p Tumor: Negative": 0.25, "p Tumor: Positive": 0.5}
    }
    assert qupath.parse(file).names == ("tumour_pos",)
    assert [row["class"] for row in table.read_rows(tmp_path / "a.csv")] == [
        "tumour_pos"
    ]


def test_density_maps_have_one_scale(tmp_path):
    """One cell in 400 px of 0.5 um: 25 of 2,500 um2 are 10,000 per mm2."""
    tifffile = pytest.importorskip("tifffile")
    for number, name in ((1, "one"), (3, "three")):
        (tmp_path / name).mkdir()
        _write(tmp_path / name, [CELLS] * number)
    told, shades = [], []
    for name in ("one", "three"):
        with tifffile.TiffFile(tmp_path / name / "a.density.tif") as file:
            told.append(json.loads(file.pages[0].description))
            shades.append(file.asarray()[1, 0].tolist())
    assert [one["maximum"] for one in told] == [25, 25]
    assert [one["maximum_per_mm2"] for one in told] == [10_000, 10_000]
    assert [one["largest_per_mm2"] for one in told] == [400, 1200]
    assert sum(shades[1]) < sum(shades[0]) < 3 * 255  # darker
