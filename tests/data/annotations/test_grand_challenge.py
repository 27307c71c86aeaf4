"""Points, polygons and boxes of grand-challenge, and stacks of OCELOT."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellrec_jax.data.annotations import grand_challenge
from cellrec_jax.errors import DataError


def _write(folder: Path, content: Any) -> Path:
    (folder / "a.json").write_text(json.dumps(content))
    return folder / "a.json"


def _points(*items: dict[str, Any], name: str = "lymphocytes") -> dict[str, Any]:
    return {"name": name, "type": "Multiple points", "points": list(items)}


def test_points_and_whose_name_is_the_class(tmp_path: Path) -> None:
    items = [
        {"name": "Point 0", "point": [7.5, 3, 0.5], "probability": 0.25},
        {"point": [1, 2]},
        {"name": "mitotic figure", "point": [4, 5, 0]},
        {"name": "monocyte 12", "point": [4, 5, 0]},
    ]
    read = grand_challenge.parse(_write(tmp_path, _points(*items)))
    assert read.points_yx.tolist() == [[3, 7.5], [2, 1], [5, 4], [5, 4]]
    assert read.names == ("lymphocytes", "lymphocytes", "mitotic figure", "monocyte")
    np.testing.assert_array_equal(read.scores, [0.25, np.nan, np.nan, np.nan])
    plain = _points({"point": [1, 2]}, name="Points")
    assert grand_challenge.parse(_write(tmp_path, plain)).names == ("",)


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("Multiple polygons", ("polygons", "path_points")),
        ("Multiple 2D bounding boxes", ("boxes", "corners")),
        ("Polygon", ("", "path_points")),
        ("2D bounding box", ("", "corners")),
    ],
)
def test_areas(kind: str, keys: tuple[str, str], tmp_path: Path) -> None:
    item = {"name": "T", keys[1]: [[2, 4, 0], [8, 4, 0], [8, 6, 0], [2, 6, 0]]}
    content = {"type": kind, **({keys[0]: [item]} if keys[0] else item)}
    read = grand_challenge.parse(_write(tmp_path, content))
    assert read.boxes_yxyx.tolist() == [[4, 2, 6, 8]]
    assert read.points_yx.tolist() == [[5, 5]]
    assert read.names == ("T",)


def test_stacks_by_the_number_of_the_image(tmp_path: Path) -> None:
    items = [
        {"name": "image_10", "point": [7, 3, 2], "probability": 0.5},
        {"name": "image_2", "point": [1, 2, 1.0]},
        {"name": "image_2", "point": [4, 5, 2]},
    ]
    found = grand_challenge.parse_stack(_write(tmp_path, _points(*items)))
    assert {k: v.names for k, v in found.items()} == {10: ("2",), 2: ("1", "2")}
    assert found[2].points_yx.tolist() == [[2, 1], [5, 4]]


@pytest.mark.parametrize(
    "item",
    [
        *(3, {}, {"point": 3}, {"point": [1]}, {"point": ["a", 1]}),
        *({"point": [1e999, 1]}, {"point": [1, 2], "name": [1]}),
        {"point": [1, 2], "probability": "x"},
    ],
)
def test_the_item_at_fault_is_named(item: Any, tmp_path: Path) -> None:
    text = json.dumps(_points({"point": [1, 2]}, item)).replace("Infinity", "1e999")
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a\.json.*(item 1|broken JSON)") as error:
        grand_challenge.parse(tmp_path / "a.json")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "item",
    [
        {"point": [1, 2, 1]},
        {"name": "image_0", "point": [1, 2]},
        {"name": "image_0", "point": [1, 2, 1.5]},
        {"name": "x", "point": [1, 2, 1]},
    ],
)
def test_items_that_are_not_of_a_stack(item: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="item 0"):
        grand_challenge.parse_stack(_write(tmp_path, _points(item)))


@pytest.mark.parametrize(
    "content", [3, [], {}, {"type": "Chart"}, {"type": "Multiple points", "points": 3}]
)
def test_other_files_are_refused(content: Any, tmp_path: Path) -> None:
    for parse in (grand_challenge.parse, grand_challenge.parse_stack):
        with pytest.raises(DataError, match="no grand-challenge JSON"):
            parse(_write(tmp_path, content))
