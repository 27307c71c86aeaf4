"""A table of all findings, and GeoJSON of those with a place."""

import json

import orjson

from cellrec_jax.check import outputs
from cellrec_jax.check.estimate import Estimate
from cellrec_jax.check.folder import Report
from cellrec_jax.check.rules import finding
from cellrec_jax.data.annotations import qupath
from cellrec_jax.io import geojson_rules, table

FOUND = (
    finding("leak", "train/b", "the pixels of a"),
    finding("near", "train/b", "2 px", (3.25, 7.5)),
    finding("box-twice", "c", "overlaps", box_yxyx=(1, 2, 5, 8)),
    finding("class-rare", "", "'x' has 1 cells"),
)


def test_files(tmp_path):
    outputs.write(tmp_path, FOUND)
    rows = table.read_rows(tmp_path / "check.csv")
    assert [row["rule"] for row in rows] == [one.rule for one in FOUND]
    assert rows[1] == {
        "rule": "near",
        "weight": "warning",
        "image": "train/b",
        "x": "7.5",
        "y": "3.25",
        "text": "2 px",
    }
    assert (rows[0]["x"], rows[3]["image"]) == ("", "")
    files = sorted((tmp_path / "check").rglob("*.geojson"))
    assert [file.relative_to(tmp_path / "check").as_posix() for file in files] == [
        "c.geojson",
        "train/b.geojson",
    ]
    for file in files:
        geojson_rules.validate(orjson.loads(file.read_bytes()), "annotation")
    found = qupath.parse(files[1])
    assert found.points_yx.tolist() == [[3.25, 7.5]]
    assert found.names == ("check: near",)
    assert qupath.parse(files[0]).points_yx.tolist() == [[3, 5]]


def test_files_of_images_that_are_mended_go(tmp_path):
    outputs.write(tmp_path, FOUND)
    other = tmp_path / "check" / "mine.geojson"
    other.touch()
    outputs.write(tmp_path, FOUND[:2])
    files = sorted(file.name for file in (tmp_path / "check").rglob("*.geojson"))
    assert files == ["b.geojson", "mine.geojson"]
    assert len(table.read_rows(tmp_path / "check.csv")) == 2


def test_tables_that_name_files_outside_remove_none(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "mine.geojson").touch()
    (tmp_path / "out/check.csv").write_text("rule,image\nnear,../../mine\n")
    outputs.write(tmp_path / "out", FOUND)
    assert (tmp_path / "mine.geojson").exists()


def test_nothing_found_is_a_header(tmp_path):
    outputs.write(tmp_path, ())
    head = (tmp_path / "check.csv").read_text()
    assert head == "rule,weight,image,x,y,text\n"
    assert not (tmp_path / "check").exists()


def test_json_has_all_of_it():
    told = Estimate(None, None, None, "ranking", (), 1, 2, 0, "too few")
    report = Report("set", "voc", (), {"a": 3}, {"train": ("1",)}, 9.0, 1.5, FOUND)
    found = json.loads(json.dumps(outputs.to_json(report, told, ("odd",))))
    assert found["rules"]["near"] == 1
    assert found["rules"]["blank"] == 0
    assert found["splits"] == {"train": 1}
    assert found["unannotated"]["why_not"] == "too few"
    assert found["unannotated"]["notes"] == ["odd"]
    assert found["findings"][1]["x"] == 7.5
    assert outputs.to_json(report)["unannotated"] is None
