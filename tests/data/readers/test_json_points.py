from pathlib import Path

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.data.readers import json_points
from cellrec_jax.data.readers.clean import POINTS_NAN
from cellrec_jax.errors import DataError


def _write(
    root: Path, folder: str = "json", image_folder: str = "images", **texts: str
) -> None:
    for name, text in texts.items():
        for place in (image_folder, folder):
            (root / place).mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(np.zeros((9, 12, 3), np.uint8))
        image.save(root / image_folder / f"{name}.png")
        (root / folder / f"{name}.json").write_text(text)


def test_label_ids_1_and_2_are_positive_and_negative(tmp_path: Path) -> None:
    _write(
        tmp_path,
        a10='[{"x": 11, "y": 3, "label_id": 2}, {"x": 4, "y": 8, "label_id": 1}]',
        a2='[{"x": 1, "y": 2, "label_id": 2}]',
        a3="[]",
    )
    assert json_points.matches(tmp_path)
    source = json_points.open_source(tmp_path)
    assert source.image_ids == ("a2", "a3", "a10")
    assert source.class_names == ("positive", "negative")
    record = source.load("a10")
    assert record.points_yx.tolist() == [[3.5, 11.5], [8.5, 4.5]]
    assert record.labels.tolist() == [1, 0]
    assert source.load("a2").labels.tolist() == [1]
    assert source.load("a3").points_yx.shape == (0, 2)


@pytest.mark.parametrize(
    ("text", "names", "labels"),
    [
        ('[{"x": 1, "y": 2}]', ("cell",), [0]),
        (
            '[{"x": 1, "y": 2, "label": "b"}, {"x": 3, "y": 2, "label": "a"}]',
            "ab",
            [1, 0],
        ),
        (
            '[{"x": 1, "y": 2, "class": 10}, {"x": 3, "y": 2, "class": 3.0}]',
            ("3", "10"),
            [1, 0],
        ),
        ('[{"x": 1, "y": 2, "label_id": null}]', ("cell",), [0]),
        (
            '[{"x": 1, "y": 2, "label_id": 1}, {"x": 3, "y": 2, "label_id": 3}]',
            ("1", "3"),
            [0, 1],
        ),
        ('[{"x": 1, "y": 2, "label_id": 1}]', ("positive", "negative"), [0]),
    ],
)
def test_classes(text: str, names: tuple, labels: list, tmp_path: Path) -> None:
    _write(tmp_path, a=text)
    source = json_points.open_source(tmp_path)
    assert source.class_names == tuple(names)
    assert source.load("a").labels.tolist() == labels


@pytest.mark.parametrize("place", ["images", "", "train/images"])
def test_files_beside_the_images(place: str, tmp_path: Path) -> None:
    _write(tmp_path, place, place, a='[{"x": 7.25, "y": 3}]')
    assert json_points.matches(tmp_path)
    source = json_points.open_source(tmp_path)
    (image_id,) = source.image_ids
    assert image_id == ("train/a" if place.startswith("train") else "a")
    assert source.load(image_id).points_yx.tolist() == [[3.0, 7.25]]


def test_numbers_that_are_none_are_dropped(tmp_path: Path) -> None:
    _write(
        tmp_path,
        a='[{"x": NaN, "y": 3}, {"x": null, "y": 3}, {"x": 1, "y": 4}]',
        b='[{"x": 1, "y": ' + "9" * 400 + "}]",
    )
    source = json_points.open_source(tmp_path)
    assert source.load("a").points_yx.tolist() == [[4.5, 1.5]]
    assert source.load("b").points_yx.shape == (0, 2)
    assert source.repairs == {POINTS_NAN: 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"x": 1', "not valid JSON"),
        ('{"x": 1, "y": 2}', "expected a list"),
        ("[[1, 2]]", "item 1: expected an object"),
        ('[{"x": 1, "y": 2}, {"x": 1}]', "item 2: 'y' is 'missing'"),
        ('[{"x": true, "y": 2}]', "item 1: 'x' is True"),
        ('[{"x": 1, "y": 2, "label": 1.5}]', "item 1: class 1.5"),
        ('[{"x": 1, "y": 2, "label": 1}, {"x": 1, "y": 2}]', "item 2: no class"),
    ],
)
def test_bad_files(text: str, message: str, tmp_path: Path) -> None:
    _write(tmp_path, a=text)
    with pytest.raises(DataError, match=message) as error:
        json_points.open_source(tmp_path)
    assert str(tmp_path / "json/a.json") in str(error.value)


def test_deep_nesting_is_no_crash(tmp_path: Path) -> None:
    _write(tmp_path, a="[" * 100_000)
    with pytest.raises(DataError, match="not valid JSON"):
        json_points.open_source(tmp_path)


def test_index_files_of_other_names_do_not_match(tmp_path: Path) -> None:
    _write(tmp_path, "images", a="[]")
    (tmp_path / "images/a.json").rename(tmp_path / "images/instances.json")
    assert not json_points.matches(tmp_path)
