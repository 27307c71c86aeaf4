import json
from pathlib import Path

import pytest

from cellrec_jax import errors
from cellrec_jax.bench import apply
from cellrec_jax.losses import density
from cellrec_jax.ops import matching


def boxes(size, ratio):
    return {"boxes": size, "contestant": "sorted", "ratio": ratio}


def step(cells, contestant, median_ms):
    return {
        "proposals": 1024,
        "cells": cells,
        "contestant": contestant,
        "median_ms": median_ms,
    }


FIGURES = {
    "quick": False,
    "machine": {"platform": "gpu"},
    "parts": {"density": {"outcome": "ok"}, "matching_auto": {"outcome": "ok"}},
    "results": {
        "density": {"rows": [boxes(512, 2.0), boxes(2048, 1.5), boxes(4096, 0.2)]},
        "matching_auto": {
            "rows": [
                *(step(128, "device", 1.0), step(128, "host", 2.0)),
                *(step(256, "device", 1.0), step(256, "host", 2.0)),
                *(step(512, "device", 3.0), step(512, "host", 2.0)),
                step(1024, "host", 2.0),  # the device took too long
            ]
        },
    },
}


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """Copies of both files, that are edited instead."""
    for module in (density, matching):
        copy = tmp_path / Path(module.__file__).name
        copy.write_text(Path(module.__file__).read_text())
        monkeypatch.setattr(module, "__file__", str(copy))
    return tmp_path


def constant(path, name):
    (line,) = (x for x in path.read_text().splitlines() if x.startswith(f"{name} = "))
    return eval(line.partition(" = ")[2])


def test_sources_take_what_was_measured(sources, tmp_path):
    path = tmp_path / "gpu_checks.json"
    path.write_text(json.dumps(FIGURES))
    before = (sources / "density.py").read_text()
    assert apply.command([str(path)]) == 0
    assert constant(sources / "density.py", "DENSE_UP_TO") == {
        **density.DENSE_UP_TO,
        "gpu": 2048,
    }
    assert constant(sources / "matching.py", "HOST_BELOW") == {
        **matching.HOST_BELOW,
        "gpu": 4.0,
    }
    after = (sources / "density.py").read_text()
    pairs = zip(before.splitlines(), after.splitlines(), strict=True)
    assert sum(old != new for old, new in pairs) == 1
    assert apply.command([str(path)]) == 0  # again changes nothing
    assert (sources / "density.py").read_text() == after


@pytest.mark.parametrize(
    "change",
    [
        {"quick": True},
        {"machine": {"platform": "cpu"}},
        {"machine": None},
        {"parts": {}},
    ],
)
def test_other_figures_are_refused(sources, tmp_path, change):
    before = (sources / "density.py").read_text()
    path = tmp_path / "gpu_checks.json"
    path.write_text(json.dumps({**FIGURES, **change}))
    with pytest.raises(errors.ConfigError):
        apply.command([str(path)])
    assert (sources / "density.py").read_text() == before


@pytest.mark.parametrize("stopped", [True, False])
def test_only_parts_that_ended_well_are_applied(sources, tmp_path, capsys, stopped):
    """One was stopped; or has not all sizes."""
    path = tmp_path / "gpu_checks.json"
    figures = json.loads(json.dumps(FIGURES))
    if stopped:
        figures["parts"]["matching_auto"]["outcome"] = "stopped after its share of 9 s"
    else:
        del figures["results"]["matching_auto"]["rows"][-1]
    path.write_text(json.dumps(figures))
    assert apply.command([str(path)]) == 1
    assert constant(sources / "density.py", "DENSE_UP_TO")["gpu"] == 2048
    assert constant(sources / "matching.py", "HOST_BELOW") == matching.HOST_BELOW
    assert "--only matching_auto again" in capsys.readouterr().out


def test_what_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(errors.ConfigError):
        apply.command([str(tmp_path / "none.json")])


@pytest.mark.parametrize("text", ["B = 1", 'A = {"cpu": 1}', 'A = {"gpu": 1}\n' * 2])
def test_a_line_that_is_not_there_once_is_refused(text):
    with pytest.raises(errors.ConfigError):
        apply.changed(text, apply.Edit(Path("a.py"), "A", "gpu", "2"))


def test_the_host_may_always_or_never_win():
    ways = [step(8, "device", 1.0), step(8, "host", 2.0)]
    assert apply.matching_step.host_below(ways) == 0
    ways = [step(8, "device", 3.0), step(8, "host", 2.0)]
    assert apply.matching_step.host_below(ways) == float("inf")
