"""One file of a set: a list of images, the annotations of one, or an image."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.data.readers import one_file
from cellrec_jax.errors import DataError


def _write(root: Path, name: str, text: str = "") -> Path:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".png":
        Image.new("RGB", (40, 30)).save(file)
    else:
        file.write_text(text)
    return file


def _coco(*names: str) -> str:
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    cells = [{"id": 1, "image_id": 0, "category_id": 1, "bbox": [3, 4, 5, 6]}]
    categories = [{"id": 1, "name": "T"}]
    lists = {"images": images, "annotations": cells, "categories": categories}
    return json.dumps(lists)


POINT = '[{"type": "Feature", "geometry": {"type": "Point", "coordinates": [7, 3]}}]'


def test_one_of_two_lists(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        _write(tmp_path, f"images/{name}")
    train = _write(tmp_path, "annotations/train.json", _coco("a.png"))
    val = _write(tmp_path, "annotations/val.json", _coco("b.png"))
    for file, image_id in ((train, "a"), (val, "b")):
        source = one_file.open_file(file)
        assert (source.format, source.image_ids) == ("coco", (image_id,))
        assert source.load(image_id).boxes_yxyx.tolist() == [[4, 3, 10, 8]]


@pytest.mark.parametrize("place", ["annotations", "images", "."])
def test_annotations_of_one_image_and_the_image(place: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        _write(tmp_path, f"images/{name}.png" if place != "." else f"{name}.png")
        _write(tmp_path, f"{place}/{name}.geojson", POINT)
    source = one_file.open_file(tmp_path / place / "b.geojson")
    assert (source.format, source.image_ids) == ("qupath", ("b",))
    np.testing.assert_allclose(source.load("b").points_yx, [[3, 7]])
    image = next(tmp_path.glob("**/a.png"))
    assert one_file.open_file(image).image_ids == ("a",)


def test_a_table_and_a_format_by_name(tmp_path: Path) -> None:
    _write(tmp_path, "a.png")
    table = _write(tmp_path, "cells.csv", "image,x,y\na.png,7.5,3\n")
    assert one_file.open_file(table).format == "table"
    table.unlink()
    plain = _write(tmp_path, "a.csv", "7.5,3\n")
    for name in ("auto", "csv_points"):
        assert one_file.open_file(plain, name).format == "csv_points"


def test_files_of_no_set(tmp_path: Path) -> None:
    lonely = _write(tmp_path, "a.geojson", POINT)
    with pytest.raises(DataError, match="no images"):
        one_file.open_file(lonely)
    with pytest.raises(DataError, match="no such file"):
        one_file.open_file(tmp_path / "none.json")
    _write(tmp_path, "a.png")
    other = _write(tmp_path, "notes.md")
    with pytest.raises(DataError, match="is of no set"):
        one_file.open_file(other)
