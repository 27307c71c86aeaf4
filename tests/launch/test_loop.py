"""Corrections by rule of `launch/loop.py`: which mistakes a person sees first."""

import importlib.util
import json
from pathlib import Path
import sys

import pytest

LAUNCH = Path(__file__).parents[2] / "launch"


@pytest.fixture
def slide(monkeypatch):
    spec = importlib.util.spec_from_file_location("l", LAUNCH / "loop_slide.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "l", module)
    spec.loader.exec_module(module)
    return module


def _found(slide, y, x, label, score, id_):
    one = slide.drawn(y, x, label)
    one["properties"] |= {"objectType": "detection", "measurements": {"score": score}}
    return {**one, "id": id_}


def test_the_surest_mistakes_of_each_kind_in_turn(slide, tmp_path):
    """Of two that are none the surer one goes; a class is set; a cell is drawn."""
    features = [
        _found(slide, 10, 10, 0, 0.6, "right"),
        _found(slide, 90, 10, 0, 0.7, "none"),
        _found(slide, 90, 50, 0, 0.9, "surely none"),
        _found(slide, 50, 50, 0, 0.8, "wrong class"),
    ]
    found, mine = tmp_path / "found", tmp_path / "mine"
    found.mkdir()
    text = json.dumps({"type": "FeatureCollection", "features": features})
    (found / "train_0.png.geojson").write_text(text)
    truth = {"train_0": [(11, 10, 0), (50, 52, 1), (10, 90, 1)]}
    slide.correct(found, mine, truth, 3, 0)
    after = json.loads((mine / "train_0.geojson").read_text())["features"]
    cells = [(one.get("id", ""), *slide.place_of(one)) for one in after]
    assert cells == [
        ("right", 10, 10, 0),
        ("none", 90, 10, 0),
        ("wrong class", 50, 50, 1),
        ("", 10, 90, 1),
    ]
