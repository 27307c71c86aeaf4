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


def read(path):
    content = path.read_bytes()
    return json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)


def test_one_feature_in_full(tmp_path):
    write(tmp_path / "a.geojson")
    collection = read(tmp_path / "a.geojson")
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


@pytest.mark.parametrize("name", ["a.geojson", "a.geojson.gz", "a.json"])
def test_every_cell_is_written(tmp_path, name):
    write(tmp_path / name)
    assert ((tmp_path / name).read_bytes()[:2] == b"\x1f\x8b") == name.endswith(".gz")
    features = read(tmp_path / name)["features"]
    points_xy = [feature["geometry"]["coordinates"] for feature in features]
    np.testing.assert_array_equal(points_xy, POINTS[:, ::-1])
    properties = [feature["properties"] for feature in features]
    assert [p["measurements"]["score"] for p in properties] == [0.9, 0.25]
    assert [p["classification"]["name"] for p in properties] == ["positive", "negative"]


def test_equal_cells_give_equal_bytes(tmp_path):
    for name in ("a.geojson.gz", "b.geojson.gz"):
        write(tmp_path / name)
    first, second = (tmp_path / f"{name}.geojson.gz" for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_cells_on_the_same_spot_get_ids_of_their_own(tmp_path):
    write(tmp_path / "a.geojson", points_yx=POINTS[[0, 0]], labels=np.zeros(2, int))
    features = read(tmp_path / "a.geojson")["features"]
    assert features[0]["id"] != features[1]["id"]


def test_no_cells(tmp_path):
    none = np.zeros(0, np.int32)
    write(tmp_path / "a.geojson", points_yx=np.zeros((0, 2)), scores=none, labels=none)
    assert read(tmp_path / "a.geojson")["features"] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"points_yx": np.array([[1.0, np.nan], [2.0, 3.0]])},
        {"points_yx": np.array([[1.0, 5.0], [np.inf, 3.0]])},
        {"scores": np.array([0.9, np.nan])},
        {"class_names": ("negative", " ")},
        {"class_colors": ((0, 0, 0), (0, 256, 0))},
        {"class_colors": ((0, 0, 0), (0, 5))},
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
