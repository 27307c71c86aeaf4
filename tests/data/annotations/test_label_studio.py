"""Tasks of Label Studio: per cent, turned shapes, which annotation, which image."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellrec_jax.data.annotations import label_studio
from cellrec_jax.errors import DataError

SIZE = {"original_width": 200, "original_height": 100, "image_rotation": 90}


def _result(value: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"id": "r", "from_name": "label", "value": value, **SIZE, **keys}


def _task(*results: dict[str, Any], image: str = "a.png", **keys: Any) -> dict:
    rows = [one | {"id": f"r{i}"} for i, one in enumerate(results)]
    annotation = {"id": 3, "completed_by": 1, "result": rows}
    return {"id": 7, "data": {"image": image}, "annotations": [annotation], **keys}


def _write(folder: Path, content: Any) -> Path:
    file = folder / "project.json"
    file.write_text(json.dumps(content))
    return file


def _read(folder: Path, *tasks: dict) -> Any:
    return label_studio.parse(_write(folder, list(tasks)))


def test_every_shape_in_per_cent(tmp_path: Path) -> None:
    task = _task(
        _result({"x": 10, "y": 30, "width": 0.4, "keypointlabels": ["T"]}, score=0.5),
        _result({"x": 10, "y": 30, "width": 5, "height": 4, "rectanglelabels": ["S"]}),
        _result(
            {"x": 50, "y": 50, "radiusX": 5, "radiusY": 20, "ellipselabels": ["S"]}
        ),
        _result({"points": [[0, 0], [15, 0], [0, 12]], "polygonlabels": ["T"]}),
        _result({"rle": [1, 2], "format": "rle", "brushlabels": ["T"]}),
    )
    (found,) = _read(tmp_path, task).tasks
    read = found.annotations
    assert read.size_hw == (100, 200)
    assert read.names == ("T", "S", "S", "T")
    expected = [[30, 20], [32, 25], [50, 100], [4, 10]]
    np.testing.assert_allclose(read.points_yx, expected)
    boxes = [[30, 20, 34, 30], [30, 90, 70, 110], [0, 0, 12, 30]]
    np.testing.assert_allclose(read.boxes_yxyx[1:], boxes)
    np.testing.assert_array_equal(read.scores, [0.5, np.nan, np.nan, np.nan])
    assert read.notes == {label_studio.OTHERS: 1}


def test_rectangles_turn_around_their_corner(tmp_path: Path) -> None:
    value = {"x": 50, "y": 50, "width": 10, "height": 4, "rotation": 90}
    (found,) = _read(tmp_path, _task(_result(value))).tasks
    # 20 x 4 px from (50, 100): its right side goes down, its lower side to the left.
    np.testing.assert_allclose(found.annotations.boxes_yxyx, [[50, 96, 70, 100]])
    np.testing.assert_allclose(found.annotations.points_yx, [[60, 98]])


def test_labels_of_the_same_region(tmp_path: Path) -> None:
    task = _task(_result({"x": 1, "y": 2, "width": 9, "height": 8}))
    label = _result({"x": 1, "y": 2, "labels": ["T", "S"]}, id="r0", type="labels")
    task["annotations"][0]["result"] += [label, {"type": "relation", "from_id": "r0"}]
    (found,) = _read(tmp_path, task).tasks
    assert found.annotations.names == ("T",)
    assert found.annotations.notes == {label_studio.SEVERAL: 1}


def test_which_annotation_counts(tmp_path: Path) -> None:
    def one(number: int, x: float, **keys: Any) -> dict:
        return {"id": number, "result": [_result({"x": x, "y": 0})], **keys}

    rows = [one(1, 10), one(2, 20), one(3, 30, was_cancelled=True)]
    (found,) = _read(tmp_path, _task() | {"annotations": rows}).tasks
    assert found.annotations.points_yx[0, 1] == 40
    assert found.annotations.notes == {label_studio.OLDER: 1}
    rows[0]["updated_at"], rows[1]["updated_at"] = "2024-02-01", "2024-01-01"
    (found,) = _read(tmp_path, _task() | {"annotations": rows}).tasks
    assert found.annotations.points_yx[0, 1] == 20
    rows[1]["ground_truth"] = True
    (found,) = _read(tmp_path, _task() | {"annotations": rows}).tasks
    assert found.annotations.points_yx[0, 1] == 40
    assert not found.annotations.notes
    legacy = {"id": 1, "data": {"image": "a.png"}, "completions": [one(1, 10)]}
    assert len(_read(tmp_path, legacy).tasks[0].annotations.names) == 1


def test_tasks_that_nobody_annotated(tmp_path: Path) -> None:
    guessed = _task(image="b.png") | {"annotations": [], "predictions": [{}]}
    read = _read(tmp_path, _task(), guessed)
    assert [task.names for task in read.tasks] == [("a.png",)]
    assert len(read.tasks[0].annotations.names) == 0
    assert read.num_unannotated == 1


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a.png", ("a.png",)),
        ("/data/upload/12/0a1b2c3d-a%20b.png", ("a b.png", "0a1b2c3d-a b.png")),
        ("/data/local-files/?d=set/sub/a.tif", ("set/sub/a.tif", "a.tif")),
        (
            "s3://bucket/x/0a1b2c3d-a.png",
            ("x/0a1b2c3d-a.png", "0a1b2c3d-a.png", "a.png"),
        ),
        ("https://host/x/a.jpg?token=1", ("x/a.jpg", "a.jpg")),
    ],
)
def test_names_of_images(text: str, names: tuple, tmp_path: Path) -> None:
    assert _read(tmp_path, _task(image=text)).tasks[0].names == names


FAULTS = {
    "no size": {"value": {"x": 1, "y": 2}, "id": "r"},
    "sizes": _result({"x": 1, "y": 2}, original_width=7),
    "zero": {"value": {"x": 1, "y": 2}, "original_width": 0, "original_height": 9},
    "text": _result({"x": "one", "y": 2}),
    "no y": _result({"x": 1}),
    "huge": _result({"x": 1e300, "y": 2}),
    "triple": _result({"points": [[1, 2, 3]]}),
    "no corners": _result({"points": []}),
    "label": _result({"x": 1, "y": 2, "keypointlabels": [2.5]}),
    "several images": _result({"x": 1, "y": 2}, item_index=1),
    "no result": 3,
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_task_at_fault_is_named(name: str, tmp_path: Path) -> None:
    task = _task(_result({"x": 1, "y": 2}))
    task["annotations"][0]["result"].append(FAULTS[name])
    if name in ("no size", "zero"):
        task["annotations"][0]["result"].pop(0)
    with pytest.raises(DataError, match="task 7") as error:
        _read(tmp_path, task)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content", [3, [3], [{"image": "a.png", "label": []}], [_task(image="a.txt")], {}]
)
def test_other_files_are_refused(content: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"project\.json"):
        label_studio.parse(_write(tmp_path, content))
