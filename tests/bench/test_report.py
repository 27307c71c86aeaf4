import json

from cellrec_jax.bench import report

FACTS = {"platform": "cpu", "device": "box"}


def test_machine_line_names_the_machine():
    facts = report.machine()
    line = report.machine_line(facts)
    assert facts["cores"] >= 1
    assert str(facts["device"]) in line
    assert f"jax {facts['jax']}" in line


def shown(name, made):
    lines = []
    report.show(name, made, lines.append)
    return lines


def test_show_aligns_columns_and_hides_those_of_the_file():
    rows = (
        {"case": "first", "a_long_ms": 1.23456, "repeats": 3},
        {"case": "second", "b_ms": None, "repeats": 4},
    )
    made = report.Report(rows, ("skipped: [x]",), wrong=("case second, sort",))
    assert shown("nms", made) == [
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


def test_show_without_rows_prints_notes_only():
    assert shown("nms", report.Report((), ("skipped",))) == ["nms: skipped"]


def test_notes_are_put_in_front():
    assert report.Report((), ("b",)).with_notes("a").notes == ("a", "b")


def test_write_json(tmp_path):
    path = tmp_path / "new" / "figures.json"
    made = report.Report(({"case": "first", "a_ms": 1.5},), ("note",))
    report.write_json(path, FACTS, {"nms": made})
    content = json.loads(path.read_text())
    assert content["machine"] == FACTS
    written = content["results"]["nms"]
    assert written["rows"] == [{"case": "first", "a_ms": 1.5}]
    assert (written["notes"], written["wrong"]) == (["note"], [])
    assert [p.name for p in path.parent.iterdir()] == ["figures.json"]
