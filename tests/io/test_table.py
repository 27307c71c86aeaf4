import csv
import os

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.io import table

NAMES = ("positive", 'neg, "weak"')


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_detections_are_xy(tmp_path):
    rows = table.detection_rows(
        "slide/a",
        np.array([[10.5, 20.25], [3.0, 4.0]], np.float32),
        np.array([0.9, 0.25], np.float32),
        np.array([1, 0]),
        NAMES,
    )
    table.write_detections(tmp_path / "d.csv", rows)
    assert read(tmp_path / "d.csv") == [
        ["image", "x", "y", "score", "class"],
        ["slide/a", "20.25", "10.5", "0.9", 'neg, "weak"'],
        ["slide/a", "4.0", "3.0", "0.25", "positive"],
    ]


def test_no_detections_give_a_header(tmp_path):
    table.write_detections(tmp_path / "d.csv", [])
    assert (tmp_path / "d.csv").read_bytes() == b"image,x,y,score,class\n"


def test_none_becomes_an_empty_cell(tmp_path):
    table.write_rows(tmp_path / "r.csv", [{"b": None, "a": 1}], ["a", "b"])
    assert read(tmp_path / "r.csv") == [["a", "b"], ["1", ""]]
    assert table.read_rows(tmp_path / "r.csv") == [{"a": "1", "b": ""}]
    assert table.read_rows(tmp_path / "none.csv") == []


def test_wrong_rows_leave_nothing(tmp_path):
    with pytest.raises(ValueError, match="lacks or adds"):
        table.write_rows(tmp_path / "r.csv", [{"a": 1}], ["a", "b"])
    assert os.listdir(tmp_path) == []


def rows_of(*names):
    point_yx, score, label = np.array([[1.0, 2.0]]), np.array([0.5]), np.array([0])
    return [table.detection_rows(n, point_yx, score, label, NAMES)[0] for n in names]


def test_rows_are_added_and_counted(tmp_path):
    path, odd = tmp_path / "new" / "d.csv", os.fsdecode(b"\xe9,\n")
    for names in (("a", "a", odd), (), ("b",)):
        table.append_rows(path, rows_of(*names), table.DETECTION_COLUMNS)
    whole = tmp_path / "whole.csv"
    table.write_detections(whole, rows_of("a", "a", odd, "b"))
    assert path.read_bytes() == whole.read_bytes()
    assert table.count_by_image(path) == {"a": 2, odd: 1, "b": 1}


def test_rows_of_other_images_and_half_rows_are_dropped(tmp_path):
    path = tmp_path / "d.csv"
    table.write_detections(path, rows_of("a", "b", "c"))
    with path.open("a") as file:
        file.write("a,3.0,")
    table.keep_images(path, {"a", "c"}.__contains__)
    table.write_detections(tmp_path / "wanted.csv", rows_of("a", "c"))
    assert path.read_bytes() == (tmp_path / "wanted.csv").read_bytes()


@pytest.mark.parametrize("content", [None, b"", b"image,x\na,1\n", b"\x00\xff"])
def test_other_tables_are_not_counted(tmp_path, content):
    if content is not None:
        (tmp_path / "d.csv").write_bytes(content)
    assert table.count_by_image(tmp_path / "d.csv") is None


def test_where_nothing_can_be_added_is_said(tmp_path):
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(errors.RunError, match=r"cannot write .*d\.csv"):
        table.append_rows(tmp_path / "d.csv", rows_of("a"), table.DETECTION_COLUMNS)
