"""Files as QuPath 0.2 to 0.6 write them, and what other programs make of it."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellrec_jax.data.annotations import content, qupath
from cellrec_jax.errors import DataError

SQUARE = [[[4, 2], [10, 2], [10, 6], [4, 6], [4, 2]]]  # (x, y)
LARGE = [[[20, 2], [30, 2], [30, 60], [20, 60], [20, 2]]]
FAR_SQUARE = [[[4, 2], [10, 2], [10, 60], [4, 60], [4, 2]]]


def _feature(kind: str, coordinates: Any, **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": "PathAnnotationObject",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": properties,
    }


def _write(folder: Path, content: Any, name: str = "a.geojson") -> Path:
    file = folder / name
    text = content if isinstance(content, str) else json.dumps(content)
    data = text.encode()
    file.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return file


def test_points_areas_and_multi_points(tmp_path: Path) -> None:
    tumour = {"name": "Tumor", "color": [200, 0, 0]}
    features = [
        _feature("Point", [7.25, 3.5], classification=tumour),
        _feature("MultiPoint", [[1, 2], [12.5, 2.5, 0]], classification="Stroma"),
        _feature("Polygon", SQUARE, classification={"names": ["Tumor", "Positive"]}),
        _feature("MultiPolygon", [SQUARE, LARGE], classification=None),
    ]
    read = qupath.parse(_write(tmp_path, features))
    assert read.points_yx.tolist() == [
        [3.5, 7.25],
        [2, 1],
        [2.5, 12.5],
        [4, 7],
        [31, 25],
    ]
    assert read.names == ("Tumor", "Stroma", "Stroma", "Tumor: Positive", "")
    assert np.isnan(read.boxes_yxyx[:3]).all()
    assert read.boxes_yxyx[3:].tolist() == [[2, 4, 6, 10], [2, 4, 60, 30]]
    assert not read.notes


@pytest.mark.parametrize("kind", ["collection", "feature", "list"])
@pytest.mark.parametrize("name", ["a.geojson", "a.json.gz"])
def test_all_three_beginnings(kind: str, name: str, tmp_path: Path) -> None:
    feature = _feature("Point", [7, 3], objectType="detection")
    content = {
        "collection": {"type": "FeatureCollection", "features": [feature]},
        "feature": feature,
        "list": [feature],
    }[kind]
    assert qupath.parse(_write(tmp_path, content, name)).points_yx.tolist() == [[3, 7]]


def test_doubled_keys_and_marks(tmp_path: Path) -> None:
    text = json.dumps([_feature("Point", [7, 3], metadata={"a": "b"})])
    text = text.replace('"metadata"', '"metadata": {}, "metadata"')
    file = _write(tmp_path, "\ufeff" + text)
    assert qupath.parse(file).points_yx.tolist() == [[3, 7]]
    file.write_bytes(text.encode("utf-16"))
    assert qupath.parse(file).points_yx.tolist() == [[3, 7]]


def test_regions_by_name(tmp_path: Path) -> None:
    features = [
        _feature("Polygon", SQUARE, classification={"name": "Ignore*"}),
        _feature("Polygon", FAR_SQUARE, classification={"name": "Region*"}),
        _feature("Point", [7, 3], classification={"name": "Regional"}),
        _feature("MultiPoint", [[7, 3], [1, 1]], classification={"name": "Ignore*"}),
    ]
    read = qupath.parse(_write(tmp_path, features))
    assert read.names == ("Regional",)
    ((ignored,),) = read.ignore
    assert ignored[0].tolist() == [2, 4]
    ((looked_at,),) = read.annotated
    assert looked_at[:, 0].max() == 60
    assert read.notes == {content.MARKS: 2}


def test_beside_detections_annotated_areas_are_no_cells(tmp_path: Path) -> None:
    cell = _feature("Polygon", SQUARE, objectType="cell")
    cell["nucleusGeometry"] = {"type": "Polygon", "coordinates": SQUARE}
    features = [
        _feature("Polygon", FAR_SQUARE, objectType="annotation"),
        _feature("Polygon", FAR_SQUARE, classification={"name": "Tumor"}),
        _feature("Point", [1, 2], objectType="annotation"),
        _feature("Polygon", SQUARE, objectType="tile"),
        _feature("Polygon", FAR_SQUARE, objectType="root"),
        _feature("LineString", [[0, 0], [4, 4]], objectType="annotation"),
        cell,
    ]
    read = qupath.parse(_write(tmp_path, features))
    assert read.points_yx.tolist() == [[2, 1], [4, 7]]
    assert len(read.annotated) == 1
    assert read.notes == {
        qupath.LOOKED_AT: 1,
        content.AREAS: 1,
        qupath.TILES: 1,
        qupath.LINES: 1,
    }


@pytest.mark.parametrize("kind", ["Cell", "Detection"])
def test_objects_before_qupath_0_4(kind: str, tmp_path: Path) -> None:
    cell = _feature("Polygon", SQUARE, classification={"name": "T", "colorRGB": -1})
    cell["id"] = f"Path{kind}Object"
    region = _feature("Polygon", FAR_SQUARE)
    read = qupath.parse(_write(tmp_path, [region, cell]))
    assert read.points_yx.tolist() == [[4, 7]]
    assert len(read.annotated) == 1
    assert read.notes == {qupath.LOOKED_AT: 1}


@pytest.mark.parametrize(
    ("measurements", "score"),
    [
        ({"score": 0.25}, 0.25),
        ({"Area": 3, "Detection probability": 0.5}, 0.5),
        ([{"name": "score", "value": 0.75}], 0.75),
        ({"score": "NaN"}, None),
        ({}, None),
    ],
)
def test_scores(measurements: Any, score: float | None, tmp_path: Path) -> None:
    feature = _feature("Point", [7, 3], measurements=measurements)
    (found,) = qupath.parse(_write(tmp_path, [feature])).scores
    assert np.isnan(found) if score is None else found == score


def test_origin_moves_everything(tmp_path: Path) -> None:
    features = [
        _feature("Point", [7, 3]),
        _feature("Polygon", SQUARE),
        _feature("Polygon", SQUARE, classification="Ignore*"),
        _feature("Polygon", FAR_SQUARE, classification="Region*"),
    ]
    read = qupath.parse(_write(tmp_path, features), (100, 20))
    assert read.points_yx.tolist() == [[103, 27], [104, 27]]
    assert read.boxes_yxyx[1].tolist() == [102, 24, 106, 30]
    assert read.ignore[0][0][0].tolist() == [102, 24]
    assert read.annotated[0][0].max(0).tolist() == [160, 30]


FAULTS = {
    "no geometry": {"type": "Feature", "properties": {}},
    "null geometry": {"type": "Feature", "geometry": None},
    "no number": _feature("Polygon", [[[1, 2], [3, "x"], [4, 5]]]),
    "null corner": _feature("Polygon", [[[1, 2], [3, None], [4, 5]]]),
    "far corner": _feature("Polygon", [[[1, 2], [3, 1e300], [4, 5]]]),
    "empty": _feature("Polygon", []),
    "empty ring": _feature("Polygon", [[]]),
    "no parts": _feature("MultiPolygon", []),
    "one number": _feature("Point", 7),
    "class list": _feature("Point", [1, 2], classification=[1]),
    "long class": _feature("Point", [1, 2], classification="x" * 200),
    "text": "no feature",
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_feature_at_fault_is_named(name: str, tmp_path: Path) -> None:
    file = _write(tmp_path, [_feature("Point", [7, 3]), FAULTS[name]])
    with pytest.raises(DataError, match="feature 1") as error:
        qupath.parse(file)
    assert "\n" not in str(error.value)
    assert str(file) in str(error.value)


@pytest.mark.parametrize("text", ['{"type": "FeatureCollection"}', "3", "[1", "", "{}"])
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.geojson"):
        qupath.parse(_write(tmp_path, text))
    damaged = tmp_path / "a.geojson.gz"
    damaged.write_bytes(gzip.compress(b"[]")[:-5])
    with pytest.raises(DataError, match=r"a\.geojson\.gz: not readable"):
        qupath.parse(damaged)


def test_the_points_of_one_object_share_no_id(tmp_path: Path) -> None:
    """QuPath's points tool puts all points of a class into one object."""
    features = [
        {**_feature("MultiPoint", [[5, 6], [7, 8]]), "id": "many"},
        {**_feature("MultiPoint", [[9, 10]]), "id": "one"},
        {**_feature("Point", [11, 12]), "id": "alone"},
    ]
    read = qupath.parse(_write(tmp_path, features))
    assert read.ids == ("", "", "one", "alone")


def test_ids_and_trust(tmp_path: Path) -> None:
    """A cell without a trust was given; other numbers are refused."""
    features = [
        _feature("Point", [1, 2], measurements={"trust": 0.25, "score": 0.5}),
        _feature("Point", [3, 4], measurements={"trust": -1}),
        _feature("MultiPoint", [[5, 6], [7, 8]]),
    ]
    read = qupath.parse(_write(tmp_path, features))
    assert read.trust is not None
    assert read.trust.tolist() == [0.25, -1, 1, 1]
    assert read.ids == ("",) * 4  # of QuPath 0.3, which gives all the same
    assert qupath.parse(_write(tmp_path, features[2:])).trust is None
    for value in (1.5, -0.5):
        wrong = _feature("Point", [1, 2], measurements={"trust": value})
        with pytest.raises(DataError, match=r"feature 0 .*a trust of"):
            qupath.parse(_write(tmp_path, [wrong]))
