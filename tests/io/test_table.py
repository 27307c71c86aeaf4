import csv
import os

import numpy as np
import pytest

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


def test_wrong_rows_leave_nothing(tmp_path):
    with pytest.raises(ValueError, match="lacks or adds"):
        table.write_rows(tmp_path / "r.csv", [{"a": 1}], ["a", "b"])
    assert os.listdir(tmp_path) == []
