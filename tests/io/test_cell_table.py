import csv
import gzip
import json
import os
import sys

import numpy as np
from pyarrow import parquet
import pytest

from cellrec_jax import errors
from cellrec_jax.io import cell_table, table

NAMES = ("positive", "=neg, weak")
ENDINGS = (".csv", ".csv.gz", ".parquet")


def cells(num, seed=0):
    rng = np.random.default_rng(seed)
    points_yx = rng.uniform((0, 500), (400, 1000), (num, 2)).astype(np.float32)
    probs = rng.random((num, 2)).astype(np.float32)
    boxes_yxyx = np.concatenate([points_yx - 3, points_yx + 5], 1)
    return points_yx, probs.max(1), probs.argmax(1), probs, boxes_yxyx


def write(path, columns, sizes=(), names=NAMES, **options):
    with cell_table.open_cells(path, "slide-1.svs", names, **options) as add:
        start = 0
        for size in (*sizes, len(columns[0])):
            add(*(column[start : start + size] for column in columns))
            start += size


def read(path):
    """Rows as dicts, of CSV as text."""
    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pylist()
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    return list(csv.DictReader(content.decode().splitlines()))


ONE = (
    np.array([[10.5, 20.25]], np.float32),
    np.array([0.75], np.float32),
    np.array([1]),
    np.array([[0.25, 0.75]], np.float32),
    np.array([[8.0, 16.0, 12.0, 24.5]], np.float32),
)


@pytest.mark.parametrize("ending", ENDINGS)
def test_one_cell_in_full(tmp_path, ending):
    write(tmp_path / f"a{ending}", ONE, mpp=0.5, boxes=True)
    (row,) = read(tmp_path / f"a{ending}")
    names = (*table.DETECTION_COLUMNS, "class_id", "x_um", "y_um", "p_positive")
    assert list(row) == [*names, "p_=neg, weak", "x0", "y0", "x1", "y1"]
    image, x, y, score, kind, *numbers = row.values()
    assert [float(value) for value in (x, y, score)] == [20.25, 10.5, 0.75]
    expected = [1, 10.125, 5.25, 0.25, 0.75, 16, 8, 24.5, 12]
    assert [float(value) for value in numbers] == expected
    guard = "" if ending == ".parquet" else "'"
    assert (image, kind) == ("slide-1.svs", f"{guard}=neg, weak")


@pytest.mark.parametrize("ending", ENDINGS)
def test_one_class_without_pixel_size_or_boxes(tmp_path, ending):
    points_yx, scores, *_ = ONE
    columns = (points_yx, scores, np.array([0]))
    write(tmp_path / f"a{ending}", columns, names=("+cell",))
    (row,) = read(tmp_path / f"a{ending}")
    unknown = None if ending == ".parquet" else ""
    assert row["x_um"] == row["y_um"] == unknown
    assert list(row)[-3:] == ["class_id", "x_um", "y_um"]
    assert row["class"] == ("+cell" if ending == ".parquet" else "'+cell")


@pytest.mark.parametrize("ending", ENDINGS)
def test_chunks_leave_no_trace(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(cell_table, "_BLOCK", 64)
    columns = cells(300)
    options = {"mpp": 0.2425, "boxes": True, "metadata": {"source": "a.svs"}}
    write(tmp_path / f"a{ending}", columns, **options)
    write(tmp_path / f"b{ending}", columns, (1, 0, 63, 65, 2, 130), **options)
    first, second = (tmp_path / f"{name}{ending}" for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    rows = read(first)
    assert len(rows) == 300
    points_yx, scores, labels, probs, boxes_yxyx = columns

    def found(*names):
        return np.array([[float(row[name]) for name in names] for row in rows])

    np.testing.assert_allclose(found("y", "x"), points_yx, atol=6e-4)
    np.testing.assert_allclose(found("y_um", "x_um"), points_yx * 0.2425, atol=6e-4)
    np.testing.assert_allclose(found("score")[:, 0], scores, atol=1e-6)
    np.testing.assert_array_equal(found("class_id")[:, 0], labels)
    np.testing.assert_allclose(found("p_positive", "p_=neg, weak"), probs, atol=1e-6)
    np.testing.assert_allclose(found("y0", "x0", "y1", "x1"), boxes_yxyx, atol=6e-4)


def test_parquet_has_groups_of_rows_and_says_what_it_is_of(tmp_path, monkeypatch):
    monkeypatch.setattr(cell_table, "_BLOCK", 100)
    about = {"mpp": 0.25, "bounds": [1, 2, 3, 4], "model": {"step": 7}}
    write(tmp_path / "a.parquet", cells(250)[:4], metadata=about)
    file = parquet.ParquetFile(tmp_path / "a.parquet")
    groups = range(file.metadata.num_row_groups)
    assert [file.metadata.row_group(group).num_rows for group in groups] == [
        100,
        100,
        50,
    ]
    assert json.loads(file.schema_arrow.metadata[cell_table.METADATA]) == about


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_cells_give_columns_alone(tmp_path, ending):
    write(tmp_path / f"a{ending}", cells(0), boxes=True)
    assert read(tmp_path / f"a{ending}") == []
    assert write(tmp_path / f"b{ending}", cells(3)[:4]) is None
    assert len(read(tmp_path / f"b{ending}")) == 3


@pytest.mark.parametrize("text", ["=1+1", "+a", "-a.svs", "@a", "\ta"])
def test_texts_are_no_formulas(tmp_path, text):
    path = tmp_path / "a.csv"
    with cell_table.open_cells(path, text, ("a",)) as add:
        add(*(column[:1] for column in ONE[:2]), np.array([0]))
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["image"] == f"'{text}"
    assert row["class"] == "a"


def test_names_that_are_not_utf8(tmp_path):
    name = os.fsdecode(b"a\xff.svs")
    for ending in (".csv", ".parquet"):
        with cell_table.open_cells(tmp_path / f"a{ending}", name, ("a",)) as add:
            add(*ONE[:2], np.array([0]))
    assert b"\na\xff.svs," in (tmp_path / "a.csv").read_bytes()
    assert read(tmp_path / "a.parquet")[0]["image"] == "a\ufffd.svs"


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(cell_table, "_BLOCK", 4)
    columns = cells(20)
    columns[3][13, 1] = np.nan
    target = tmp_path / f"a{ending}"
    target.write_text("old")
    with pytest.raises(errors.DataError, match=rf"a{ending}: cell 13: .*probability"):
        write(target, columns, (10,))
    assert os.listdir(tmp_path) == [target.name]
    assert target.read_text() == "old"


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(errors.ConfigError, match=r"\.parquet"):
        write(tmp_path / "a.xlsx", ONE)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        errors.ConfigError, match=r"pip install 'cellrec_jax\[parquet\]'"
    ):
        write(tmp_path / "a.parquet", ONE)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "columns", [ONE[:3], (*ONE[:3], ONE[3][:, :1]), (*ONE[:4], ONE[4][:, :2])]
)
def test_missing_columns_are_a_mistake(tmp_path, columns):
    with pytest.raises(ValueError, match="probabilities and corners"):
        write(tmp_path / "a.csv", columns, boxes=len(columns) == 5)
