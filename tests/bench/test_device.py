import json
import sys
import time

import pytest

from cellrec_jax import errors
from cellrec_jax.bench import device, parts
from cellrec_jax.bench.parts import Part

ROWS = '{"results": {"pu": {"rows": [{"a_ms": 1}], "notes": [], "wrong": []}}}'


def part(name, code, seconds=30.0):
    return Part(name, seconds, (sys.executable, "-c", code), makes="pu")


def ran(tmp_path, *chosen, total_s=60.0):
    (tmp_path / "parts").mkdir()
    found = {"parts": {}, "results": {}}
    printed = []
    device.run(chosen, found, tmp_path, {}, printed.append, total_s)
    assert json.loads((tmp_path / device.FILE).read_text()) == found
    return found, "".join(printed)


def write(tmp_path, name, text=ROWS):
    return f"open({str(tmp_path / 'parts' / name)!r}, 'w').write({text!r});"


def test_a_failing_part_stops_no_other(tmp_path):
    found, printed = ran(
        tmp_path,
        part("bad", "print('why'); raise SystemExit(3)"),
        part("good", write(tmp_path, "good.json")),
    )
    outcomes = {name: one["outcome"] for name, one in found["parts"].items()}
    assert outcomes == {"bad": "failed with 3", "good": "ok"}
    assert found["results"]["pu"]["rows"] == [{"a_ms": 1}]
    assert [device._failed(one) for one in found["parts"].values()] == [True, False]
    assert "why\n" in printed


def test_a_slow_part_is_stopped_and_keeps_its_rows(tmp_path):
    code = write(tmp_path, "slow.json") + "import time; time.sleep(60)"
    begun = time.monotonic()
    found, _ = ran(tmp_path, part("slow", code, seconds=2.0))
    assert time.monotonic() - begun < 30
    assert found["parts"]["slow"]["outcome"].startswith("stopped")
    assert len(found["results"]["pu"]["rows"]) == 1
    assert device._failed(found["parts"]["slow"])


def test_nothing_starts_without_time(tmp_path):
    found, _ = ran(tmp_path, part("late", "raise SystemExit(3)"), total_s=0.0)
    assert found["parts"]["late"]["outcome"] == "no time left"


def test_parts_of_one_benchmark_share_a_table(tmp_path):
    found, _ = ran(
        tmp_path,
        part("one", write(tmp_path, "one.json")),
        part("two", write(tmp_path, "two.json")),
    )
    assert len(found["results"]["pu"]["rows"]) == 2


@pytest.mark.parametrize(
    ("notes", "failed"), [(["skipped: no torch"], False), (["too slow"], True)]
)
def test_what_is_skipped_did_not_fail(tmp_path, notes, failed):
    text = json.dumps({"results": {"pu": {"rows": [], "notes": notes, "wrong": []}}})
    found, _ = ran(tmp_path, part("none", write(tmp_path, "none.json", text)))
    assert device._failed(found["parts"]["none"]) is failed
    assert notes[0] in found["parts"]["none"]["outcome"]


def test_tests_are_counted(tmp_path):
    path = tmp_path / "tests.xml"
    path.write_text(
        '<testsuites><testsuite tests="3" failures="1" errors="0" skipped="1">'
        '<testcase classname="a" name="b"><failure/></testcase>'
        '<testcase classname="a" name="c"/></testsuite></testsuites>'
    )
    counts = {"tests": 3, "failures": 1, "errors": 0, "skipped": 1}
    assert device._tests(path) == {**counts, "failed": ["a::b"]}


def test_parts_fit_and_are_chosen_by_name(tmp_path):
    every = parts.listed(tmp_path, False, 20)
    assert parts.TOTAL_S <= 480 - 2 * device.GRACE_S
    assert {one.name for one in parts.listed(tmp_path, False, 0)} == {
        one.name for one in every if one.name != "trace"
    }
    assert [one.name for one in device._chosen(every, ("pu", "tests"))] == [
        "tests",
        "pu",
    ]
    with pytest.raises(errors.ConfigError, match="nms"):
        device._chosen(every, ("nms",))
    traced = next(one for one in every if one.name == "trace").command
    assert traced[traced.index("--steps") + 1] == "20"


def test_a_cpu_is_only_for_a_trial(tmp_path, monkeypatch):
    monkeypatch.setattr(device, "_machine", lambda _: {"platform": "cpu"})
    with pytest.raises(errors.ConfigError):
        device.command(["--out", str(tmp_path), "--only", "pu"])
