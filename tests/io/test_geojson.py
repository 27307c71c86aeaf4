import copy
import gzip
import json
import os

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.io import geojson

POINTS = np.array([[10.5, 20.25], [3.0, 400.125]], np.float32)
SCORES = np.array([0.9, 0.25], np.float32)
LABELS = np.array([1, 0])
NAMES = ("negative", "positive")
COLORS = ((0, 100, 200), (255, 0, 10))


def write(path, **changes):
    arguments = {
        "points_yx": POINTS,
        "scores": SCORES,
        "labels": LABELS,
        "class_names": NAMES,
        "class_colors": COLORS,
    }
    geojson.write_geojson(path, **(arguments | changes))


@pytest.fixture
def collection(tmp_path):
    write(tmp_path / "valid.geojson")
    return json.loads((tmp_path / "valid.geojson").read_text())


def test_one_feature_in_full(collection):
    assert collection["type"] == "FeatureCollection"
    assert len(collection["features"]) == 2
    feature = collection["features"][0]
    assert len(feature.pop("id")) == 36
    assert feature == {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [20.25, 10.5]},
        "properties": {
            "objectType": "detection",
            "classification": {"name": "positive", "color": [255, 0, 10]},
            "measurements": {"score": 0.9},
        },
    }


def test_boxes_become_closed_polygons(tmp_path):
    boxes_yxyx = np.array([[1.0, 2.0, 5.0, 12.0], [3.0, 4.0, 6.0, 9.0]])
    write(tmp_path / "b.geojson", boxes_yxyx=boxes_yxyx)
    features = json.loads((tmp_path / "b.geojson").read_text())["features"]
    assert features[0]["geometry"] == {
        "type": "Polygon",
        "coordinates": [[[2, 1], [12, 1], [12, 5], [2, 5], [2, 1]]],
    }
    read = geojson.read_points(tmp_path / "b.geojson")
    np.testing.assert_allclose(read.points_yx, [[3.0, 7.0], [4.5, 6.5]])


@pytest.mark.parametrize("name", ["a.geojson", "a.geojson.gz", "a.json"])
def test_round_trip(tmp_path, name):
    write(tmp_path / name)
    assert ((tmp_path / name).read_bytes()[:2] == b"\x1f\x8b") == name.endswith(".gz")
    read = geojson.read_points(tmp_path / name)
    np.testing.assert_array_equal(read.points_yx, POINTS)
    np.testing.assert_allclose(read.scores, SCORES)
    assert read.class_names == ("positive", "negative")


def test_equal_cells_give_equal_bytes(tmp_path):
    for name in ("a.geojson.gz", "b.geojson.gz"):
        write(tmp_path / name)
    first, second = (tmp_path / f"{name}.geojson.gz" for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_cells_on_the_same_spot_get_ids_of_their_own(tmp_path):
    write(tmp_path / "a.geojson", points_yx=POINTS[[0, 0]], labels=np.zeros(2, int))
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert features[0]["id"] != features[1]["id"]


def test_metadata_is_a_member_that_readers_pass_over(tmp_path):
    write(tmp_path / "a.geojson", metadata={"thresholds": {"positive": 0.5}})
    found = json.loads((tmp_path / "a.geojson").read_text())
    assert found["metadata"] == {"thresholds": {"positive": 0.5}}
    geojson.validate(found)
    assert len(geojson.read_points(tmp_path / "a.geojson").scores) == 2


def test_no_cells(tmp_path):
    none = np.zeros(0, np.int32)
    write(tmp_path / "a.geojson", points_yx=np.zeros((0, 2)), scores=none, labels=none)
    assert geojson.read_points(tmp_path / "a.geojson").points_yx.shape == (0, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"points_yx": np.array([[1.0, np.nan], [2.0, 3.0]])},
        {"points_yx": np.array([[1.0, 5.0], [np.inf, 3.0]])},
        {"class_names": ("negative", " ")},
        {"class_colors": ((0, 0, 0), (0, 256, 0))},
    ],
)
def test_nothing_invalid_is_written(tmp_path, changes):
    (tmp_path / "a.geojson").write_text("old")
    with pytest.raises(
        errors.DataError, match=r"cannot write .*a\.geojson: feature \d"
    ):
        write(tmp_path / "a.geojson", **changes)
    assert os.listdir(tmp_path) == ["a.geojson"]
    assert (tmp_path / "a.geojson").read_text() == "old"


def drop(*keys):
    def change(feature):
        for key in keys[:-1]:
            feature = feature[key]
        del feature[keys[-1]]

    return change


def put(value, *keys):
    def change(feature):
        for key in keys[:-1]:
            feature = feature[key]
        feature[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("feature", "type"), "not of type"),
        (put("cell-1", "id"), "no UUID"),
        (drop("properties"), "objectType"),
        (put(None, "properties", "name"), "null"),
        (drop("properties", "classification"), "no classification"),
        (put("", "properties", "classification", "name"), "name is empty"),
        (put([1, 2], "properties", "classification", "color"), "color is not"),
        (put([1, 2, True], "properties", "classification", "color"), "whole numbers"),
        (put([], "properties", "measurements"), "not an object"),
        (put({"a": "1"}, "properties", "measurements"), "not a number"),
        (drop("geometry"), "no geometry"),
        (put("Circle", "geometry", "type"), "Circle"),
        (put([1, 2, 3], "geometry", "coordinates"), "not \\[x, y\\]"),
        (put({"type": "Polygon", "coordinates": []}, "geometry"), "without outline"),
        (
            put(
                {"type": "Polygon", "coordinates": [[[0, 1], [2, 3], [4, 9], [5, 5]]]},
                "geometry",
            ),
            "not closed",
        ),
    ],
)
def test_validate_names_the_fault(collection, change, message):
    geojson.validate(collection)
    change(collection["features"][1])
    with pytest.raises(errors.DataError, match=f"feature 1: .*{message}"):
        geojson.validate(collection)


def test_validate_checks_the_whole(collection):
    collection["features"].append(copy.deepcopy(collection["features"][0]))
    with pytest.raises(errors.DataError, match="feature 2: its id is used twice"):
        geojson.validate(collection)
    for wrong in ([], {"type": "Feature"}, {"type": "FeatureCollection"}, None):
        with pytest.raises(errors.DataError):
            geojson.validate(wrong)


def test_what_qupath_exports_is_read(tmp_path):
    """A bare list, a multi-point, an outline, a missing class."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "MultiPoint", "coordinates": [[1, 2], [3.5, 4]]},
            "properties": {
                "classification": {"name": "Tumor"},
                "measurements": [{"name": "Area", "value": 3.0}],
            },
        },
        {
            "type": "Feature",
            "geometry": {
                "type": "Polygon",
                # An L of area 3; the centre of area is (5/6, 5/6) from its corner.
                "coordinates": [
                    [
                        [10, 20],
                        [12, 20],
                        [12, 21],
                        [11, 21],
                        [11, 22],
                        [10, 22],
                        [10, 20],
                    ]
                ],
            },
            "properties": None,
        },
    ]
    (tmp_path / "q.geojson").write_text(json.dumps(features))
    read = geojson.read_points(tmp_path / "q.geojson")
    expected = [[2, 1], [4, 3.5], [20 + 5 / 6, 10 + 5 / 6]]
    np.testing.assert_allclose(read.points_yx, expected, rtol=1e-6)
    assert read.class_names == ("Tumor", "Tumor", "")
    assert read.scores.tolist() == [1.0, 1.0, 1.0]


def test_a_polygon_without_area_has_a_centre(tmp_path):
    flat = {"type": "Polygon", "coordinates": [[[0, 1], [2, 3], [4, 5], [0, 1]]]}
    (tmp_path / "q.geojson").write_text(
        json.dumps({"type": "Feature", "geometry": flat})
    )
    read = geojson.read_points(tmp_path / "q.geojson")
    np.testing.assert_allclose(read.points_yx, [[3.0, 2.0]])


LINE = {"type": "Feature", "geometry": {"type": "LineString", "coordinates": [[0, 1]]}}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.geojson", b"{"),
        ("a.geojson", b"[3]"),
        ("a.geojson.gz", gzip.compress(b"[]", mtime=0)[:-6]),
        ("a.geojson", json.dumps(LINE).encode()),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(errors.DataError, match=r"a\.geojson") as caught:
        geojson.read_points(tmp_path / name)
    assert "\n" not in str(caught.value)
