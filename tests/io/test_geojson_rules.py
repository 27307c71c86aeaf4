import copy

import pytest

from cellrec_jax import errors
from cellrec_jax.io import geojson_rules


def feature(number):
    return {
        "type": "Feature",
        "id": f"0b9e6c1e-2f1c-4a57-9d0c-5f6f7c1c2a1{number}",
        "geometry": {"type": "Point", "coordinates": [12345.67, 8910.11]},
        "properties": {
            "objectType": "detection",
            "classification": {"name": "Tumor: Positive", "color": [200, 50, 50]},
            "measurements": {"score": 0.93},
        },
    }


@pytest.fixture
def collection():
    return {"type": "FeatureCollection", "features": [feature(0), feature(1)]}


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
        (put("a\rb", "properties", "classification", "name"), "a line break"),
        (put("a: :b", "properties", "classification", "name"), "an empty part"),
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
        (
            put(
                {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]},
                "geometry",
            ),
            "no area",
        ),
        (
            put(
                {"type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 0], [0, 0]]]},
                "geometry",
            ),
            "clockwise",
        ),
    ],
)
def test_validate_names_the_fault(collection, change, message):
    geojson_rules.validate(collection)
    change(collection["features"][1])
    with pytest.raises(errors.DataError, match=f"feature 1: .*{message}"):
        geojson_rules.validate(collection)


def test_validate_checks_the_whole(collection):
    collection["features"].append(copy.deepcopy(collection["features"][0]))
    with pytest.raises(errors.DataError, match="feature 2: its id is used twice"):
        geojson_rules.validate(collection)
    for wrong in ([], {"type": "Feature"}, {"type": "FeatureCollection"}, None):
        with pytest.raises(errors.DataError):
            geojson_rules.validate(wrong)


def test_a_counterclockwise_outline_is_valid(collection):
    ring_xy = [[0, 0], [1, 0], [1, 1], [0, 0]]
    shape = {"type": "Polygon", "coordinates": [ring_xy]}
    collection["features"][0]["geometry"] = shape
    geojson_rules.validate(collection)
