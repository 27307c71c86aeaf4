import orjson
import pytest

from cellrec_jax import errors
from cellrec_jax.io import geojson_rules
from cellrec_jax.io.geojson_marks import Mark, write_marks

POINT = Mark((3.25, 7.12345), "check: near", (230, 159, 0), "2 px from another")
BOX = POINT._replace(box_yxyx=(1.0, 2.0, 5.0, 8.0))


def test_marks_are_annotations_that_qupath_reads(tmp_path):
    path = tmp_path / "a.geojson"
    write_marks(path, [POINT, BOX, POINT])
    content = path.read_bytes()
    found = orjson.loads(content)
    geojson_rules.validate(found, "annotation")
    point, box, _ = found["features"]
    assert point["geometry"] == {"type": "Point", "coordinates": [7.123, 3.25]}
    assert box["geometry"]["coordinates"] == [[[2, 1], [8, 1], [8, 5], [2, 5], [2, 1]]]
    assert point["properties"]["name"] == "2 px from another"
    assert point["properties"]["classification"]["name"] == "check: near"
    write_marks(path, [POINT, BOX, POINT])
    assert path.read_bytes() == content


def test_a_box_without_area_can_be_seen(tmp_path):
    write_marks(tmp_path / "a.geojson", [POINT._replace(box_yxyx=(3, 4, 3, 9))])
    found = orjson.loads((tmp_path / "a.geojson").read_bytes())
    geojson_rules.validate(found, "annotation")


def test_a_class_that_qupath_cannot_read(tmp_path):
    with pytest.raises(errors.DataError, match="empty part"):
        write_marks(tmp_path / "a.geojson", [POINT._replace(class_name="check: ")])
    assert not (tmp_path / "a.geojson").exists()
