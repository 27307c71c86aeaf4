"""Models that come with the package: listed, chosen by pictures, named by flags."""

import csv
import json

from etils import epath
from PIL import Image
import pytest

import cellrec_jax
from cellrec_jax import config_files, errors, flags, main, models
from cellrec_jax.score import calibrate
from cellrec_jax.verbs import trained
from tests import shipped


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    shipped.write(folder)
    return folder


@pytest.fixture(autouse=True)
def here(weights, monkeypatch, tmp_path):
    """The package has two models, and the working directory is empty."""
    monkeypatch.setattr(models, "FOLDER", epath.Path(weights))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _predict(*words):
    assert main.run(["predict", *words]) == 0
    with open("predict/summary.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    with open("predict/predict.json") as file:
        return rows, json.load(file)


def _save(name, pixels):
    Image.fromarray(pixels).save(name)
    return name


def test_they_are_listed(capsys):
    assert main.run(["models"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if not line.startswith(" ")] == [
        "blue: blue",
        "green: green",
    ]
    assert "Tumor: Positive, Tumor: Negative; 0.5 um per px; " in said[1]
    assert said[2] == "  F1 at 12 px 0.75; all: cellrec models blue"
    assert main.run(["models", "--json"]) == 0
    cards = json.loads(capsys.readouterr().out)
    assert [card["name"] for card in cards] == ["blue", "green"]
    assert main.run(["models", "green"]) == 0
    assert json.loads(capsys.readouterr().out) == cards[1]
    assert "/secret" not in json.dumps(cards)
    assert main.run(["models", "green", "blue"]) == 2


def test_pictures_choose_the_model(capsys):
    """By its training images; --model takes another, to which they are unlike."""
    picture = _save("a.png", shipped.dots(99, shipped.GREEN))
    rows, told = _predict(picture)
    said = capsys.readouterr().out
    assert "took green (green)" in said
    assert "--model takes blue" in said
    assert told["model"]["workdir"].endswith("green.safetensors")
    assert "unlike" not in rows[0]["note"].partition("image 64")[0]
    other = ["predict", picture, "--model", "blue", "--output", "other", "--mpp", "1"]
    assert main.run(other) == 0
    said = capsys.readouterr().out
    assert "1 images that look unlike what the model knows" in said
    assert "surest" not in said
    with open("other/summary.csv", newline="") as file:
        assert "looks unlike what the model knows (" in file.read()


def test_the_chosen_scale_is_told_and_stays(capsys, monkeypatch):
    picture = _save("a.png", shipped.dots(99, shipped.BLUE))
    monkeypatch.setattr("cellrec_jax.predict.scales.find", lambda *_: 2.0)
    rows, told = _predict(picture)
    assert "are seen as of 1," in capsys.readouterr().out  # twice 0.5 um
    assert told["settings"]["scale"] == 2
    assert rows[0]["mpp"] == ""
    monkeypatch.setattr("cellrec_jax.predict.scales.find", lambda *_: 0.5)
    later, told = _predict(picture, _save("b.png", shipped.dots(98, shipped.BLUE)))
    assert told["settings"]["scale"] == 2
    assert later[0] == rows[0]
    by_hand = ["predict", picture, "--output", "by_hand", "--mpp", "1"]
    assert main.run(by_hand) == 0
    tables = []
    for folder in ("predict", "by_hand"):
        with open(f"{folder}/detections.csv", newline="") as file:
            tables.append([r for r in csv.DictReader(file) if r["image"] == picture])
    assert tables[0] == tables[1]


def test_they_are_loaded_where_no_folder_has_their_name(here):
    assert "blue.safetensors" in repr(cellrec_jax.load("blue"))
    assert config_files.stored(models.find("blue"), {}).data.root == "dots"
    (here / "blue").mkdir()
    with pytest.raises(errors.CheckpointError, match="no checkpoint"):
        cellrec_jax.load("blue")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workdir", "blue"], "--model blue"),
        (["--workdir", "runs/a", "--model", "blue"], "give one of them"),
        (["--model", "red"], "there are blue, green"),
        ([], "needs --workdir DIR or --model NAME"),
    ],
)
def test_places_that_are_none(words, message):
    with pytest.raises(errors.ConfigError, match=message):
        trained.need_place(flags.parse(["evaluate", *words])[0])


def test_evaluation_needs_a_folder(capsys):
    assert main.run(["evaluate", "--model", "blue"]) == 2
    assert "--config.data.root FOLDER with --model" in capsys.readouterr().err


def test_without_models_one_is_asked_for(monkeypatch, here, capsys):
    monkeypatch.setattr(models, "FOLDER", epath.Path(here))
    picture = _save("a.png", shipped.dots(1, shipped.BLUE))
    assert main.run(["predict", picture]) == 2
    assert "--model FILE" in capsys.readouterr().err
    assert main.run(["models"]) == 0
    assert "no models are shipped" in capsys.readouterr().out


def test_training_starts_from_a_name_or_the_folder_of_it(here, monkeypatch, capsys):
    started = []
    monkeypatch.setattr(
        "cellrec_jax.run.train_and_evaluate", lambda *given: started.append(given[3])
    )
    words = ["train", "--config", "pdl1_point:small", "--init-from"]
    main.run([*words, "blue"])
    assert "the folder of that name" not in capsys.readouterr().out
    (here / "blue").mkdir()
    main.run([*words, "blue"])
    assert "the folder of that name" in capsys.readouterr().out
    assert started == [models.FOLDER / "blue.safetensors", epath.Path("blue")]


def test_fields_are_seen_at_the_scale_that_was_chosen(monkeypatch):
    """Of images that say no um per px; --calibrate reads fields that do not either."""
    monkeypatch.setattr("cellrec_jax.predict.scales.find", lambda *_: 2.0)
    _predict(_save("a.png", shipped.dots(99, shipped.BLUE)))
    seen = []

    def measure(_, experiment, *__, mpp, **___):
        seen.append((experiment.data.mpp, mpp))  # of all, and of those that say none
        raise errors.DataError("enough")

    monkeypatch.setattr(calibrate, "measure", measure)
    words = ["score", "predict", "--model", "blue", "--calibrate", "fields"]
    assert main.run(words) == 2
    assert seen == [(0.0, 1.0)]
