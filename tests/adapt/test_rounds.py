"""`cellrec adapt` from a model file: labels, runs, and going on."""

from etils import epath
import jax
import numpy as np
from PIL import Image
import pytest

import cellrec_jax
from cellrec_jax import errors, main
from cellrec_jax.adapt import rounds
from cellrec_jax.io.console import Console
from cellrec_jax.predict import predictor
from tests import shipped


@pytest.fixture
def place(tmp_path):
    shipped.write(tmp_path)
    return tmp_path / "blue.safetensors"


def test_training_on_own_labels_takes_no_label_away(place, tmp_path):
    model = predictor.load(place)
    found = rounds.experiment(model, tmp_path, rounds.Options(steps=7, rate=0.5))
    old = model.model.experiment
    assert (found.total_steps, found.data.train_ids) == (7, "*")
    assert found.optim.learning_rate == pytest.approx(0.5 * old.optim.learning_rate)
    assert found.data.size_hw == old.data.size_hw
    cut = model.model.meta["decode"]["thresholds"][0]
    assert found.eval.threshold == pytest.approx(cut)


@pytest.mark.slow
def test_a_model_learns_from_pictures_and_goes_on(place, tmp_path, capsys):
    pictures, output = tmp_path / "pictures", tmp_path / "adapted"
    pictures.mkdir()
    for seed in range(2):
        pixels = shipped.dots(seed, shipped.GREEN, side=150)
        Image.fromarray(pixels).save(pictures / f"{seed}.png")
    words = ["adapt", str(pictures), "--model", str(place), "--output", str(output)]
    words += ["--steps", "2", "--tiles", "3", "--threshold", "0.3", "--mpp", "0.5"]
    assert main.run([*words, "--rounds", "1"]) == 0
    assert "2 pictures: 3 tiles drawn of 8" in capsys.readouterr().out
    assert len(list((output / "labels_1" / "annotations").iterdir())) == 3
    first = _weights(output / "round_1")

    assert main.run([*words, "--rounds", "2"]) == 0  # what is trained stays
    assert "which agree with those before to F1" in capsys.readouterr().out
    for one, other in zip(_weights(output / "round_1"), first, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(errors.ConfigError, match=r"tiles \(3 there, 2 now\)"):
        rounds.adapt(
            predictor.load(place, threshold=0.3),
            *(epath.Path(place), sorted(pictures.iterdir()), epath.Path(output)),
            *(Console(quiet=True), rounds.Options(steps=2, most_tiles=2, mpp=0.5)),
        )
    second = _weights(output / "round_2")
    assert any((a != b).any() for a, b in zip(first, second, strict=True))
    assert (
        cellrec_jax.load(output / "round_2").class_names
        == predictor.load(place).class_names
    )


def _weights(workdir):
    params = cellrec_jax.load(workdir).model.params
    return [np.asarray(leaf) for leaf in jax.tree.leaves(params)]
