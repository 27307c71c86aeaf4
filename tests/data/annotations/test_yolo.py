"""Lines of YOLO in px, and names of classes in all the ways that they are written."""

from pathlib import Path

import numpy as np
import pytest

from cellrec_jax.data.annotations import yolo, yolo_names
from cellrec_jax.errors import DataError

SIZE_HW = (100, 200)


def _write(folder: Path, text: str, name: str = "a.txt") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_boxes_corners_and_outlines(tmp_path: Path) -> None:
    text = (
        "1 0.5 0.25 0.1 0.2\n"
        "0 0.5 0.25 0.1 0.2 0.75\n\n"
        "0 0.1 0.1 0.2 0.1 0.2 0.3 0.1 0.3\n"  # four corners
        "1 0 0 0.15 0 0 0.3\r\n"
    )
    read = yolo.parse(_write(tmp_path, text), SIZE_HW, ("S", "T"))
    assert read.names == ("T", "S", "S", "T")
    boxes = [[15, 90, 35, 110], [15, 90, 35, 110], [10, 20, 30, 40], [0, 0, 30, 30]]
    np.testing.assert_allclose(read.boxes_yxyx, boxes)
    points = [[25, 100], [25, 100], [20, 30], [10, 10]]
    np.testing.assert_allclose(read.points_yx, points)
    np.testing.assert_array_equal(read.scores, [np.nan, 0.75, np.nan, np.nan])


def test_key_points_leave_the_box(tmp_path: Path) -> None:
    file = _write(tmp_path, "0 0.5 0.25 0.1 0.2 0.5 0.25 2\n")
    read = yolo.parse(file, SIZE_HW, has_key_points=True)
    np.testing.assert_allclose(read.boxes_yxyx, [[15, 90, 35, 110]])
    assert read.names == ("0",)
    with pytest.raises(DataError, match="line 1: 8 numbers"):
        yolo.parse(_write(tmp_path, "0 .1 .1 .1 .1 .1 .1 .1\n"), SIZE_HW)


def test_no_lines_are_no_cells(tmp_path: Path) -> None:
    assert yolo.parse(_write(tmp_path, "\n \n"), SIZE_HW).points_yx.shape == (0, 2)


@pytest.mark.parametrize(
    "line",
    [
        "0 90 15 110 35",
        "0 0.5 0.25 0.1",
        "0 0.5 0.25",
        "0.5 0.5 0.25 0.1 0.1",
        "-1 0.5 0.25 0.1 0.1",
        "3 0.5 0.25 0.1 0.1",
        "0 0.5 nan 0.1 0.1",
        "0 0.5 inf 0.1 0.1",
        "a 0.5 0.25 0.1 0.1",
    ],
)
def test_the_line_at_fault_is_named(line: str, tmp_path: Path) -> None:
    file = _write(tmp_path, f"0 0.5 0.25 0.1 0.1\n{line}\n")
    with pytest.raises(DataError, match=r"a\.txt line 2"):
        yolo.parse(file, SIZE_HW, ("S", "T"))


@pytest.mark.parametrize(
    "text",
    [
        "train: ../images\nnc: 2\nnames: ['T cell', \"o, 'b\"]\n",
        'names: [T cell, "o, \'b"]  # two\nkeys: [1]\n',
        'names:\n  - T cell\n  - "o, \'b"\nroboflow:\n  license: x\n',
        'names:\n- T cell\n- "o, \'b"\nnc: 2',
        '# c\nnames:\n  0: T cell\n\n  1: "o, \'b"  # b\n',
        "names:\n  1: \"o, 'b\"\n  0: 'T cell'\n",
        "names: {0: T cell, 1: 'o, ''b'}\n",
        "names: [\n  'T cell',\n  \"o, 'b\",\n]\nnc: 2\n",
    ],
)
def test_names_in_yaml(text: str, tmp_path: Path) -> None:
    read = yolo_names.read(_write(tmp_path, text, "data.yaml"))
    assert read == (("T cell", "o, 'b"), False)
    assert yolo_names.is_of_yolo(tmp_path / "data.yaml")


def test_names_with_the_sign_of_comments(tmp_path: Path) -> None:
    file = tmp_path / "data.yaml"
    file.write_text(
        "names:\n  0: \"cell #5\"  # x\n  1: 'a # b'\n  2: c # d\n  3: e#\n"
    )
    assert yolo_names.read(file).names == ("cell #5", "a # b", "c", "e#")


def test_names_in_text_and_key_points(tmp_path: Path) -> None:
    read = yolo_names.read(_write(tmp_path, "T cell\n\nS\n", "obj.names"))
    assert read.names == ("T cell", "S")
    text = "kpt_shape: [1, 3]\nnames: [a]\n"
    assert yolo_names.read(_write(tmp_path, text, "data.yaml")) == (("a",), True)
    assert not yolo_names.is_of_yolo(_write(tmp_path, "0: a\n", "label_map.yaml"))


@pytest.mark.parametrize(
    "text",
    ["nc: 2\n", "names: a\n", "names:\n", "names: [a, a]\n", "names:\n  1: a\n"],
)
def test_yaml_without_names(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.yaml"):
        yolo_names.read(_write(tmp_path, text, "data.yaml"))
