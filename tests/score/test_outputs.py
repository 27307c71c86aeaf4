"""Tables, JSON and fields for QuPath."""

import csv
import json
import os

import numpy as np
import pytest

from cellrec_jax.data.annotations import qupath
from cellrec_jax.io import geojson_rules
from cellrec_jax.score import definitions, measure, outputs
from tests.score import simulated

SCORES = definitions.find(simulated.NAMES)
ABOUT = {"results": ["found"]}


def write(folder, found, by=None):
    rows = measure.rows(found, SCORES, 1.0, by)
    outputs.write(folder, found, SCORES, rows, ABOUT, None)
    path = folder / "scores.csv"
    with path.open(newline="", errors="surrogateescape") as file:
        return rows, list(csv.DictReader(file))


def test_a_row_a_score_and_image(tmp_path):
    found = simulated.results_of(
        simulated.spotted("a", 0, 0.2), simulated.spotted("b", 1, 0.4), c="damaged"
    )
    rows, listed = write(tmp_path, found, simulated.correction())
    content = json.loads((tmp_path / "scores.json").read_text())
    assert len(listed) == len(content["scores"]) == len(rows) == 3 + 2 * 4
    assert [row["image"] for row in listed[:4]] == ["", "", "", "a"]
    assert {row["use"] for row in listed} == {"research use only"}
    for row, cells, told in zip(rows, listed, content["scores"], strict=True):
        assert cells["score"] == told["score"] == row.score.name
        assert float(cells["value"]) == pytest.approx(row.plain.value, rel=1e-5)
        assert told["corrected_high"] == pytest.approx(row.corrected.high, rel=1e-5)
        assert cells["tiles_left_out"] == (
            "6" if not row.image else "3" if not row.field else "0"
        )
    whole = content["scores"][0]
    assert (whole["numerator"], whole["denominator"]) == (
        rows[0].plain.numerator,
        2600,
    )
    assert (whole["analysed_mm2"], whole["mpp"], whole["mpp_source"]) == (
        32,
        0.5,
        "--mpp",
    )
    assert content["left_out"] == {"c": "damaged"}
    assert content["model"] == {"step": 7}
    assert set(content["definitions"]) == {score.name for score in SCORES}


def test_fields_lie_where_qupath_shows_the_cells(tmp_path):
    found = simulated.results_of(simulated.spotted("sub/a", 0, 0.2))
    rows, listed = write(tmp_path, found)
    content = json.loads((tmp_path / "sub" / "a.hotspots.geojson").read_text())
    (feature,) = content["features"]
    (ring_xy,) = feature["geometry"]["coordinates"]
    low_yx = np.array(rows[-1].field.corner_yx) * 2000
    np.testing.assert_allclose(ring_xy[0], low_yx[::-1])
    np.testing.assert_allclose(ring_xy[2], low_yx[::-1] + 2000)
    properties = feature["properties"]
    assert properties["objectType"] == "annotation"
    classification = properties["classification"]
    color = classification["color"]
    assert geojson_rules.class_fault(classification["name"], color) is None
    inside = rows[-1].field.holds(found.sheets[0].points_yx / 2000)
    assert inside.sum() == rows[-1].plain.denominator
    assert properties["measurements"]["positive_index denominator"] == inside.sum()
    assert float(listed[-1]["y_um"]) == pytest.approx(low_yx[0] / 2)
    # As annotations they are no cells of a later count.
    path = tmp_path / "sub" / "a.hotspots.geojson"
    assert len(qupath.parse(path, areas_are_cells=False).scores) == 0
    write(
        tmp_path,
        simulated.results_of(simulated.spotted("sub/a", 0, 0.2)._replace(area_mm2=0.5)),
    )
    assert os.listdir(tmp_path / "sub") == []


def test_names_are_no_formulas_and_need_not_be_utf8(tmp_path):
    names = ("=a", os.fsdecode(b"b\xff"))
    _, listed = write(
        tmp_path,
        simulated.results_of(*(simulated.spotted(name, 0, 0.2) for name in names)),
    )
    assert {row["image"] for row in listed} == {"", "'=a", names[1]}
    told = json.loads((tmp_path / "scores.json").read_text())["scores"]
    assert {row["image"] for row in told} == {"", "=a", "b�"}
