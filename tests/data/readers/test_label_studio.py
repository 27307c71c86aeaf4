"""Images of Label Studio's tasks: found with and without what uploading adds."""

import json
from pathlib import Path

from PIL import Image
import pytest

from cellrec_jax.data.annotations import label_studio
from cellrec_jax.data.readers import open_source
from cellrec_jax.errors import DataError


def _task(image: str, x: float = 10.0, *, done: bool = True) -> dict:
    value = {"x": x, "y": 50, "width": 1, "keypointlabels": ["T"]}
    size = {"original_width": 40, "original_height": 30}
    annotation = {"completed_by": 1, "result": [{"id": "r", "value": value, **size}]}
    return {"id": 1, "data": {"image": image}, "annotations": [annotation] * done}


def _write(root: Path, *tasks: dict, image: str = "images/a.png") -> None:
    path = root / image
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30)).save(path)
    (root / "project-1.json").write_text(json.dumps(tasks))


@pytest.mark.parametrize(
    ("image", "text", "image_id"),
    [
        ("images/a.png", "/data/upload/1/0123abcd-a.png", "a"),
        ("images/0123abcd-a.png", "/data/upload/1/0123abcd-a.png", "a"),
        ("images/a.png", "/data/local-files/?d=set/a.png", "set/a"),
        ("set/a.png", "s3://bucket/set/a.png", "set/a"),
        ("a.png", "a.png", "a"),
        ("a ü (1).png", "/data/upload/1/0123abcd-a_%C3%BC_1.png", "a_ü_1"),
        ("a+b %41.png", "/data/local-files/?d=x/a%2Bb%20%2541.png", "x/a+b %41"),
    ],
)
def test_images_are_found(image: str, text: str, image_id: str, tmp_path: Path) -> None:
    _write(tmp_path, _task(text), image=image)
    source = open_source(tmp_path)
    assert (source.format, source.image_ids) == ("label_studio", (image_id,))
    assert source.load(image_id).points_yx.tolist() == [[15, 4]]
    assert not source.repairs


def test_names_that_uploading_makes_one(tmp_path: Path) -> None:
    _write(tmp_path, _task("/data/upload/1/0123abcd-a_b.png"), image="a b.png")
    _write(tmp_path, _task("/data/upload/1/0123abcd-a_b.png"), image="a_(b).png")
    with pytest.raises(DataError, match="1 of the 1 images"):
        open_source(tmp_path)


def test_the_smaller_export_is_named(tmp_path: Path) -> None:
    _write(tmp_path)
    row = {"image": "/data/upload/1/0123abcd-a.png", "id": 1, "lead_time": 3.5}
    (tmp_path / "project-1.json").write_text(json.dumps([row]))
    with pytest.raises(DataError, match="export it as JSON, not -MIN"):
        open_source(tmp_path)


def test_a_single_task_is_no_coco(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / "project-1.json").write_text(json.dumps(_task("a.png")))
    assert open_source(tmp_path).format == "label_studio"


def test_tasks_that_cannot_be_images(tmp_path: Path) -> None:
    _write(tmp_path, _task("a.png"), _task("b.png", done=False))
    assert open_source(tmp_path).repairs == {label_studio.UNANNOTATED: 1}
    _write(tmp_path, _task("a.png"), _task("a.png"))
    with pytest.raises(DataError, match="of two tasks"):
        open_source(tmp_path)
    _write(tmp_path, _task("/data/local-files/?d=../a.png"))
    assert open_source(tmp_path).image_ids == ("a",)  # by its name alone
    skipped = _task("a.png")
    skipped["annotations"][0]["was_cancelled"] = True
    _write(tmp_path, skipped)
    with pytest.raises(DataError, match="no task is annotated"):
        open_source(tmp_path, "label_studio")
