"""Curves of several seeds, by hand; and the command line."""

import json

import pytest

from cellrec_jax import errors
from cellrec_jax.io import recognition_figures
from cellrec_jax.study import __main__ as main
from cellrec_jax.study import radii


def _leave(folder, total, mean, classes=("positive", "other"), at=(4.0, 8.0)):
    """A work directory with these F1 of the first class."""
    curves = {
        "total_F1": {"value": total, "area": {"value": sum(total) / 2}},
        "mean_F1": {"value": mean, "area": {"value": 0.5}},
    }
    nothing = {name: {"value": [None] * 2, "area": {"value": None}} for name in curves}
    table = {"radii_px": list(at), "classes": dict.fromkeys(classes, nothing)}
    table["classes"] = {**table["classes"], classes[0]: curves}
    folder.mkdir(parents=True)
    content = {"tables": {"radii": table}}
    (folder / "results.json").write_text(json.dumps(content))
    return str(folder)


@pytest.fixture
def drawn(monkeypatch):
    """What was drawn."""
    found = []
    monkeypatch.setattr(
        recognition_figures, "radius_curves", lambda *what: found.append(what)
    )
    return found


def test_seeds_are_averaged(tmp_path, drawn):
    seeds = [
        _leave(tmp_path / "a", [0.2, 0.4], [0.1, None]),
        _leave(tmp_path / "b", [0.4, 0.8], [0.3, 0.5]),
    ]
    areas = radii.draw("r.png", {"Ours": seeds, "one": seeds[:1]})
    ((path, radii_px, f1),) = drawn
    assert (path, radii_px) == ("r.png", [4, 8])
    assert f1["total_F1"]["Ours"] == pytest.approx([0.3, 0.6])
    assert f1["mean_F1"]["Ours"] == [pytest.approx(0.2), None]
    assert f1["total_F1"]["one"] == [0.2, 0.4]
    assert areas["Ours"] == {"total_F1": pytest.approx(0.45), "mean_F1": 0.5}


def test_the_class_that_is_asked_for(tmp_path, drawn):
    run = _leave(tmp_path / "a", [0.2, 0.4], [0.1, 0.2])
    assert radii.draw("r.png", {"a": [run]}, "other")["a"]["mean_F1"] is None
    assert drawn[0][2]["total_F1"]["a"] == [None, None]
    with pytest.raises(errors.ConfigError, match="no class stroma"):
        radii.draw("r.png", {"a": [run]}, "stroma")


def test_runs_without_these_radii_are_refused(tmp_path):
    first = _leave(tmp_path / "a", [0.2, 0.4], [0.1, 0.2])
    other = _leave(tmp_path / "b", [0.2, 0.4], [0.1, 0.2], at=(4.0, 9.0))
    with pytest.raises(errors.ConfigError, match="b: has other radii"):
        radii.draw("r.png", {"a": [first], "b": [other]})
    with pytest.raises(errors.ConfigError, match="no F1 over radii"):
        radii.draw("r.png", {"a": [str(tmp_path)]})


def test_the_command_takes_patterns(tmp_path, drawn, capsys):
    _leave(tmp_path / "ours/seed0", [0.2, 0.4], [0.1, 0.2])
    _leave(tmp_path / "ours/seed1", [0.4, 0.4], [0.3, 0.2])
    pattern = f"Ours={tmp_path}/ours/seed*"
    assert main.run(["radii", pattern, "--out", str(tmp_path / "r.png")]) == 0
    assert drawn[0][2]["total_F1"] == {"Ours": pytest.approx([0.3, 0.4])}
    assert "| Ours | 0.350 | 0.500 |" in capsys.readouterr().out
    with pytest.raises(errors.ConfigError, match="no such work directory"):
        main.run(["radii", f"{tmp_path}/none", "--out", "r.png"])
