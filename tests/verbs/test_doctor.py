"""`cellrec doctor`: exit codes, and both forms of what it tells."""

import json

import numpy as np
from PIL import Image

from cellrec_jax import main
from cellrec_jax.doctor import machine


def test_one_bad_file_costs_1_and_the_others_are_told(tmp_path, capsys):
    Image.fromarray(np.zeros((5, 7, 3), np.uint8)).save(tmp_path / "a.png")
    words = [str(tmp_path / name) for name in ("none.png", "a.png")]
    assert main.run(["doctor", *words]) == 1
    said = capsys.readouterr().out
    assert f"{words[0]}: cannot be used: there is no such file" in said
    assert "5 x 7 px" in said
    assert main.run(["doctor", words[1], "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["files"][0]["size_hw"] == [5, 7]
    assert found["versions"]["numpy"] == np.__version__
    assert ".tif" in found["readers"]["images"]


def test_devices_that_cannot_be_used_cost_1(monkeypatch, capsys):
    def devices():
        raise AssertionError

    monkeypatch.setattr("jax.devices", devices)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    assert main.run(["doctor", "--cache", "off"]) == 1
    said = capsys.readouterr().out
    assert "cannot be used: JAX_PLATFORMS=cuda: JAX finds no such device" in said
    assert "--cache off" in said
    assert machine.facts("off")["devices"] == []
