from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.data.readers import voc
from cellrec_jax.data.readers.clean import (
    BOXES_CLIPPED,
    BOXES_DEGENERATE,
    BOXES_INVERTED,
)
from cellrec_jax.errors import DataError


def _object(name: str, corners_xyxy: Sequence[float], difficult: int = 0) -> str:
    tags = ("xmin", "ymin", "xmax", "ymax")
    box = "".join(f"<{t}>{v}</{t}>" for t, v in zip(tags, corners_xyxy, strict=True))
    return (
        f"<object><name>{name}</name><difficult>{difficult}</difficult>"
        f"<bndbox>{box}</bndbox></object>"
    )


def _write(
    root: Path,
    files: dict[str, str],
    folders: tuple[str, str] = ("JPEGImages", "Annotations"),
) -> None:
    """Images 12 high and 20 wide, each with the objects of its XML file."""
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, objects in files.items():
        Image.new("RGB", (20, 12)).save(root / folders[0] / f"{name}.png")
        xml = f"<annotation><filename>{name}.jpg</filename>{objects}</annotation>"
        (root / folders[1] / f"{name}.xml").write_text(xml)


@pytest.mark.parametrize(
    "folders",
    [
        ("JPEGImages", "Annotations"),
        ("images", "annotations"),
        ("images", "images"),
        (".", "."),
    ],
)
def test_one_based_boxes_become_half_open(
    folders: tuple[str, str], tmp_path: Path
) -> None:
    files = {
        "10": _object("WBC", (1, 3, 20, 4)),
        "2": _object("RBC", (6, 2, 9, 4)) + _object("WBC", (1, 1, 2, 2)),
    }
    _write(tmp_path, files, folders)
    assert voc.matches(tmp_path)
    source = voc.open_source(tmp_path)
    assert source.class_names == ("RBC", "WBC")
    assert source.image_ids == ("2", "10")
    record = source.load("2")
    assert record.image.shape == (12, 20, 3)
    np.testing.assert_allclose(record.boxes_yxyx, [[1, 5, 4, 9], [0, 0, 2, 2]])
    np.testing.assert_allclose(record.points_yx, [[2.5, 7], [1, 1]])
    np.testing.assert_array_equal(record.labels, [0, 1])
    np.testing.assert_allclose(source.load("10").boxes_yxyx, [[2, 0, 4, 20]])
    assert not source.repairs


def test_a_zero_makes_the_set_zero_based(tmp_path: Path) -> None:
    files = {"1": _object("a", (0, 3, 5, 9)), "2": _object("a", (6, 2, 9, 4))}
    _write(tmp_path, files)
    source = voc.open_source(tmp_path)
    np.testing.assert_allclose(source.load("1").boxes_yxyx, [[3, 0, 9, 5]])
    np.testing.assert_allclose(source.load("2").boxes_yxyx, [[2, 6, 4, 9]])


def test_first_pixel_can_be_forced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voc, "FIRST_PIXEL", 1)
    _write(tmp_path, {"1": _object("a", (0, 3, 5, 9))})
    source = voc.open_source(tmp_path)
    np.testing.assert_allclose(source.load("1").boxes_yxyx, [[2, 0, 9, 5]])
    assert source.repairs == {BOXES_CLIPPED: 1}


def test_object_without_extent_is_dropped(tmp_path: Path) -> None:
    objects = _object("a", (4, 3, 4, 9)) + _object("b", (2.5, 3, 5, 9))
    _write(tmp_path, {"1": objects})
    source = voc.open_source(tmp_path)
    record = source.load("1")
    np.testing.assert_allclose(record.boxes_yxyx, [[2, 1.5, 9, 5]])
    np.testing.assert_array_equal(record.labels, [1])
    assert source.repairs == {BOXES_DEGENERATE: 1}


def test_inverted_box_covers_the_same_pixels(tmp_path: Path) -> None:
    objects = _object("a", (9, 2, 6, 4)) + _object("a", (1, 8, 3, 5))
    _write(tmp_path, {"1": objects})
    source = voc.open_source(tmp_path)
    boxes_yxyx = source.load("1").boxes_yxyx
    np.testing.assert_allclose(boxes_yxyx, [[1, 5, 4, 9], [4, 0, 8, 3]])
    assert source.repairs == {BOXES_INVERTED: 2}


def test_difficult_objects_are_ignored(tmp_path: Path) -> None:
    objects = _object("a", (2, 3, 4, 4), difficult=1) + _object("b", (9, 2, 12, 5))
    _write(tmp_path, {"1": objects})
    record = voc.open_source(tmp_path).load("1")
    np.testing.assert_array_equal(record.labels, [1])
    assert record.ignore is not None
    assert record.ignore[2:4, 1:4].all()
    assert record.ignore.sum() == 6


def test_image_without_objects(tmp_path: Path) -> None:
    _write(tmp_path, {"1": _object("a", (2, 3, 4, 4)), "2": ""})
    record = voc.open_source(tmp_path).load("2")
    assert record.points_yx.shape == (0, 2)
    assert record.boxes_yxyx is not None
    assert record.boxes_yxyx.shape == (0, 4)


def test_image_sets(tmp_path: Path) -> None:
    _write(tmp_path, {"1": "", "2": ""})
    assert voc.image_sets(tmp_path) == {}
    folder = tmp_path / "ImageSets" / "Main"
    folder.mkdir(parents=True)
    (folder / "train.txt").write_bytes(b"2\r\n1\r\n2\r\n")
    (folder / "test.txt").write_text("\n")
    (folder / "a_train.txt").write_text("1 -1\n")
    assert voc.image_sets(tmp_path) == {"train": ("2", "1"), "test": ()}
    (folder / "val.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"val\.txt"):
        voc.image_sets(tmp_path)


@pytest.mark.parametrize("attribute", ['xmlns="http://a/b"', 'xmlns:p="http://a/b"'])
def test_namespaces_count_for_nothing(attribute: str, tmp_path: Path) -> None:
    _write(tmp_path, {"1": ""})
    objects = _object("a", (1, 2, 4, 6))
    if ":p" in attribute:
        objects = (
            objects.replace("</", "</p:").replace("<", "<p:").replace("<p:/", "</")
        )
    text = f"<annotation {attribute}>{objects}</annotation>"
    (tmp_path / "Annotations/1.xml").write_text(text)
    record = voc.open_source(tmp_path).load("1")
    np.testing.assert_allclose(record.boxes_yxyx, [[1, 0, 6, 4]])


def test_files_that_name_another_picture_are_counted(tmp_path: Path) -> None:
    _write(tmp_path, {name: _object("a", (1, 2, 4, 6)) for name in ("1", "2", "3")})
    for number, name in ((1, "C:\\x\\1.jpg"), (2, "7.jpg")):
        file = tmp_path / f"Annotations/{number}.xml"
        file.write_text(file.read_text().replace(f"{number}.jpg", name))
    assert voc.open_source(tmp_path).repairs == {voc.OTHER_NAMES: 1}


@pytest.mark.parametrize(
    "size", ["", "<size><width>0</width><height>0</height></size>"]
)
def test_no_size_is_not_compared(size: str, tmp_path: Path) -> None:
    _write(tmp_path, {"1": size + _object("a", (1, 2, 4, 6))})
    assert len(voc.open_source(tmp_path).load("1").labels) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>\n<object></annotation>", r"1\.xml: broken XML .*line 2"),
        ('<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>', r"1\.xml: not readable as XML"),
        (f"<a>{_object('x', (1, 2, 3, float('inf')))}</a>", "object 1 has no numbers"),
        (f"<a>{_object(' ', (1, 2, 3, 4))}</a>", "object 1 has no class"),
        ("<a></a>", "none of the 1 XML files has an <object>"),
    ],
)
def test_bad_xml(text: str, message: str, tmp_path: Path) -> None:
    _write(tmp_path, {"1": ""})
    (tmp_path / "Annotations" / "1.xml").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        voc.open_source(tmp_path)
    assert "\n" not in str(caught.value)
