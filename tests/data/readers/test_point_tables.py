from pathlib import Path

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.data.readers.layout import Pairs
from cellrec_jax.data.readers.point_tables import Table, open_tables
from cellrec_jax.errors import DataError

TABLES = {
    "a": Table(np.array([(7, 3), (2, 5)]), ["B", "A"], ["line 1", "line 2"]),
    "b": Table(np.zeros((0, 2)), None, []),
    "c": Table(np.array([(1, 4)]), None, ["line 1"]),
}


def _pairs(root: Path, ids: str) -> Pairs:
    for image_id in ids:
        path = root / f"{image_id}.png"
        Image.fromarray(np.zeros((9, 12, 3), np.uint8)).save(path)
    files = {image_id: root / f"{image_id}.png" for image_id in ids}
    return Pairs(files, {image_id: Path(image_id) for image_id in ids})


def _read(path: Path) -> Table:
    return TABLES[path.name]


def test_records_have_points_and_labels(tmp_path: Path) -> None:
    source = open_tables("test", tmp_path, _pairs(tmp_path, "ab"), _read)
    assert source.format == "test"
    assert source.class_names == ("A", "B")
    record = source.load("a")
    assert record.points_yx.tolist() == [[3.5, 7.5], [5.5, 2.5]]
    assert record.labels.tolist() == [1, 0]
    assert source.load("b").labels.tolist() == []


def test_no_class_at_all_is_cell(tmp_path: Path) -> None:
    source = open_tables("test", tmp_path, _pairs(tmp_path, "bc"), _read)
    assert source.class_names == ("cell",)
    assert source.load("c").labels.tolist() == [0]


def test_classes_in_some_files_only(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a has classes but c has none"):
        open_tables("test", tmp_path, _pairs(tmp_path, "abc"), _read)


def test_label_map_names_the_classes(tmp_path: Path) -> None:
    (tmp_path / "label_map.yaml").write_text("0: B\n1: A\n")
    source = open_tables("test", tmp_path, _pairs(tmp_path, "abc"), _read)
    assert source.class_names == ("B", "A")
    assert source.load("a").labels.tolist() == [0, 1]
    with pytest.raises(DataError, match="c has no classes, but the set has B, A"):
        source.load("c")


def test_regions_beside_the_images_are_attached(tmp_path: Path) -> None:
    (tmp_path / "ignore").mkdir()
    Image.fromarray(np.ones((9, 12), bool)).save(tmp_path / "ignore" / "a.png")
    record = open_tables("test", tmp_path, _pairs(tmp_path, "a"), _read).load("a")
    assert record.ignore is not None
    assert record.ignore.all()
    assert record.annotated is None
