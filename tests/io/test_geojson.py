import json
import os
import uuid

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.data.annotations import qupath
from cellrec_jax.data.json_file import read_json
from cellrec_jax.io import geojson, geojson_parts, geojson_rules

POINTS = np.array([[10.5, 20.25], [3.0, 400.25]], np.float32)
SCORES = np.array([0.9, 0.25], np.float32)
LABELS = np.array([1, 0])
BOXES = np.array([[1.0, 2.0, 5.0, 12.0], [3.0, 4.0, 6.0, 9.0]])
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
    write(tmp_path / "b.geojson", boxes_yxyx=BOXES)
    features = json.loads((tmp_path / "b.geojson").read_text())["features"]
    assert features[0]["geometry"] == {
        "type": "Polygon",
        "coordinates": [[[2, 1], [12, 1], [12, 5], [2, 5], [2, 1]]],
    }
    read = qupath.parse(tmp_path / "b.geojson")
    np.testing.assert_allclose(read.points_yx, [[3.0, 7.0], [4.5, 6.5]])


@pytest.mark.parametrize("name", ["a.geojson", "a.geojson.gz", "a.json"])
def test_round_trip(tmp_path, name):
    write(tmp_path / name)
    assert ((tmp_path / name).read_bytes()[:2] == b"\x1f\x8b") == name.endswith(".gz")
    read = qupath.parse(tmp_path / name)
    np.testing.assert_array_equal(read.points_yx, POINTS)
    np.testing.assert_allclose(read.scores, SCORES)
    assert read.names == ("positive", "negative")


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
    geojson_rules.validate(found)
    assert len(qupath.parse(tmp_path / "a.geojson").scores) == 2


def test_no_cells(tmp_path):
    none = np.zeros(0, np.int32)
    write(tmp_path / "a.geojson", points_yx=np.zeros((0, 2)), scores=none, labels=none)
    assert qupath.parse(tmp_path / "a.geojson").points_yx.shape == (0, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points_yx": np.array([[1.0, np.nan], [2.0, 3.0]])}, "feature 0: .*point"),
        ({"points_yx": np.array([[1.0, 5.0], [np.inf, 3.0]])}, "feature 1: .*point"),
        ({"points_yx": np.array([[1.0, 5.0], [3.0, 1e30]])}, "feature 1: .*far"),
        ({"scores": np.array([0.5, np.nan])}, "feature 1: .*score"),
        ({"labels": np.array([2, 0])}, "feature 0: .*class"),
        ({"labels": np.array([0, -1])}, "feature 1: .*class"),
        ({"boxes_yxyx": BOXES * [[1], [np.nan]]}, "feature 1: .*box"),
        ({"boxes_yxyx": BOXES[:, [2, 1, 0, 3]]}, "feature 0: .*box"),
        ({"class_names": ("negative", " ")}, "class 1: .*empty"),
        ({"class_names": ("neg\native", "b")}, "class 0: .*line break"),
        ({"class_colors": ((0, 0, 0), (0, 256, 0))}, "class 1: .*color"),
    ],
)
def test_nothing_invalid_is_written(tmp_path, changes, message):
    (tmp_path / "a.geojson").write_text("old")
    with pytest.raises(
        errors.DataError, match=rf"cannot write .*a\.geojson: {message}"
    ):
        write(tmp_path / "a.geojson", **changes)
    assert os.listdir(tmp_path) == ["a.geojson"]
    assert (tmp_path / "a.geojson").read_text() == "old"


def test_arrays_of_other_lengths_are_a_mistake(tmp_path):
    for changes in ({"scores": SCORES[:1]}, {"boxes_yxyx": BOXES[:1]}):
        with pytest.raises(ValueError, match=r"."):
            write(tmp_path / "a.geojson", **changes)
    assert os.listdir(tmp_path) == []


def cells(num, seed=0):
    rng = np.random.default_rng(seed)
    points_yx = rng.uniform((50, 9000), (700, 10_000), (num, 2))
    sides = rng.uniform(0, 20, (2, num, 2))
    boxes_yxyx = np.concatenate([points_yx - sides[0], points_yx + sides[1]], 1)
    return points_yx, rng.random(num), rng.integers(0, 2, num), boxes_yxyx


def stream(path, columns, sizes, **options):
    """Writes cells in chunks of these sizes, the last of what is left."""
    with geojson.open_geojson(path, NAMES, COLORS, **options) as add:
        start = 0
        for size in (*sizes, len(columns[0])):
            add(*(column[start : start + size] for column in columns))
            start += size


def features_of(path):
    collection = read_json(path)
    geojson_rules.validate(collection)
    return collection["features"]


@pytest.mark.parametrize("geometry", geojson.GEOMETRIES)
@pytest.mark.parametrize("ending", ["geojson", "geojson.gz"])
def test_chunks_leave_no_trace_and_qupath_reads_each_feature(
    tmp_path, monkeypatch, geometry, ending
):
    monkeypatch.setattr(geojson, "_BLOCK", 64)
    columns = cells(300)
    options = {"geometry": geometry, "circle_px": 7.0}
    stream(tmp_path / f"a.{ending}", columns, (), **options)
    stream(tmp_path / f"b.{ending}", columns, (1, 0, 63, 65, 2, 130), **options)
    first, second = (tmp_path / f"{name}.{ending}" for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert len(features_of(first)) == 300
    read = qupath.parse(first)
    centers_yx = columns[0]
    if geometry == "box":
        centers_yx = (columns[3][:, :2] + columns[3][:, 2:]) / 2
    np.testing.assert_allclose(read.points_yx, centers_yx, atol=0.011)
    np.testing.assert_allclose(read.scores, columns[1], atol=1e-6)
    assert read.names == tuple(NAMES[label] for label in columns[2])


def test_circles_are_round_and_have_the_ids_of_their_points(tmp_path):
    columns = cells(20)
    stream(tmp_path / "p.geojson", columns, ())
    stream(tmp_path / "c.geojson", columns, (), geometry="circle", circle_px=7.0)
    points, circles = (features_of(tmp_path / f"{name}.geojson") for name in "pc")
    assert [feature["id"] for feature in points] == [f["id"] for f in circles]
    for (y, x), feature in zip(columns[0], circles, strict=True):
        (ring_xy,) = feature["geometry"]["coordinates"]
        assert len(ring_xy) == 17
        distances = np.hypot(*(np.array(ring_xy) - (x, y)).T)
        np.testing.assert_allclose(distances, 7, atol=0.011)


def test_boxes_too_narrow_for_an_outline_are_widened(tmp_path):
    boxes_yxyx = np.array([[10.0, 20.0, 10.0, 30.0], [5.0, 6.0, 5.04, 6.0]])
    write(tmp_path / "a.geojson", boxes_yxyx=boxes_yxyx)
    rings_xy = [
        f["geometry"]["coordinates"][0] for f in features_of(tmp_path / "a.geojson")
    ]
    assert rings_xy[0][::2] == [[20, 9.95], [30, 10.05], [20, 9.95]]
    assert rings_xy[1][::2] == [[5.95, 4.97], [6.05, 5.07], [5.95, 4.97]]


def test_the_origin_is_taken_off(tmp_path):
    columns = cells(5)
    options = {"origin_yx": (40.5, 8000.0), "circle_px": 3.0}
    for geometry in geojson.GEOMETRIES:
        stream(tmp_path / "a.geojson", columns, (), geometry=geometry, **options)
        read = qupath.parse(tmp_path / "a.geojson")
        stream(tmp_path / "b.geojson", columns, (), geometry=geometry, circle_px=3.0)
        whole = qupath.parse(tmp_path / "b.geojson")
        moved = whole.points_yx - [40.5, 8000.0]
        np.testing.assert_allclose(read.points_yx, moved, atol=0.011)


@pytest.mark.parametrize("ending", ["geojson", "geojson.gz"])
def test_parts_have_so_many_features_each(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(geojson, "_BLOCK", 4)
    columns = cells(25)
    options = {"metadata": {"mpp": 0.25}}
    stream(tmp_path / f"whole.{ending}", columns, (), **options)
    stream(tmp_path / f"s.{ending}", columns, (3,), split=10, **options)
    parts = [geojson_parts.part_path(tmp_path / f"s.{ending}", n) for n in (1, 2, 3)]
    assert sorted(os.listdir(tmp_path)) == [
        *(f"s-{number}.{ending}" for number in (1, 2, 3)),
        f"whole.{ending}",
    ]
    found = [features_of(part) for part in parts]
    assert [len(features) for features in found] == [10, 10, 5]
    joined = [feature for features in found for feature in features]
    assert joined == features_of(tmp_path / f"whole.{ending}")
    assert all(read_json(part)["metadata"] == {"mpp": 0.25} for part in parts)


@pytest.mark.parametrize(("num", "expected"), [(0, [0]), (10, [10]), (11, [10, 1])])
def test_no_part_is_empty_unless_there_are_no_cells(tmp_path, num, expected):
    stream(tmp_path / "s.json", cells(num), (), split=10)
    names = sorted(os.listdir(tmp_path))
    assert [len(features_of(tmp_path / name)) for name in names] == expected


@pytest.mark.parametrize(
    "failure", [errors.DataError("bad"), FileNotFoundError("slide.svs")]
)
def test_an_error_midway_leaves_no_part(tmp_path, failure):
    """Nor is an error of a slide's reader turned into one of this file."""

    def write_half():
        target = tmp_path / "a.geojson.gz"
        with geojson.open_geojson(target, NAMES, COLORS, split=10) as add:
            add(*cells(30))
            raise failure

    with pytest.raises(type(failure)) as caught:
        write_half()
    assert caught.value is failure
    assert os.listdir(tmp_path) == []


def test_a_bad_cell_of_a_later_chunk_has_its_number_in_the_slide(tmp_path):
    columns = cells(20)
    columns[1][13] = np.inf
    with pytest.raises(errors.DataError, match="feature 13: "):
        stream(tmp_path / "a.geojson", columns, (10,))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "options",
    [
        {"geometry": "star"},
        {"geometry": "circle"},
        {"geometry": "circle", "circle_px": np.nan},
        {"geometry": "box"},
        {"split": -1},
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path, options):
    columns = cells(3)[:3]
    with pytest.raises(errors.ConfigError):
        stream(tmp_path / "a.geojson", columns, (), **options)
    assert os.listdir(tmp_path) == []


def test_ids_are_those_of_the_first_release(tmp_path):
    """Of number, place, score and class, as `uuid.uuid5` makes them."""
    write(tmp_path / "a.geojson")
    first, _ = features_of(tmp_path / "a.geojson")
    namespace = uuid.uuid5(uuid.NAMESPACE_DNS, "cellrec-jax")
    content = "0 [20.25, 10.5] 0.8999999761581421 positive"
    assert first["id"] == str(uuid.uuid5(namespace, content))
