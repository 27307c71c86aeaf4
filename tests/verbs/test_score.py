"""`cellrec score`: from predictions to scores, exit codes, flags that need others."""

import csv
import json

import numpy as np
from PIL import Image
import pytest

from cellrec_jax import main
from cellrec_jax.data.synthetic import source as synthetic
from cellrec_jax.score import calibrate, correct


@pytest.fixture(scope="module")
def found(trained, tmp_path_factory):
    """Results of two images, and where an image could not be read."""
    folder = tmp_path_factory.mktemp("images")
    for index in range(2):
        made = synthetic.make_image(1, index, size_hw=(96, 128)).image
        Image.fromarray(made).save(folder / f"{index}.png")
    (folder / "2.png").write_bytes(b"\x89PNG no")
    output = tmp_path_factory.mktemp("found")
    command = ["predict", str(folder), "--workdir", str(trained), "--mpp", "0.5"]
    assert main.run([*command, "--threshold", "0.01", "--output", str(output)]) == 1
    return output


def test_scores_of_what_was_predicted(found, tmp_path, capsys):
    assert main.run(["score", str(found), "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    with (found / "summary.csv").open(newline="") as file:
        counts = {row["image"]: row["num_predicted"] for row in csv.DictReader(file)}
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["image"]: row["numerator"] for row in rows[1:]} == {
        name: f"{number}.0" for name, number in counts.items() if number
    }
    area = 2 * 96 * 128 * 0.25 / 1e6
    assert float(rows[0]["analysed_mm2"]) == pytest.approx(area, rel=1e-5)
    assert f"per mm2, tumour: {float(rows[0]['value']):.4g} [" in said
    assert "0.5 um per px (--mpp)" in said
    assert "warning: 1 images are left out, they failed: 2.png" in said
    told = json.loads((tmp_path / "scores.json").read_text())
    assert told["model"]["settings"]["thresholds"] == {"tumour": 0.01}
    assert told["calibration"] is None


def test_tables_are_scored_where_they_lie(found, tmp_path):
    table = tmp_path / "cells.csv"
    table.write_bytes((found / "detections.csv").read_bytes())
    assert main.run(["score", str(table)]) == 0
    assert (tmp_path / "scores.json").exists()


def test_fields_of_the_model_that_made_the_results(
    found, trained, bcdata_folder, tmp_path, capsys
):
    """Too few cells, and images of its own training, in one line each."""
    command = ["score", str(found), "--workdir", str(trained)]
    command += ["--calibrate", str(bcdata_folder), "--output", str(tmp_path)]
    assert main.run([*command, "--config.data.test_ids=4-5"]) == 2
    assert "annotated cells of tumour" in capsys.readouterr().err
    assert main.run(command) == 2
    assert "4 of these images trained this run" in capsys.readouterr().err


def test_corrected_scores_beside_the_plain_ones(
    found, trained, tmp_path, monkeypatch, capsys
):
    """Half of the cells are found, a fifth of the detections are none."""
    counts = np.array([[[50.0, 50], [12.5, 0]]] * 6)
    seen = correct.Mistakes(counts, 6, "6 fields"), ("tumour",)
    monkeypatch.setattr(calibrate, "measure", lambda *_, **__: seen)
    command = ["score", str(found), "--workdir", str(trained), "--calibrate", "fields"]
    assert main.run([*command, "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "of 600 cells of tumour 50.0% found as tumour, 50.0% missed" in said
    assert "  corrected: " in said
    told = json.loads((tmp_path / "scores.json").read_text())
    assert told["calibration"]["counts"] == [[300, 300], [75, 0]]
    for row in told["scores"]:
        numbers = row["corrected_numerator"], 0.8 / 0.5 * row["numerator"]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "score needs a folder that cellrec predict wrote"),
        (["nowhere"], "nowhere: there is no such folder or file"),
        (["nowhere", "--workdir", "w"], "--workdir: is read with --calibrate alone"),
        (["nowhere", "--config.data.mpp=1"], "--config.data.mpp: is read with --cal"),
        (["nowhere", "--calibrate", "f"], "needs --workdir DIR or --model NAME, of"),
        (["nowhere", "--hotspot-mm2", "0"], "--hotspot-mm2 0: give 0.01 to 100 mm2"),
    ],
)
def test_what_goes_together(words, message, capsys):
    assert main.run(["score", *words]) == 2
    assert message in capsys.readouterr().err


def test_nothing_that_could_be_predicted(tmp_path, capsys):
    (tmp_path / "summary.csv").write_text("image,note\na.png,damaged\n")
    assert main.run(["score", str(tmp_path)]) == 2
    assert "no image there could be predicted" in capsys.readouterr().err
    assert np.size(list(tmp_path.iterdir())) == 1
