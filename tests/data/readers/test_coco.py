import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.data.readers import coco, listed
from cellrec_jax.data.readers.clean import BOXES_DEGENERATE
from cellrec_jax.errors import DataError


def _annotation(number: int, **keys: Any) -> dict[str, Any]:
    return {"id": number, "image_id": 7, "category_id": 5, **keys}


def _write(
    root: Path, annotations: list[dict[str, Any]], *, name: str = "x.json", **keys: Any
) -> Path:
    """Two images, 12 high and 20 wide, and one COCO file."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    for image in ("10.png", "2.png"):
        Image.new("RGB", (20, 12), "white").save(root / "images" / image)
    content = {
        "images": [{"id": 7, "file_name": "10.png"}, {"id": 8, "file_name": "2.png"}],
        "categories": [{"id": 5, "name": "tumour"}, {"id": 2, "name": "immune"}],
        "annotations": annotations,
        **keys,
    }
    (root / "annotations").mkdir(exist_ok=True)
    file = root / "annotations" / name
    file.write_text(json.dumps(content))
    return file


def test_boxes(tmp_path: Path) -> None:
    _write(
        tmp_path,
        [
            _annotation(1, bbox=[3, 1, 4, 2.5]),
            _annotation(2, bbox=[10, 5, 2, 2], category_id=2),
        ],
    )
    source = coco.open_source(tmp_path)
    assert source.format == "coco"
    assert source.class_names == ("immune", "tumour")
    assert source.image_ids == ("2", "10")
    record = source.load("10")
    assert record.image.shape == (12, 20, 3)
    np.testing.assert_allclose(record.boxes_yxyx, [[1, 3, 3.5, 7], [5, 10, 7, 12]])
    np.testing.assert_allclose(record.points_yx, [[2.25, 5], [6, 11]])
    np.testing.assert_array_equal(record.labels, [1, 0])
    assert record.ignore is None
    empty = source.load("2")
    assert empty.points_yx.shape == (0, 2)
    assert empty.boxes_yxyx is not None
    assert empty.boxes_yxyx.shape == (0, 4)
    assert not source.repairs


def test_polygon_without_bbox(tmp_path: Path) -> None:
    polygons = [[3, 1, 8, 2, 5, 6], [9, 9, 10, 9, 9, 11]]
    _write(tmp_path, [_annotation(1, segmentation=polygons)])
    record = coco.open_source(tmp_path).load("10")
    np.testing.assert_allclose(record.boxes_yxyx, [[1, 3, 11, 10]])


@pytest.mark.parametrize(
    ("place", "point_yx"),
    [
        ({"keypoints": [0, 0, 0, 4, 9, 2]}, [9.5, 4.5]),
        ({"keypoints": [4, 9, 1], "bbox": [4, 9, 0, 0]}, [9.5, 4.5]),
        ({"keypoints": [4.25, 9, 2]}, [9.0, 4.25]),
        ({"point": [4, 9]}, [9.5, 4.5]),
        ({"bbox": [4, 9, 0, 0]}, [9.5, 4.5]),
    ],
)
def test_points(place: dict[str, Any], point_yx: list[float], tmp_path: Path) -> None:
    _write(tmp_path, [_annotation(1, **place)])
    record = coco.open_source(tmp_path).load("10")
    np.testing.assert_allclose(record.points_yx, [point_yx])
    assert record.boxes_yxyx is None


def test_points_among_boxes_make_all_points(tmp_path: Path) -> None:
    _write(tmp_path, [_annotation(1, bbox=[2, 4, 4, 2]), _annotation(2, point=[10, 3])])
    record = coco.open_source(tmp_path).load("10")
    np.testing.assert_allclose(record.points_yx, [[5, 4], [3.5, 10.5]])
    assert record.boxes_yxyx is None


def test_boxes_read_as_points_are_told(tmp_path: Path) -> None:
    _write(
        tmp_path,
        [
            _annotation(1, bbox=[2, 4, 4, 2]),
            _annotation(2, bbox=[6, 4, 4, 2]),
            _annotation(3, keypoints=[10, 3, 2]),
        ],
    )
    assert coco.open_source(tmp_path).repairs == {coco.BOXES_AS_POINTS: 2}


@pytest.mark.parametrize("value", ["0", 0, False, "false", None, ""])
def test_no_crowd_however_written(value: object, tmp_path: Path) -> None:
    boxes = [_annotation(1, bbox=[2, 4, 4, 2], iscrowd=value)]
    _write(tmp_path, [*boxes, _annotation(2, bbox=[15, 1, 3, 2], iscrowd="1")])
    source = coco.open_source(tmp_path)
    record = source.load("10")
    np.testing.assert_allclose(record.points_yx, [[5, 4]])
    assert record.ignore is not None
    assert record.ignore.sum() == 6
    assert source.repairs == {coco.CROWDS: 1}


def test_all_crowds_are_cells(tmp_path: Path) -> None:
    _write(
        tmp_path,
        [_annotation(i, bbox=[2 * i, 4, 4, 2], iscrowd=1) for i in (1, 2)],
    )
    source = coco.open_source(tmp_path)
    record = source.load("10")
    np.testing.assert_allclose(record.points_yx, [[5, 4], [5, 6]])
    assert record.ignore is None
    assert source.repairs == {coco.ALL_CROWDS: 2}


@pytest.mark.parametrize("side", ["images", "annotations", "categories", "all"])
@pytest.mark.parametrize("to_text", [str, lambda number: f" {number}.0 "[1:-3], float])
def test_ids_as_text(side: str, to_text: Any, tmp_path: Path) -> None:
    content = {
        "images": [{"id": 7, "file_name": "10.png"}],
        "categories": [{"id": 5, "name": "tumour"}, {"id": 2, "name": "immune"}],
        "annotations": [_annotation(1, bbox=[2, 4, 4, 2])],
    }
    for name, rows in content.items():
        for row in rows if side in (name, "all") else ():
            keys = ("image_id", "category_id") if name == "annotations" else ("id",)
            row.update({key: to_text(row[key]) for key in keys})
    _write(tmp_path, **content)
    source = coco.open_source(tmp_path)
    assert source.class_names == ("immune", "tumour")
    assert source.load("10").labels.tolist() == [1]


def test_ids_of_words(tmp_path: Path) -> None:
    _write(
        tmp_path,
        [{"image_id": "im", "category_id": "b", "bbox": [2, 4, 4, 2]}],
        images=[{"id": "im", "file_name": "10.png"}],
        categories=[{"id": n, "name": n.upper()} for n in ("b", "a", "10", "9")],
    )
    source = coco.open_source(tmp_path)
    assert source.class_names == ("9", "10", "A", "B")
    assert source.load("10").labels.tolist() == [3]


@pytest.mark.parametrize(
    "above",
    [
        {"id": 0, "name": "cells", "supercategory": "none"},  # as Roboflow writes
        {"id": 0, "name": "tumour"},  # the name of another, unused
    ],
)
def test_categories_above_others_are_left_out(
    above: dict[str, Any], tmp_path: Path
) -> None:
    below = [
        {"id": i, "name": name, "supercategory": "cells"}
        for i, name in ((5, "tumour"), (6, "immune"))
    ]
    boxes = [_annotation(1, bbox=[2, 4, 4, 2])]
    _write(tmp_path, boxes, categories=[above, *below])
    source = coco.open_source(tmp_path)
    assert source.class_names == ("tumour", "immune")
    assert source.load("10").labels.tolist() == [0]
    assert source.repairs == {coco.UNUSED: 1}


def test_unused_classes_stay(tmp_path: Path) -> None:
    names = [
        {"id": 1, "name": "cell", "supercategory": "cell"},
        {"id": 5, "name": "tumour", "supercategory": ["a"]},
    ]
    _write(tmp_path, [_annotation(1, bbox=[2, 4, 4, 2])], categories=names)
    assert coco.open_source(tmp_path).class_names == ("cell", "tumour")


def test_two_files_in_a_split_are_told(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for name in ("a.json", "b.json"):
        (tmp_path / "train" / name).write_text('{"images": [], "annotations": []}')
    assert coco.matches(tmp_path)
    with pytest.raises(DataError, match=r"a\.json and b\.json"):
        coco.open_source(tmp_path)


def test_sizes_are_those_of_the_picture(tmp_path: Path) -> None:
    image = {"id": 7, "file_name": "10.png", "height": "12", "width": 20.0}
    boxes = [_annotation(1, bbox=[2, 4, 4, 2])]
    _write(tmp_path, boxes, images=[image])
    assert len(coco.open_source(tmp_path).load("10").labels) == 1
    _write(tmp_path, boxes, images=[{**image, "width": 40, "height": 24}])
    with pytest.raises(DataError, match=r"10\.png is 24 x 40 px but .* is 12 x 20"):
        coco.open_source(tmp_path).load("10")


def test_copies_of_roboflow_are_one_group(tmp_path: Path) -> None:
    names = ["a_png.rf.0f1e.png", "a_png.rf.2d3c.png", "b.png"]
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    for name in names:
        Image.new("RGB", (20, 12)).save(tmp_path / name)
    cells = [{"id": 1, "image_id": 0, "category_id": 5, "bbox": [3, 1, 4, 2]}]
    _write(tmp_path, cells, images=images)
    (tmp_path / "annotations/x.json").rename(tmp_path / "_annotations.coco.json")
    groups = coco.open_source(tmp_path).groups
    assert groups == {"a_png.rf.0f1e": "a_png", "a_png.rf.2d3c": "a_png"}


def test_roboflow_folders(tmp_path: Path) -> None:
    for split, category in (("train", 5), ("valid", 2)):
        (tmp_path / split).mkdir()
        Image.new("RGB", (20, 12)).save(tmp_path / split / "1.png")
        names = {5: "tumour", category: "tumour", 9: "immune"}
        content = {
            "images": [{"id": 0, "file_name": "1.png", "width": 20, "height": 12}],
            "categories": [{"id": i, "name": n} for i, n in names.items()][-2:],
            "annotations": [
                {"image_id": 0, "category_id": category, "bbox": [2, 4, 4, 2]},
                {"image_id": 0, "category_id": 9, "bbox": [9, 4, 4, 2]},
            ],
        }
        file = tmp_path / split / "_annotations.coco.json"
        file.write_text(json.dumps(content))
    assert coco.matches(tmp_path)
    source = coco.open_source(tmp_path)
    assert source.class_names == ("tumour", "immune")
    assert source.image_ids == ("train/1", "valid/1")
    for image_id in source.image_ids:
        record = source.load(image_id)
        np.testing.assert_allclose(record.points_yx, [[5, 4], [5, 11]])
        assert record.labels.tolist() == [0, 1]
    (file,) = source.files("valid/1")[1:]
    assert file.parent.name == "valid"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_long_facts_and_other_encodings(encoding: str, tmp_path: Path) -> None:
    file = _write(tmp_path, [_annotation(1, bbox=[2, 4, 4, 2])])
    content = {"info": {"description": "z" * 9000}, **json.loads(file.read_text())}
    file.write_bytes(json.dumps(content).encode(encoding))
    assert coco.matches(tmp_path)
    assert len(coco.open_source(tmp_path).load("10").labels) == 1


def test_decomposed_names_of_files(tmp_path: Path) -> None:
    images = [{"id": 7, "file_name": "gr\u00f6\u00dfe.png"}]
    _write(tmp_path, [_annotation(1, bbox=[2, 4, 4, 2])], images=images)
    (tmp_path / "images/10.png").rename(tmp_path / "images/gro\u0308\u00dfe.png")
    assert len(coco.open_source(tmp_path).load("gr\u00f6\u00dfe").labels) == 1


def test_one_bbox_without_extent_is_dropped(tmp_path: Path) -> None:
    _write(
        tmp_path,
        [_annotation(1, bbox=[2, 4, 4, 2]), _annotation(2, bbox=[9, 3, 0, 0])],
    )
    source = coco.open_source(tmp_path)
    np.testing.assert_allclose(source.load("10").boxes_yxyx, [[4, 2, 6, 6]])
    assert source.repairs == {BOXES_DEGENERATE: 1}


def test_crowd_is_ignored(tmp_path: Path) -> None:
    _write(
        tmp_path,
        [
            _annotation(1, bbox=[2, 4, 4, 2]),
            _annotation(2, bbox=[15, 1, 3, 2], iscrowd=1),
        ],
    )
    record = coco.open_source(tmp_path).load("10")
    assert len(record.points_yx) == 1
    assert record.ignore is not None
    assert record.ignore[1:3, 15:18].all()
    assert record.ignore.sum() == 6


def test_names_in_folders_and_unlisted_images(tmp_path: Path) -> None:
    images = [{"id": 7, "file_name": "a\\10.png"}]
    _write(
        tmp_path,
        [_annotation(1, bbox=[1, 1, 2, 3])],
        name="instances_val.json",
        images=images,
    )
    (tmp_path / "val" / "a").mkdir(parents=True)
    for name in ("10.png", "11.png"):
        Image.new("L", (20, 12)).save(tmp_path / "val" / "a" / name)
    source = coco.open_source(tmp_path)
    assert source.image_ids == ("a/10",)
    assert len(source.load("a/10").labels) == 1
    assert source.repairs == {listed.UNLISTED: 1}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"annotations": []}, "no annotations"),
        ({"annotations": [_annotation(4, image_id=9)]}, "annotation 4 is of image 9"),
        ({"annotations": [_annotation(4, category_id=1)]}, "of category 1"),
        ({"annotations": [_annotation(4)]}, "annotation 4 has no usable"),
        ({"annotations": [_annotation(4, segmentation={"counts": 1})]}, "no usable"),
        ({"annotations": [1]}, "'annotations' is no list of objects"),
        ({"images": []}, "lists no images"),
        ({"images": [{"id": 7, "file_name": "3.png"}]}, "1 of the 1 .* first 3.png"),
        ({"images": [{"id": 7}]}, "image 7 needs a file_name"),
        ({"images": [{"id": 7, "file_name": "../2.png"}]}, "image 7 needs a file"),
        ({"images": [{"id": [7], "file_name": "2.png"}]}, "has no id"),
        ({"images": [{"id": i, "file_name": "2.png"} for i in (1, 2)]}, "repeats"),
        ({"categories": [{"id": 5}]}, "lacks its id or name"),
        ({"categories": []}, "no category"),
        ({"categories": [{"id": 5, "name": " "}]}, "category 5 has an empty name"),
        ({"categories": [{"id": 5, "name": None}]}, "lacks its id or name"),
        ({"annotations": [_annotation(4, bbox=[1, 1, 2, 2], iscrowd=7)]}, "iscrowd 7"),
        (
            {
                "categories": [{"id": i, "name": "a"} for i in (5, 2)],
                "annotations": [
                    _annotation(1, bbox=[1, 1, 2, 2], category_id=i) for i in (5, 2)
                ],
            },
            "two categories are named 'a'",
        ),
        ({"categories": [{"id": 5, "name": n} for n in "ab"]}, "two with the same"),
    ],
)
def test_bad_content(keys: dict[str, Any], message: str, tmp_path: Path) -> None:
    keys = {"annotations": [_annotation(1, bbox=[1, 1, 2, 2])], **keys}
    _write(tmp_path, **keys)
    with pytest.raises(DataError, match=message) as caught:
        coco.open_source(tmp_path)
    assert "\n" not in str(caught.value)


def test_broken_json_names_the_position(tmp_path: Path) -> None:
    file = _write(tmp_path, [])
    file.write_text('{"images": [],\n "annotations": [}')
    with pytest.raises(DataError, match=r"x\.json: broken JSON at line 2, column 18"):
        coco.open_source(tmp_path)


def test_several_files(tmp_path: Path) -> None:
    _write(tmp_path, [_annotation(1, bbox=[1, 1, 2, 2])], name="train.json")
    _write(tmp_path, [_annotation(1, bbox=[1, 1, 2, 2])], name="val.json")
    with pytest.raises(DataError, match=r"train\.json and annotations/val\.json"):
        coco.open_source(tmp_path)
