"""Names of shipped models; each that is shipped is whole, small and told of."""

import json

import pytest

from cellrec_jax import errors, models
from cellrec_jax.workdir import export, model_file
from cellrec_jax.workdir import model as model_lib


@pytest.fixture
def folder(monkeypatch, tmp_path):
    for name in ("ki67.safetensors", "blood.safetensors", "ki67.json"):
        (tmp_path / "weights" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "weights" / name).touch()
    monkeypatch.setattr(models, "FOLDER", models.FOLDER / tmp_path / "weights")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "weights"


def test_models_are_found_by_name(folder):
    assert list(models.shipped()) == ["blood", "ki67"]
    assert models.named("ki67") == folder / "ki67.safetensors"
    assert models.find("ki67") == folder / "ki67.safetensors"
    assert str(models.find("runs/ki67")) == "runs/ki67"
    with pytest.raises(errors.ConfigError, match=r"--model ki6: .*blood, ki67"):
        models.named("ki6")


def test_what_is_there_by_a_name_wins(folder, tmp_path):
    (tmp_path / "ki67").mkdir()
    assert str(models.find("ki67")) == "ki67"
    assert models.named("ki67") == folder / "ki67.safetensors"


def test_files_are_models(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.safetensors").touch()
    assert str(models.named("own.safetensors")) == "own.safetensors"
    with pytest.raises(errors.ConfigError, match="no such file"):
        models.named("none.safetensors")


def test_what_is_shipped_is_whole_small_and_told_of(tmp_path):
    for name, path in models.shipped().items():
        card = model_file.read_card(path)
        assert card["name"] == name
        assert card["weights"]["bytes"] <= 8e6
        assert card["meta"]["mpp"] > 0
        told = tmp_path / f"{name}.json"
        told.write_text(json.dumps(card))
        assert export.read_told(told) == card
        assert model_lib.restore(path).class_names == tuple(card["classes"])
