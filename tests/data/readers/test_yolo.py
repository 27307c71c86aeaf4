"""Layouts of YOLO: which text is of which image, and where names stand."""

from pathlib import Path

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.data.readers import open_source, yolo
from cellrec_jax.errors import DataError


def _write(
    root: Path, image: str, file: str, text: str = "1 0.5 0.25 0.1 0.2\n"
) -> None:
    for name in (image, file):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 20)).save(root / image)
    (root / file).write_text(text)


@pytest.mark.parametrize(
    ("image", "file", "image_id", "names_file"),
    [
        ("images/train/a.png", "labels/train/a.txt", "train/a", "data.yaml"),
        ("train/images/a.png", "train/labels/a.txt", "train/a", "data.yaml"),
        ("images/a.png", "labels/a.txt", "a", "labels/classes.txt"),
        ("images/a.png", "images/a.txt", "a", "classes.txt"),
        ("a.png", "a.txt", "a", "classes.txt"),
        ("obj_train_data/a.png", "obj_train_data/a.txt", "a", "obj.names"),
        ("images/train/a.png", "labels/train/a.txt", "train/a", "my.yaml"),
    ],
)
def test_layouts(
    image: str, file: str, image_id: str, names_file: str, tmp_path: Path
) -> None:
    _write(tmp_path, image, file)
    is_yaml = names_file.endswith("yaml")
    (tmp_path / names_file).write_text("names: [S, T]\n" if is_yaml else "S\nT\n")
    (tmp_path / "train.txt").write_text(f"{image}\n")
    source = open_source(tmp_path)
    assert (source.format, source.image_ids) == ("yolo", (image_id,))
    assert source.class_names == ("S", "T")
    record = source.load(image_id)
    np.testing.assert_allclose(record.boxes_yxyx, [[3, 18, 7, 22]])
    np.testing.assert_allclose(record.points_yx, [[5, 20]])
    assert record.labels.tolist() == [1]


def test_images_without_a_file_and_without_names(tmp_path: Path) -> None:
    _write(tmp_path, "images/a.png", "labels/a.txt")
    _write(tmp_path, "images/b.png", "labels/b.txt", "")
    _write(tmp_path, "images/c.png", "labels/c.txt")
    (tmp_path / "labels/c.txt").unlink()
    source = open_source(tmp_path)
    assert source.image_ids == ("a", "b", "c")
    assert source.class_names == ("1",)
    assert [len(source.load(i).labels) for i in source.image_ids] == [1, 0, 0]
    assert source.repairs == {yolo.WITHOUT_FILE: 1}
    (tmp_path / "labels/d.txt").write_text("")
    with pytest.raises(DataError, match="no image for d"):
        open_source(tmp_path)


def test_copies_of_roboflow_belong_together(tmp_path: Path) -> None:
    for name in ("x_jpg.rf.0a1b", "x_jpg.rf.2c3d", "y_jpg.rf.4e5f"):
        _write(tmp_path, f"train/images/{name}.png", f"train/labels/{name}.txt")
    source = open_source(tmp_path)
    assert sorted(source.groups.values()) == ["x_jpg", "x_jpg", "y_jpg"]
    assert set(source.groups) == set(source.image_ids)


def test_two_files_that_name_classes(tmp_path: Path) -> None:
    _write(tmp_path, "images/a.png", "labels/a.txt")
    for name in ("one.yaml", "two.yml"):
        (tmp_path / name).write_text("names: [S, T]\n")
    with pytest.raises(DataError, match=r"one\.yaml and two\.yml both"):
        open_source(tmp_path)
    (tmp_path / "data.yaml").write_text("names: [S]\n")
    with pytest.raises(DataError, match="only 1 are named"):
        open_source(tmp_path)


def test_many_images_without_cells_come_first(tmp_path: Path) -> None:
    for i in range(9):
        _write(tmp_path, f"images/{i}.png", f"labels/{i}.txt", "")
    _write(tmp_path, "images/9.png", "labels/9.txt")
    source = open_source(tmp_path)
    assert (source.format, len(source.image_ids)) == ("yolo", 10)
