from pathlib import Path

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.data.readers import csv_points
from cellrec_jax.data.readers.clean import POINTS_DUPLICATE, POINTS_NAN
from cellrec_jax.errors import DataError


def _write(
    root: Path, folder: str = "labels", image_folder: str = "images", **texts: str
) -> None:
    for name, text in texts.items():
        for place in (image_folder, folder):
            (root / place).mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(np.zeros((9, 12, 3), np.uint8))
        image.save(root / image_folder / f"{name}.png")
        (root / folder / f"{name}.csv").write_text(text)


@pytest.mark.parametrize(
    ("text", "names", "labels"),
    [
        ("11,3\n4,8\n", ("cell",), [0, 0]),
        ("x,y\n11,3\n4,8\n", ("cell",), [0, 0]),
        ("\ufeffX, Y\n\n11, 3\n4, 8", ("cell",), [0, 0]),
        ("y;score;x\n3;0.9;11\n8;0.5;4\n", ("cell",), [0, 0]),
        ("x;y\n11,0;3,0\n4,0;8\n", ("cell",), [0, 0]),
        ("11\t3\tWBC\n4\t8\tRBC\n", ("RBC", "WBC"), [1, 0]),
        ("11,3,10\n4,8,2\n", ("2", "10"), [1, 0]),
        ("class,y,x\r\n2.0,3,11\r\n1,8,4\r\n", ("1", "2"), [1, 0]),
        ('x,y,label\n11,3,"T, b"\n4,8,a\n', ("T, b", "a"), [0, 1]),
    ],
)
def test_layouts_of_columns(
    text: str, names: tuple, labels: list, tmp_path: Path
) -> None:
    _write(tmp_path, a=text)
    source = csv_points.open_source(tmp_path)
    assert source.class_names == names
    record = source.load("a")
    assert record.points_yx.tolist() == [[3.5, 11.5], [8.5, 4.5]]
    assert record.labels.tolist() == labels


@pytest.mark.parametrize("text", ["", "\n\n", "x,y\n", "x,y,class\n"])
def test_empty_files_mean_no_cells(text: str, tmp_path: Path) -> None:
    _write(tmp_path, a=text, b="1,2,WBC\n")
    source = csv_points.open_source(tmp_path)
    assert source.class_names == ("WBC",)
    assert source.load("a").points_yx.shape == (0, 2)


@pytest.mark.parametrize(
    ("folder", "image_folder", "image_id"),
    [
        ("labels", "images", "a"),
        ("points", "images", "a"),
        ("csv", "images", "a"),
        ("images", "images", "a"),
        ("", "", "a"),
        ("labels", "", "a"),
        ("train/labels", "train/images", "train/a"),
        ("labels/train", "images/train", "train/a"),
    ],
)
def test_places(folder: str, image_folder: str, image_id: str, tmp_path: Path) -> None:
    _write(tmp_path, folder, image_folder, a="7,3")
    assert csv_points.matches(tmp_path)
    source = csv_points.open_source(tmp_path)
    assert source.image_ids == (image_id,)
    assert source.load(image_id).points_yx.tolist() == [[3.5, 7.5]]


def test_label_map_names_numbers(tmp_path: Path) -> None:
    _write(tmp_path, a="7,3,2\n1,5,0\n3,6,tumour\n")
    (tmp_path / "label_map.yaml").write_text("0: tumour\n1: stroma\n2: other\n")
    source = csv_points.open_source(tmp_path)
    assert source.class_names == ("tumour", "stroma", "other")
    assert source.load("a").labels.tolist() == [2, 0, 0]


def test_label_map_without_the_class_found(tmp_path: Path) -> None:
    _write(tmp_path, a="7,3,0\n1,5,4\n", b="1,2\n")
    (tmp_path / "label_map.yaml").write_text("0: tumour\n1: stroma\n")
    source = csv_points.open_source(tmp_path)
    with pytest.raises(DataError, match=r"a\.csv line 2: unknown class '4'"):
        source.load("a")
    with pytest.raises(DataError, match=r"b\.csv has no classes"):
        source.load("b")


def test_repairs_are_counted(tmp_path: Path) -> None:
    _write(tmp_path, a="x,y\n7,3\n7,3\nnan,4\n,4\n")
    source = csv_points.open_source(tmp_path)
    assert source.load("a").points_yx.tolist() == [[3.5, 7.5]]
    assert source.repairs == {POINTS_DUPLICATE: 1, POINTS_NAN: 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row,col\n1,2\n", "header 'row,col' names no columns x and y"),
        ("1,2,3,4\n", "4 columns without a header"),
        ("1,2\n3,four\n", "line 2: 'four' is not a number"),
        ("x,y\n\n1,2\n3\n", "line 4: too few columns in '3'"),
        ("1,2,a\n3,4,\n", "line 2: no class"),
        ("1,2,0.75\n", "line 1: '0.75' is no class"),
    ],
)
def test_bad_files(text: str, message: str, tmp_path: Path) -> None:
    _write(tmp_path, a=text)
    with pytest.raises(DataError, match=message) as error:
        csv_points.open_source(tmp_path)
    assert str(tmp_path / "labels/a.csv") in str(error.value)


def test_tables_of_other_names_do_not_match(tmp_path: Path) -> None:
    _write(tmp_path, "", "", a="1,2")
    (tmp_path / "a.csv").rename(tmp_path / "patients.csv")
    assert not csv_points.matches(tmp_path)
