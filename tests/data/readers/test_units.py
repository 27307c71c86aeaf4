"""Coordinates that are no px: shares of 1 and per cent."""

from collections.abc import Callable
import json
from pathlib import Path

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.data.readers import open_source, units
from cellrec_jax.errors import DataError

SHARES_XY = [[0.1125, 0.3125], [0.333, 0.625], [0.875, 0.1]]
SIZE_HW = (240, 300)


def _image(root: Path, size_hw: tuple[int, int] = SIZE_HW) -> None:
    (root / "images").mkdir()
    Image.new("L", size_hw[::-1]).save(root / "images/a.png")


def _csv(root: Path, points_xy: list) -> None:
    (root / "labels").mkdir()
    lines = [f"{x},{y}\n" for x, y in points_xy]
    (root / "labels/a.csv").write_text("".join(lines))


def _json(root: Path, points_xy: list) -> None:
    (root / "json").mkdir()
    items = [{"x": x, "y": y} for x, y in points_xy]
    (root / "json/a.json").write_text(json.dumps(items))


def _coco(root: Path, points_xy: list) -> None:
    boxes = [
        {"image_id": 1, "category_id": 1, "bbox": [x, y, 0.05, 0.05]}
        for x, y in points_xy
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": boxes,
        "categories": [{"id": 1, "name": "cell"}],
    }
    (root / "c.json").write_text(json.dumps(content))


def _voc(root: Path, points_xy: list) -> None:
    objects = [
        f"<object><name>cell</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin>"
        f"<xmax>{x + 0.05}</xmax><ymax>{y + 0.05}</ymax></bndbox></object>"
        for x, y in points_xy
    ]
    (root / "Annotations").mkdir()
    text = f"<annotation>{''.join(objects)}</annotation>"
    (root / "Annotations/a.xml").write_text(text)


@pytest.mark.parametrize("write", [_csv, _json, _coco, _voc])
@pytest.mark.parametrize(
    ("scale", "cause"), [(1, "are shares of the image"), (100, "are per cent of")]
)
def test_points_that_are_no_px_are_refused(
    write: Callable[[Path, list], None], scale: int, cause: str, tmp_path: Path
) -> None:
    _image(tmp_path)
    write(tmp_path, [[x * scale, y * scale] for x, y in SHARES_XY * 4])
    with pytest.raises(DataError, match=cause) as error:
        open_source(tmp_path).load("a")
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("write", [_csv, _json, _coco, _voc])
def test_px_of_small_images_pass(
    write: Callable[[Path, list], None], tmp_path: Path
) -> None:
    _image(tmp_path, (100, 120))
    write(tmp_path, [[x * 100, y * 100] for x, y in SHARES_XY * 4])
    assert len(open_source(tmp_path).load("a").labels) in (3, 12)


@pytest.mark.parametrize(
    ("points_yx", "size_hw", "refused"),
    [
        (SHARES_XY, (48, 64), True),
        ([[0.3, 0.7]], (200, 200), False),
        ([[0.3, 0.7], [0.2, 0.1]], (20, 20), False),  # one in 160,000 by chance
        (SHARES_XY, (1, 1), False),
        ([[0.5, 0.5], [0.5, 0.5]], (200, 200), False),  # clicks on the first pixel
        ([[0.5, 0.7], [0.5, 2.2]], (200, 200), False),
        ([[0.5, 0.7], [np.nan, 3.2], [0.9, 0.4]], (200, 200), True),
        ([[np.nan, 0.7]], (200, 200), False),
        (np.zeros((0, 2)), (200, 200), False),
    ],
)
def test_shares(points_yx: list, size_hw: tuple[int, int], refused: bool) -> None:
    points = np.array(points_yx)
    if refused:
        with pytest.raises(DataError, match=rf"multiply x by {size_hw[1]} .*height"):
            units.check_shares(points, size_hw, "a.csv")
    else:
        units.check_shares(points, size_hw, "a.csv")


def test_a_single_cell_an_image_is_told_by_the_set(tmp_path: Path) -> None:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for image_id, line in (("a", "0.25,0.3\n"), ("b", "0.9,0.125\n")):
        Image.new("L", (300, 240)).save(tmp_path / f"images/{image_id}.png")
        (tmp_path / f"labels/{image_id}.csv").write_text(line)
    with pytest.raises(DataError, match=r"all 2 cells .* shares of the images"):
        open_source(tmp_path)
