import json
import os

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.data.annotations import qupath
from cellrec_jax.rounds import labels as round_labels
from cellrec_jax.rounds.labels import GIVEN, NEGATIVE, POSITIVE, ImageLabels

SIZES = {"slide/a": (30, 40), "b": (20, 50), "c": (20, 50)}
LABELS = {
    "slide/a": ImageLabels(
        np.array([[10.5, 20.25], [0.1, 39.5], [29.5, 1 / 3]], np.float32),
        (GIVEN, POSITIVE, NEGATIVE),
        np.array([0, 1, 2], np.int32),
        np.array([np.nan, 3.25, -0.1], np.float32),
    ),
    "b": round_labels.given(np.zeros((0, 2))),
    "c": round_labels.given(np.array([[7.5, 31.5]])),
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "labels" / "round_2.json"
    round_labels.write(path, 2, LABELS, SIZES)
    return path


def same(found, wanted):
    assert list(found) == list(wanted)
    for image_id, labels in wanted.items():
        for field, other in zip(found[image_id], labels, strict=True):
            np.testing.assert_array_equal(field, other)
            assert getattr(field, "dtype", None) == getattr(other, "dtype", None)


def test_round_trip_is_exact(path):
    number, images = round_labels.read(path, SIZES)
    assert number == 2
    same(images, LABELS)


def test_the_order_is_that_of_the_sizes(path):
    backwards = dict(reversed(SIZES.items()))
    assert list(round_labels.read(path, backwards).images) == ["c", "b", "slide/a"]


def test_a_point_is_a_line(path):
    assert path.read_text() == (
        '{"version":1,"round":2,"images":{\n'
        '"slide/a":{"size_hw":[30,40],"points":[\n'
        '{"x":20.25,"y":10.5,"origin":"given","round":0,"rank":null},\n'
        '{"x":39.5,"y":0.1,"origin":"pseudo_positive","round":1,"rank":3.25},\n'
        '{"x":0.33333334,"y":29.5,"origin":"pseudo_negative","round":2,"rank":-0.1}\n'
        "]},\n"
        '"b":{"size_hw":[20,50],"points":[]},\n'
        '"c":{"size_hw":[20,50],"points":[\n'
        '{"x":31.5,"y":7.5,"origin":"given","round":0,"rank":null}\n'
        "]}\n"
        "}}\n"
    )


def test_files_for_qupath(path):
    folder = path.with_suffix("")
    found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.geojson"))
    assert found == ["b.geojson", "c.geojson", "slide/a.geojson"]
    read = qupath.parse(folder / "slide/a.geojson")
    assert read.names == (GIVEN, POSITIVE, NEGATIVE)
    np.testing.assert_allclose(read.scores, [1.0, 3.25, -0.1], rtol=1e-6)
    np.testing.assert_allclose(read.points_yx, LABELS["slide/a"].points_yx, atol=0.0051)
    feature = json.loads((folder / "c.geojson").read_text())["features"][0]
    classification = feature["properties"]["classification"]
    assert classification == {"name": GIVEN, "color": [255, 214, 10]}


def test_images_of_sub_folders_have_files_of_their_own(tmp_path):
    labels = {
        "a/b": round_labels.given([[1, 2]]),
        "a_b": round_labels.given([[3, 4]]),
        "a/b.c": round_labels.given([[5, 6]]),
    }
    round_labels.write(tmp_path / "r.json", 0, labels, dict.fromkeys(labels, (9, 9)))
    for image_id, wanted in labels.items():
        read = qupath.parse(tmp_path / "r" / f"{image_id}.geojson")
        np.testing.assert_array_equal(read.points_yx, wanted.points_yx)


def test_sizes_may_be_numpy_integers(tmp_path):
    sizes = {name: tuple(np.array(size_hw)) for name, size_hw in SIZES.items()}
    round_labels.write(tmp_path / "r.json", 0, LABELS, sizes)
    same(round_labels.read(tmp_path / "r.json", sizes).images, LABELS)


def test_a_line_added_by_hand_needs_no_round_and_rank(path):
    text = path.read_text()
    added = '{"x":1,"y":2,"origin":"given"},{"x":3,"y":4,"origin":"pseudo_negative"}'
    path.write_text(text.replace('"points":[]', f'"points":[{added}]'))
    labels = round_labels.read(path, SIZES).images["b"]
    np.testing.assert_array_equal(labels.points_yx, [[2, 1], [4, 3]])
    assert labels.rounds.tolist() == [0, 2]
    assert np.isnan(labels.ranks).all()


def edit(**changes):
    def change(parsed):
        parsed["images"]["slide/a"]["points"][1].update(changes)

    return change


def put(value, *keys):
    def change(parsed):
        for key in keys[:-1]:
            parsed = parsed[key]
        parsed[keys[-1]] = value

    return change


def drop(*keys):
    def change(parsed):
        for key in keys[:-1]:
            parsed = parsed[key]
        del parsed[keys[-1]]

    return change


POINT = "image 'slide/a': point 2: "


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit(origin="pseudo"), POINT + "unknown origin 'pseudo'; use one of given, "),
        (edit(origin=None), POINT + "unknown origin None"),
        (edit(origin=["given"]), POINT + "unknown origin"),
        (edit(x=40.0), POINT + "(40, 0.1) is outside of the image, 40 px wide and 30"),
        (edit(x=39.9999999999), POINT + "(40, 0.1) is outside"),  # 40 as float32
        (edit(y=-0.5), POINT + "(39.5, -0.5) is outside"),
        (edit(y=None), POINT + "(x, y) is (39.5, None); both must be numbers"),
        (edit(x="3"), POINT + "(x, y) is ('3', 0.1)"),
        (edit(x=True), POINT + "(x, y) is (True, 0.1)"),
        (edit(x=1e300), POINT + "(x, y) is (1e+300, 0.1)"),
        (edit(round=-1), POINT + "round is -1"),
        (edit(round=None), POINT + "round is None"),
        (edit(round=2**40), POINT + "round is"),
        (edit(rank="best"), POINT + "rank is 'best'; write a number or null"),
        (put(7, "images", "slide/a", "points", 1), POINT + "7 is no point; write {"),
        (drop("images", "c", "points"), "image 'c': no list of \"points\""),
        (put([], "images", "c"), "image 'c': no list of \"points\""),
        (put([50, 20], "images", "c", "size_hw"), "image 'c': size_hw is [50, 20]"),
        (drop("images", "c", "size_hw"), "image 'c': size_hw is None, but the image"),
        (drop("images", "c"), "image 'c' is missing (1 such); add it, with"),
        (put({}, "images", "d"), "image 'd' is no training image (1 such); remove"),
        (put(None, "images"), 'no "images"'),
        (put(2, "version"), "version is 2, only 1 can be read"),
        (drop("round"), '"round" is None'),
        (put(1.5, "round"), '"round" is 1.5'),
    ],
)
def test_messages_name_the_fault(path, change, message):
    parsed = json.loads(path.read_text())
    change(parsed)
    path.write_text(json.dumps(parsed))
    with pytest.raises(errors.DataError) as caught:
        round_labels.read(path, SIZES)
    assert f"round_2.json: {message}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", '{"x":NaN}', '{"a":1,}', "\xff"])
def test_bad_json(path, text):
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(errors.DataError, match=r"round_2\.json: not valid JSON .*; "):
        round_labels.read(path, SIZES)


@pytest.mark.parametrize("text", ["[]", "3", "null"])
def test_other_json(path, text):
    path.write_text(text)
    with pytest.raises(errors.DataError, match='no "images"'):
        round_labels.read(path, SIZES)


def test_missing_file(tmp_path):
    with pytest.raises(errors.DataError, match=r"cannot read labels .*: No such file"):
        round_labels.read(tmp_path / "round_1.json", SIZES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"c": round_labels.given([[20.0, 3.0]])}, "image 'c': point 1: .* outside"),
        ({"c": round_labels.given([[np.nan, 3.0]])}, "image 'c': point 1: .*None"),
        ({"d": round_labels.given([])}, "image 'd' is no training image"),
    ],
)
def test_nothing_unreadable_is_written(path, changes, message):
    before = path.read_text()
    with pytest.raises(errors.DataError, match=rf"cannot write .*round_2.*{message}"):
        round_labels.write(path, 2, LABELS | changes, SIZES)
    assert path.read_text() == before


def test_a_full_disk_leaves_the_old_file(path, monkeypatch):
    before = path.read_text()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(errors.RunError, match="free some space"):
        round_labels.write(path, 3, LABELS, SIZES)
    assert path.read_text() == before


def test_difference_ignores_order_rounds_and_ranks():
    labels = LABELS["slide/a"]
    order = [2, 0, 1]
    shuffled = ImageLabels(
        labels.points_yx[order],
        tuple(labels.origins[index] for index in order),
        np.full(3, 9, np.int32),
        np.zeros(3, np.float32),
    )
    assert round_labels.difference(LABELS, LABELS | {"slide/a": shuffled}) == (0, 0)


def test_difference_counts_both_ways():
    labels = LABELS["slide/a"]
    # One origin changed, one point twice, one gone, one image without any.
    other = labels._replace(origins=(GIVEN, NEGATIVE, NEGATIVE))
    assert round_labels.difference(LABELS, LABELS | {"slide/a": other}) == (1, 1)
    twice = round_labels.given([[7.5, 31.5], [7.5, 31.5]])
    assert round_labels.difference(LABELS, LABELS | {"c": twice}) == (1, 0)
    assert round_labels.difference(LABELS, LABELS | {"c": LABELS["b"]}) == (0, 1)
    assert round_labels.difference({}, LABELS) == (4, 0)
