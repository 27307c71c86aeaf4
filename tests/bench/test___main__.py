import json

import pytest

from cellrec_jax.bench import __main__ as bench
from cellrec_jax.bench import kernel, report


def test_one_benchmark_writes_json_and_a_plot(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "figures.json"
    arguments = ["density", "--sizes", "5", "--batch-size", "1", "--repeats", "1"]
    arguments += ["--json", str(path), "--plot", str(tmp_path / "plots")]
    assert bench.run(arguments) == 0
    found = json.loads(path.read_text())
    rows = found["results"]["density"]["rows"]
    assert [row["contestant"] for row in rows][:2] == ["sorted", "dense"]
    assert (tmp_path / "plots" / "density.png").exists()


def test_all_runs_the_others_when_one_is_wrong_or_fails(tmp_path, monkeypatch):
    calls = []

    def run(name, _, settings, __):
        calls.append(settings)
        if name == "pu":
            raise MemoryError("no room\nat all")
        return report.Report(({"a_ms": 1.0},), wrong=("x",) * (name == "nms"))

    def steps(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(kernel, "measure", run)
    monkeypatch.setattr(bench.importlib, "import_module", steps)
    path = tmp_path / "figures.json"
    assert bench.run(["all", "--steps", "3", "--json", str(path)]) == 1
    results = json.loads(path.read_text())["results"]
    assert list(results) == list(bench.NAMES)
    assert results["pu"]["notes"] == ["failed: MemoryError: no room"]
    without = {name for name in results if not results[name]["rows"]}
    assert without == {*bench.STEPS, "pu"}
    assert calls[0] == report.Settings(steps=3)
    assert bench.run(["nms"]) == 1
    assert bench.run(["density"]) == bench.run(["train"]) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["densty"],
        ["density", "--sizes", "8,x"],
        ["predict", "--sizes", "8x8x3"],
        ["density", "--sizes", "8x9"],
        ["density", "--repeats", "0"],
        ["density", "--limit-s", "0"],
        ["density", "--limit-s", "x"],
        ["all", "--sizes", "8"],
    ],
)
def test_wrong_usage(arguments):
    with pytest.raises(SystemExit, match="2"):
        bench.run(arguments)
