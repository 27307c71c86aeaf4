import json

import pytest

from cellrec_jax.bench import figures
from cellrec_jax.bench.parts import Part


def added(tmp_path, part, outcome, text):
    found = {"parts": {}, "results": {}}
    path = figures._path(part, tmp_path)
    path.parent.mkdir()
    path.write_text(text)
    figures.add(found, part, outcome, 1.0, tmp_path)
    return found


def rows(*rows, notes=()):
    table = {"rows": rows, "notes": notes, "wrong": []}
    return json.dumps({"results": {"pu": table}})


@pytest.mark.parametrize(
    ("notes", "required", "failed"),
    [
        (["skipped: no torch"], False, False),
        (["skipped: no torch"], True, True),
        (["too slow"], False, True),
    ],
)
def test_what_is_skipped_did_not_fail(tmp_path, notes, required, failed):
    part = Part("a", 1.0, (), makes="pu", required=required)
    ended = added(tmp_path, part, "ok", rows(notes=notes))["parts"]["a"]
    assert figures.failed(ended) is failed
    assert notes[0] in ended["outcome"]


def test_tests_are_counted(tmp_path):
    text = (
        '<testsuites><testsuite tests="3" failures="1" errors="0" skipped="1">'
        '<testcase classname="a" name="b"><failure/></testcase>'
        '<testcase classname="a" name="c"/></testsuite></testsuites>'
    )
    found = added(tmp_path, Part("tests", 1.0, ()), "failed with 1", text)
    counts = {"tests": 3, "failures": 1, "errors": 0, "skipped": 1}
    assert found["tests"] == {**counts, "failed": ["a::b"]}
    figures.forget(found, Part("tests", 1.0, ()), tmp_path)
    assert found == {"parts": {}, "results": {}}


@pytest.mark.parametrize("makes", ["", "pu"])
def test_half_a_file_is_an_outcome(tmp_path, makes):
    part = Part("a", 1.0, (), makes=makes)
    ended = added(tmp_path, part, "ok", "<testsuites")["parts"]["a"]
    assert "cannot be read" in ended["outcome"]
    assert figures.failed(ended)


def test_what_is_no_file_of_figures_is_kept_aside(tmp_path):
    (tmp_path / figures.FILE).write_text("[]")
    assert figures.opened(tmp_path, True, {})["parts"] == {}
    assert (tmp_path / figures.OLD).read_text() == "[]"
