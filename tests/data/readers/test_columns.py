import json
from pathlib import Path

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.data.readers import csv_points, json_points
from cellrec_jax.data.readers.columns import find_columns, to_corners
from cellrec_jax.data.readers.point_tables import UNREAD
from cellrec_jax.data.record import Source
from cellrec_jax.errors import DataError


def _open(root: Path, kind: str, names: list[str], rows: list[list]) -> Source:
    """The same table as CSV or as JSON, beside an image 40 high and 60 wide."""
    folder = {"csv": "labels", "json": "json"}[kind]
    for name in ("images", folder):
        (root / name).mkdir(exist_ok=True)
    Image.new("L", (60, 40)).save(root / "images/a.png")
    if kind == "csv":
        lines = [",".join(map(str, row)) for row in [names, *rows]]
        (root / "labels/a.csv").write_text("\n".join(lines))
        return csv_points.open_source(root)
    items = [dict(zip(names, row, strict=True)) for row in rows]
    (root / "json/a.json").write_text(json.dumps(items))
    return json_points.open_source(root)


@pytest.mark.parametrize("kind", ["csv", "json"])
@pytest.mark.parametrize(
    "name",
    ["cell_type", "Cell Type", "category", "classification", "Counter", "type"],
)
def test_names_of_the_class(kind: str, name: str, tmp_path: Path) -> None:
    source = _open(tmp_path, kind, ["x", "y", name], [[3, 5, "b"], [9, 7, "a"]])
    assert source.class_names == ("a", "b")
    record = source.load("a")
    assert record.labels.tolist() == [1, 0]
    assert record.points_yx.tolist() == [[5.5, 3.5], [7.5, 9.5]]
    assert not source.repairs


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_what_is_not_read_is_named(kind: str, tmp_path: Path) -> None:
    names = ["id", "x", "y", "class", "category"]
    source = _open(tmp_path, kind, names, [[1, 3, 5, "b", "c"]])
    assert source.class_names == ("b",)
    assert source.repairs == {f"{UNREAD} (id, category)": 1}


@pytest.mark.parametrize("kind", ["csv", "json"])
@pytest.mark.parametrize(
    ("names", "row"),
    [
        ("xmin,ymin,xmax,ymax", [4, 6, 14, 10]),
        ("X1,Y1,X2,Y2", [4, 6, 14, 10]),
        ("left,top,width,height", [4, 6, 10, 4]),
        ("xmin,ymin,w,h", [4, 6, 10, 4]),
        ("BX,BY,Width,Height", [4, 6, 10, 4]),
        ("cx,cy,width,height", [9, 8, 10, 4]),
        ("x_center,y_center,w,h", [9, 8, 10, 4]),
    ],
)
def test_boxes(kind: str, names: str, row: list[int], tmp_path: Path) -> None:
    record = _open(tmp_path, kind, names.split(","), [row]).load("a")
    assert record.boxes_yxyx is not None
    assert record.boxes_yxyx.tolist() == [[6, 4, 10, 14]]
    assert record.points_yx.tolist() == [[8, 9]]


@pytest.mark.parametrize("kind", ["csv", "json"])
@pytest.mark.parametrize("size", ["width,height", "w,h"])
def test_a_corner_or_the_centre(kind: str, size: str, tmp_path: Path) -> None:
    names = ["x", "y", *size.split(",")]
    with pytest.raises(DataError, match=r"\ba\..*xmin,ymin or cx,cy"):
        _open(tmp_path, kind, names, [[4, 6, 10, 4]])


def test_boxes_in_some_files_only(tmp_path: Path) -> None:
    _open(tmp_path, "csv", ["x", "y"], [[4, 6]])
    Image.new("L", (60, 40)).save(tmp_path / "images/b.png")
    (tmp_path / "labels/b.csv").write_text("xmin,ymin,xmax,ymax\n1,2,3,4\n")
    with pytest.raises(DataError, match=r"b\.csv has boxes but .*a\.csv has points"):
        csv_points.open_source(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,10,20\n1,30,40\n2,50,17\n", "first column counts the rows"),
        ("1,10,20\n2,30,20\n3,50,20\n", "first column counts the rows"),
        ("1,10,20\n2,30,39\n1,50,17\n", "third column has 3 values, the first only 2"),
        ("pos,10,20\nneg,30,39\n", "rows begin with 'pos': add a header"),
    ],
)
def test_tables_in_another_order(text: str, message: str, tmp_path: Path) -> None:
    _open(tmp_path, "csv", ["x", "y"], [])
    (tmp_path / "labels/a.csv").write_text(text)
    with pytest.raises(DataError, match=rf"a\.csv.*{message}"):
        csv_points.open_source(tmp_path)


@pytest.mark.parametrize(
    ("text", "num_classes"),
    [
        ("5,10,0\n5,30,1\n9,39,2\n", 3),  # small numbers are classes
        ("1,10,2\n2,30,1\n", 2),
        ("5,10,7\n6,30,11\n7,38,7\n", 2),
        ("0,10,a\n1,30,b\n0,38,c\n", 3),
    ],
)
def test_tables_in_order_pass(text: str, num_classes: int, tmp_path: Path) -> None:
    _open(tmp_path, "csv", ["x", "y"], [])
    (tmp_path / "labels/a.csv").write_text(text)
    source = csv_points.open_source(tmp_path)
    assert len(source.class_names) == num_classes
    assert source.load("a").points_yx[0].tolist() == [10.5, float(text[0]) + 0.5]


@pytest.mark.parametrize("name", ["Centroid X \u00b5m", "X (\u03bcm)", "x_um"])
def test_micrometres_are_refused(name: str, tmp_path: Path) -> None:
    names = [name, name.replace("X", "Y").replace("x", "y")]
    with pytest.raises(DataError, match="is in micrometres"):
        _open(tmp_path, "csv", names, [[4.5, 6.5]])


def test_numbers_in_other_keys_are_no_positive_and_negative(tmp_path: Path) -> None:
    rows = [[3, 5, 1], [9, 7, 2]]
    source = _open(tmp_path, "json", ["x", "y", "category"], rows)
    assert source.class_names == ("1", "2")
    source = _open(tmp_path, "json", ["x", "y", "label_id"], rows)
    assert source.class_names == ("positive", "negative")


def test_first_class_wins_and_order_may_be_given() -> None:
    found = find_columns(["y", "x", "label", "class"], "a", ("label",))
    assert found is not None
    assert found.place == ("x", "y")
    assert found.classes == ("label", "class")
    assert find_columns(["row", "column"], "a") is None


def test_a_column_twice_is_refused() -> None:
    with pytest.raises(DataError, match="two columns are called 'x': rename"):
        find_columns(["x", "y", "X"], "a.csv")
    assert find_columns(["x", "y", "note", "note"], "a.csv") is not None


def test_corners_of_boxes() -> None:
    values = np.array([[4.0, 6.0, 10.0, 4.0]])
    assert to_corners(values, "corners").tolist() == [[4, 6, 10, 4]]
    assert to_corners(values, "first corner and size").tolist() == [[4, 6, 14, 10]]
    assert to_corners(values, "center and size").tolist() == [[-1, 4, 9, 8]]
