import io
import json

from rich.console import Console

from cellrec_jax.bench import report

FACTS = {"platform": "cpu", "device": "box"}


def test_machine_line_names_the_machine():
    facts = report.machine()
    line = report.machine_line(facts)
    assert facts["cores"] >= 1
    assert str(facts["device"]) in line
    assert f"jax {facts['jax']}" in line


def test_show_prints_all_columns_and_notes():
    rows = ({"case": "first", "a_ms": 1.23456}, {"case": "second", "b_ms": None})
    console = Console(width=100, record=True, quiet=False, file=io.StringIO())
    report.show("nms", report.Report(rows, ("skipped: [x]",)), console)
    text = console.export_text()
    for expected in ("case", "first", "second", "1.235", "-", "nms: skipped: [x]"):
        assert expected in text


def test_show_without_rows_prints_notes_only():
    console = Console(width=100, record=True, file=io.StringIO())
    report.show("nms", report.Report((), ("skipped",)), console)
    assert console.export_text() == "nms: skipped\n"


def test_write_json(tmp_path):
    path = tmp_path / "new" / "figures.json"
    made = report.Report(({"case": "first", "a_ms": 1.5},), ("note",))
    report.write_json(path, FACTS, {"nms": made})
    assert json.loads(path.read_text()) == {
        "machine": FACTS,
        "results": {
            "nms": {"rows": [{"case": "first", "a_ms": 1.5}], "notes": ["note"]}
        },
    }
    assert [p.name for p in path.parent.iterdir()] == ["figures.json"]
