import json
from pathlib import Path
import subprocess
import sys
import time

import pytest

from cellrec_jax import errors
from cellrec_jax.bench import device, figures
from cellrec_jax.bench.parts import Part

ROWS = '{"results": {"pu": {"rows": [{"a_ms": 1}], "notes": ["n"], "wrong": []}}}'
MACHINE = {"platform": "gpu", "device": "a", "load": 1.0}


def part(name, code, seconds=30.0, **others):
    return Part(name, seconds, (sys.executable, "-c", code), makes="pu", **others)


def ran(tmp_path, *chosen, total_s=60.0, machine=MACHINE):
    (tmp_path / "parts").mkdir(exist_ok=True)
    found = figures.opened(tmp_path, False, machine)
    printed = []
    device.run(chosen, found, tmp_path, {}, printed.append, total_s)
    assert json.loads((tmp_path / figures.FILE).read_text()) == found
    return found, "".join(printed)


def write(tmp_path, name, text=ROWS):
    return f"open({str(tmp_path / 'parts' / name)!r}, 'w').write({text!r});"


def test_a_failing_part_stops_no_other(tmp_path):
    found, printed = ran(
        tmp_path,
        part("bad", "print('why'); raise SystemExit(3)"),
        part("good", write(tmp_path, "good.json")),
        part("empty", ""),
    )
    outcomes = {name: one["outcome"] for name, one in found["parts"].items()}
    assert outcomes == {
        "bad": "failed with 3",
        "good": "ok",
        "empty": "failed: wrote no figures",
    }
    assert found["results"]["pu"]["rows"] == [{"a_ms": 1, "part": "good"}]
    assert found["parts"]["good"]["notes"] == ["n"]
    failed = [figures.failed(one) for one in found["parts"].values()]
    assert failed == [True, False, True]
    assert "why\n" in printed


def test_a_slow_part_is_stopped_and_keeps_its_rows(tmp_path):
    code = write(tmp_path, "slow.json") + "import time; time.sleep(60)"
    begun = time.monotonic()
    found, _ = ran(tmp_path, part("slow", code, seconds=2.0))
    assert time.monotonic() - begun < 30
    assert found["parts"]["slow"]["outcome"].startswith("stopped")
    assert len(found["results"]["pu"]["rows"]) == 1
    assert figures.failed(found["parts"]["slow"])


def test_nothing_starts_without_time(tmp_path):
    found, _ = ran(tmp_path, part("late", "raise SystemExit(3)"), total_s=0.0)
    assert found["parts"]["late"]["outcome"] == "no time left"


def test_a_second_call_keeps_the_other_parts(tmp_path):
    one, two = (part(name, write(tmp_path, f"{name}.json")) for name in ("one", "two"))
    found, _ = ran(tmp_path, one, two)
    assert [row["part"] for row in found["results"]["pu"]["rows"]] == ["one", "two"]
    (tmp_path / "trace").mkdir()
    found, _ = ran(tmp_path, part("one", ""), machine={**MACHINE, "load": 2.0})
    assert [row["part"] for row in found["results"]["pu"]["rows"]] == ["two"]
    assert set(found["parts"]) == {"one", "two"}
    assert (tmp_path / "trace").exists()
    assert not (tmp_path / figures.OLD).exists()
    found, _ = ran(tmp_path, one, machine={**MACHINE, "device": "b"})
    assert set(found["parts"]) == {"one"}
    assert set(json.loads((tmp_path / figures.OLD).read_text())["parts"]) == {
        "one",
        "two",
    }


def test_an_interrupted_part_keeps_its_rows(tmp_path, monkeypatch):
    def interrupted(one, *_):
        (tmp_path / "parts" / f"{one.name}.json").write_text(ROWS)
        raise KeyboardInterrupt

    monkeypatch.setattr(device.part_process, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ran(tmp_path, part("one", ""), part("two", ""))
    found = json.loads((tmp_path / figures.FILE).read_text())
    assert found["parts"]["one"]["outcome"] == "interrupted"
    assert [row["part"] for row in found["results"]["pu"]["rows"]] == ["one"]


def test_parts_are_chosen_by_name(tmp_path):
    every = device.parts.listed(tmp_path, False, 20)
    chosen = device._chosen(every, ("pu", "tests"))
    assert [one.name for one in chosen] == ["tests", "pu"]
    with pytest.raises(errors.ConfigError, match="nms"):
        device._chosen(every, ("nms",))


def test_a_cpu_is_only_for_a_trial_and_deletes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(device, "_machine", lambda _: {"platform": "cpu"})
    (tmp_path / "trace").mkdir()
    with pytest.raises(errors.ConfigError):
        device.command(["--out", str(tmp_path), "--only", "trace"])
    assert (tmp_path / "trace").exists()


def test_a_relative_folder_is_the_callers(tmp_path, monkeypatch):
    monkeypatch.setattr(device, "_machine", lambda _: {"platform": "gpu"})
    monkeypatch.chdir(tmp_path)
    seen = []

    def run(part, *_):
        seen.append(part.command)
        return "failed"

    monkeypatch.setattr(device.part_process, "run", run)
    assert device.command(["--out", "here", "--only", "pu"]) == 1
    assert seen[0][-1] == str(tmp_path / "here" / "parts" / "pu.json")
    assert (tmp_path / "here" / figures.FILE).exists()


def test_a_machine_that_does_not_answer(monkeypatch):
    monkeypatch.setattr(device, "_FACTS_S", 0.1)
    monkeypatch.setattr(device, "_FACTS", "import time; time.sleep(30)")
    with pytest.raises(errors.RunError, match="no device in"):
        device._machine({})


def test_the_script_runs_from_anywhere(tmp_path):
    script = Path(__file__).parents[2] / "launch" / "gpu_checks.sh"
    (tmp_path / "json.py").write_text("raise SystemExit(7)")  # is not imported
    done = subprocess.run(
        ["bash", str(script), "--help"],
        cwd=tmp_path,
        env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--quick" in done.stdout
