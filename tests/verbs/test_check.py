"""`cellrec check`: exit codes, what is written, and what is refused."""

import json

from etils import epath
import pytest

from cellrec_jax import main
from cellrec_jax.check import by_model
from cellrec_jax.check.estimate import Estimate
from cellrec_jax.check.rules import finding
from cellrec_jax.data.annotations import qupath
from cellrec_jax.io import table
from tests.check import fakes
from tests.data.readers import slide_files


@pytest.fixture
def root(tmp_path):
    fakes.write_set(tmp_path / "set")
    return tmp_path / "set"


def test_a_good_set_costs_nothing_and_writes_nothing(root, tmp_path, capsys):
    assert main.run(["check", str(root)]) == 0
    said = capsys.readouterr().out
    assert "0 errors, 0 warnings, 0 notes" in said
    assert "nothing is written" in said
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_faults_cost_1_and_notes_do_not(root, tmp_path, capsys):
    assert main.run(["check", str(root), "--least-cells", "121"]) == 0
    assert "class-rare (2)" in capsys.readouterr().out
    output = tmp_path / "out"
    arguments = ["check", str(root), "--radius-px", "17", "--output", str(output)]
    assert main.run(arguments) == 1
    assert f"{output} has check.csv" in capsys.readouterr().out
    assert len(list((output / "check").glob("*.geojson"))) == 10


def test_places_on_slides_are_those_of_the_slide(tmp_path, capsys):
    """0.25 um a px, in tiles of 0.5: what QuPath shows over the slide."""
    root, output = tmp_path / "slides", tmp_path / "out"
    slide_files.write_slide(root / "a.tif", 0.25)
    region = ("Region*", 100, 40, 150)
    slide_files.write_geojson(root / "a.geojson", [(201, 141), (203, 141)], region)
    words = ["check", str(root), "--output", str(output), "--mpp", "0.5"]
    assert main.run([*words, "--radius-px", "2"]) == 1
    capsys.readouterr()
    (file,) = (output / "check").rglob("*.geojson")
    assert file == output / "check" / "a.geojson"
    read = qupath.parse(epath.Path(file))
    places = dict(zip(read.names, read.points_yx.tolist(), strict=True))
    assert places["check: near"] == pytest.approx([141, 203], abs=1e-3)
    rows = table.read_rows(output / "check.csv")
    (near,) = [row for row in rows if row["rule"] == "near"]
    assert (near["image"], near["x"], near["y"]) == ("a", "203.0", "141.0")


def test_json_is_one_line(root, capsys):
    assert main.run(["check", str(root), "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["cells"] == {"stroma": 120, "tumour": 120}


def test_keys_choose_classes_and_splits(root, capsys):
    fakes.write_image(root, "7", fakes.picture(1))
    keys = {"train_ids": "0-5", "test_ids": "6-9", "classes": "a=stroma+tumour"}
    pairs = [f"--config.data.{key}={value}" for key, value in keys.items()]
    assert main.run(["check", str(root), *pairs]) == 1
    said = capsys.readouterr().out
    assert "240 cells (a 240), splits train 6, test 4" in said
    assert "leak (1 in 1 image)" in said


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "needs the folder"),
        (["a", "b"], "takes one folder, not 2"),
        (["nowhere"], "does not exist"),
        ([".", "--radius-px", "-1"], "--radius-px -1"),
        ([".", "--config.data.box_sized=3"], "no such key"),
        ([".", "--config.eval.radius_px=3"], "check reads only"),
    ],
)
def test_wrong_usage_costs_2(arguments, why, capsys):
    assert main.run(["check", *arguments]) == 2
    assert why in capsys.readouterr().err


def test_a_model_adds_what_it_finds(root, monkeypatch, capsys, tmp_path):
    asked = []
    told = Estimate(0.25, 0.2, 0.3, "precision", (0.8, 0.7, 0.9), 240, 300, 200, "")

    def ask(*arguments):
        asked.append(arguments)
        found = [finding("unannotated", "3", "tumour, score 0.90", (4, 5))]
        return by_model.Asked(told, found, ("a note",))

    monkeypatch.setattr(by_model, "ask", ask)
    arguments = ["check", str(root), "--workdir", str(tmp_path), "--cache", "off"]
    assert main.run([*arguments, "--mpp", "0.5", "--threshold", "0.3"]) == 0
    said = capsys.readouterr().out
    assert "unannotated (1 in 1 image)" in said
    assert "about 25 % of the cells" in said
    assert "a note" in said
    ((_, _, ids, _, *rest),) = asked
    assert ids == [str(i) for i in range(10)]
    assert rest[:2] == [0.5, 0.3]
