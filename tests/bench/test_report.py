import json

from cellrec_jax.bench import report


def test_show_aligns_columns_and_hides_those_of_the_file():
    rows = (
        {"case": "first", "a_long_ms": 1.23456, "repeats": 3},
        {"case": "second", "b_ms": None, "repeats": 4},
    )
    lines = []
    made = report.Report(rows, ("skipped: [x]",), wrong=("case second, sort",))
    report.show("nms", made, lines.append)
    assert lines == [
        "\nnms",
        "            a",
        "         long   b",
        "case       ms  ms",
        "------  -----  --",
        "first   1.235   -",
        "second      -   -",
        "nms: WRONG, not timed: case second, sort",
        "nms: skipped: [x]",
    ]


def test_write_json(tmp_path):
    path = tmp_path / "new" / "figures.json"
    made = report.Report(({"case": "first", "a_ms": 1.5},), ("note",))
    report.write_json(path, {"platform": "cpu"}, {"nms": made})
    content = json.loads(path.read_text())
    assert content["machine"] == {"platform": "cpu"}
    written = content["results"]["nms"]
    assert written["rows"] == [{"case": "first", "a_ms": 1.5}]
    assert (written["notes"], written["wrong"]) == (["note"], [])
