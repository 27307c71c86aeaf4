import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.data.readers import coco
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
    assert source.repairs == {coco.UNLISTED: 1}


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
