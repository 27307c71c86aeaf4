import importlib
import json
from types import SimpleNamespace

import pytest

from cellrec_jax.bench import __main__ as bench
from cellrec_jax.bench import report


def _fake(monkeypatch, run):
    monkeypatch.setattr(importlib, "import_module", lambda _: SimpleNamespace(run=run))


def test_every_benchmark_has_run():
    for name in bench.BENCHMARKS.values():
        assert callable(importlib.import_module(name).run)


@pytest.mark.usefixtures("quick_peaks")
def test_one_benchmark_writes_json_and_a_plot(tmp_path, capsys):
    path = tmp_path / "figures.json"
    arguments = ["density", "--sizes", "5", "--batch-size", "1", "--repeats", "1"]
    arguments += ["--json", str(path), "--plot", str(tmp_path / "plots")]
    assert bench.run(arguments) == 0
    found = json.loads(path.read_text())
    assert found["machine"]["cores"] >= 1
    rows = found["results"]["density"]["rows"]
    assert [row["contestant"] for row in rows][:2] == ["sorted", "dense"]
    assert (tmp_path / "plots" / "density.png").exists()
    assert found["machine"]["jax"] in capsys.readouterr().out


def test_a_wrong_kernel_fails(monkeypatch, capsys):
    made = report.Report((), wrong=("boxes 5, dense: differs by 2",))
    _fake(monkeypatch, lambda *_: made)
    assert bench.run(["density"]) == 1
    assert "WRONG, not timed: boxes 5, dense" in capsys.readouterr().out


def test_all_runs_the_others_when_one_fails(tmp_path, monkeypatch, capsys):
    calls = []

    def run(settings, _):
        calls.append(settings)
        if len(calls) == 2:
            raise MemoryError("no room\nat all")
        return report.Report(({"a_ms": 1.0},))

    _fake(monkeypatch, run)
    path = tmp_path / "figures.json"
    assert bench.run(["all", "--steps", "3", "--json", str(path)]) == 1
    results = json.loads(path.read_text())["results"]
    assert list(results) == list(bench.BENCHMARKS)
    failed = [name for name, result in results.items() if not result["rows"]]
    assert failed == [list(bench.BENCHMARKS)[1]]
    assert results[failed[0]]["notes"] == ["failed: MemoryError: no room"]
    assert "failed: MemoryError: no room" in capsys.readouterr().out
    assert calls[0] == report.Settings(steps=3)


def test_a_missing_package_is_a_skip(monkeypatch, capsys):
    def missing(_):
        raise ModuleNotFoundError(name="ml_collections")

    monkeypatch.setattr(importlib, "import_module", missing)
    assert bench.run(["train"]) == 0
    assert "train: skipped: ml_collections is not installed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["densty"], "invalid choice"),
        (["density", "--sizes", "8,x"], "8,x: give whole numbers above 0"),
        (["predict", "--sizes", "8x8x3"], "8x8x3: give whole numbers above 0, or HE"),
        (["density", "--sizes", "8x9"], "HEIGHTxWIDTH is for predict, not density"),
        (["density", "--repeats", "0"], "0: give one whole number above 0"),
        (["density", "--repeats", "1,2"], "1,2: give one whole number above 0"),
        (["density", "--limit-s", "0"], "0: give seconds above 0"),
        (["density", "--limit-s", "x"], "x: give seconds above 0"),
        (["all", "--sizes", "8"], "--sizes means something else"),
    ],
)
def test_wrong_usage(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        bench.run(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
