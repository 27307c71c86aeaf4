"""Tables of this program and of QuPath, read back; what is no table."""

import json

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.io import cell_table, geojson, table
from cellrec_jax.score import tables

NAMES = ("positive", "=neg")
POINTS = np.array([[10.5, 20.25], [3.0, 40.0], [7.0, 8.0]], np.float32)
LABELS = np.array([0, 1, 1])
SCORES = np.array([0.9, 0.5, 0.75], np.float32)


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
def test_tables_of_slides(tmp_path, ending):
    path = tmp_path / f"s.svs{ending}"
    probs = np.full((3, 2), 0.5, np.float32)
    with cell_table.open_cells(path, "-s.svs", NAMES, mpp=0.2425) as add:
        add(POINTS, SCORES, LABELS, probs)
    found = tables.read(path)
    np.testing.assert_allclose(found.points_yx, POINTS)
    assert found.classes.tolist() == ["positive", "=neg", "=neg"]
    assert found.images.tolist() == ["-s.svs"] * 3
    assert found.mpp == 0.2425
    assert tables.ending_of(path) == ending


def test_blocks_leave_no_trace(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    points_yx = rng.uniform(0, 100, (25, 2))
    rows = table.detection_rows(
        "a.png", points_yx, np.ones(25), LABELS[[0] * 25], NAMES
    )
    table.write_detections(tmp_path / "d.csv", rows)
    whole = tables.read(tmp_path / "d.csv")
    monkeypatch.setattr(tables, "_BLOCK", 10)
    np.testing.assert_array_equal(
        tables.read(tmp_path / "d.csv").points_yx, whole.points_yx
    )
    np.testing.assert_allclose(whole.points_yx, points_yx, atol=6e-4)
    assert whole.mpp == 0


def test_known_background_of_corrections_is_no_cell(tmp_path):
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [5, 6 + trust]},
            "properties": {
                "classification": {"name": "positive"},
                "measurements": {"trust": trust},
            },
        }
        for trust in (1, 0.5, -1)
    ]
    (tmp_path / "a.geojson").write_text(json.dumps(features))
    found = tables.read(tmp_path / "a.geojson")
    assert found.points_yx.tolist() == [[7, 5], [6.5, 5]]
    assert found.classes.tolist() == found.classes[:1].tolist() * 2 == ["positive"] * 2


def test_what_is_not_kept_is_no_cell(tmp_path):
    kept = np.array([True, False, True])
    rows = table.detection_rows("a.png", POINTS, SCORES, LABELS, NAMES, kept)
    table.write_rows(tmp_path / "d.csv", rows, table.columns_of(kept=True))
    found = tables.read(tmp_path / "d.csv")
    np.testing.assert_allclose(found.points_yx, POINTS[kept])
    assert len(found.images) == len(found.classes) == 2


def test_a_table_without_cells(tmp_path):
    table.write_detections(tmp_path / "d.csv", [])
    assert tables.read(tmp_path / "d.csv").points_yx.shape == (0, 2)


def test_geojson_as_corrected_in_qupath(tmp_path):
    """A region that was drawn is no cell; points that were added are."""
    path = tmp_path / "s.geojson"
    colors = [(200, 50, 50), (90, 90, 180)]
    geojson.write_geojson(path, POINTS, SCORES, LABELS, NAMES, colors)
    content = json.loads(path.read_bytes())
    square_xy = [[0, 0], [50, 0], [50, 50], [0, 50], [0, 0]]
    for geometry, kind in (
        ({"type": "Polygon", "coordinates": [square_xy]}, "annotation"),
        ({"type": "MultiPolygon", "coordinates": [[square_xy]]}, "annotation"),
        ({"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}, "annotation"),
        ({"type": "Polygon", "coordinates": [square_xy]}, "cell"),
    ):
        properties = {"objectType": kind, "classification": {"name": "positive"}}
        one = {"type": "Feature", "geometry": geometry, "properties": properties}
        content["features"].append(one)
    path.write_text(json.dumps(content))
    found = tables.read(path)
    expected = [*POINTS.tolist(), [2, 1], [4, 3], [25, 25]]
    np.testing.assert_allclose(found.points_yx, expected)
    assert found.classes.tolist() == ["positive", "=neg", "=neg", *["positive"] * 3]


@pytest.mark.parametrize("kind", ["positive", {"names": ["positive"]}])
def test_geojson_with_classes_as_qupath_writes_them(tmp_path, kind):
    point = {"type": "Point", "coordinates": [7.5, None]}
    one = {"type": "Feature", "geometry": point}
    one["properties"] = {"classification": kind}
    (tmp_path / "s.geojson").write_text(json.dumps(one))
    with pytest.raises(errors.DataError, match="no finite x and y"):
        tables.read(tmp_path / "s.geojson")
    point["coordinates"] = [7.5, 3]
    (tmp_path / "s.geojson").write_text("\ufeff" + json.dumps(one))
    found = tables.read(tmp_path / "s.geojson")
    assert found.points_yx.tolist() == [[3, 7.5]]
    assert found.classes.tolist() == ["positive"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x,y\n1,2\n", "no column class"),
        (b"x,y,class\n1,2\n", "2 cells under 3 columns"),
        (b"x,y,class\n1,a,b\n", "cannot be read"),
        (b"x,y,class\n1,nan,b\n", "no finite x and y"),
        (b"", "no column x, y, class"),
    ],
)
def test_what_is_no_table(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(errors.DataError, match=message):
        tables.read(path)


def test_damaged_files(tmp_path):
    for name in ("a.csv.gz", "a.parquet", "a.geojson"):
        (tmp_path / name).write_bytes(b"\x1f\x8b no")
        with pytest.raises(errors.DataError, match=name):
            tables.read(tmp_path / name)
