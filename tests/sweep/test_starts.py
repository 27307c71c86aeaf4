"""Weights that runs start from are told apart by what they are, not by their name."""

from etils import epath
import pytest

from cellrec_jax import errors, models
from cellrec_jax.sweep import plan, starts


def test_identity_is_of_the_weights(weights, tmp_path, monkeypatch):
    """A name, its file and a copy of it are one; a file cut short is refused."""
    monkeypatch.setattr(models, "FOLDER", epath.Path(weights))
    monkeypatch.chdir(tmp_path)
    known = starts.identity("blue")
    copy = tmp_path / "copy.safetensors"
    for suffix in (".safetensors", ".json"):
        copy.with_suffix(suffix).write_bytes((weights / f"blue{suffix}").read_bytes())
    assert starts.identity(str(weights / "blue.safetensors")) == known
    assert starts.identity(str(copy)) == known
    copy.write_bytes(copy.read_bytes()[:-1])
    with pytest.raises(errors.CheckpointError, match="truncated"):
        starts.identity(str(copy))


def test_classes_count(weights, tmp_path):
    """Weights of other classes would not be copied."""
    stem = tmp_path / "other"
    card = (weights / "blue.json").read_text()
    assert card.count("Tumor: Negative") > 0
    stem.with_suffix(".json").write_text(card.replace("Tumor: Negative", "Stroma"))
    file = stem.with_suffix(".safetensors")
    file.write_bytes((weights / "blue.safetensors").read_bytes())
    before = starts.identity(str(weights / "blue.safetensors"))
    assert starts.identity(str(file)) != before


def test_a_file_in_place_of_a_shipped_model_is_told(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "FOLDER", epath.Path(weights))
    monkeypatch.chdir(tmp_path)
    fresh, tuned = (plan.Row("c", "a", {}, (), {}, one) for one in ("", "blue"))
    said = []
    found = starts.find({"a": fresh, "b": tuned, "c": tuned}, said.append)
    assert found == {"": "", "blue": starts.identity("blue")}
    assert said == []
    (tmp_path / "blue").mkdir()
    monkeypatch.setattr(starts, "identity", lambda given: f"of {given}")
    assert starts.find({"b": tuned}, said.append) == {"": "", "blue": "of blue"}
    assert said == ["rows.b.init_from: blue is what is there, no shipped model"]


def test_places(weights, monkeypatch):
    monkeypatch.chdir(weights)
    assert starts.place("blue.safetensors") == str(weights / "blue.safetensors")
    assert starts.place("ki67") == "ki67"
    with pytest.raises(errors.ConfigError, match="red: no such model"):
        starts.identity("red")


def test_a_folder_remembers_what_its_run_began_with(tmp_path):
    starts.require(tmp_path, "a", "weights a")  # nothing began
    starts.remember(tmp_path, "a", "weights a")
    assert starts.remembered(tmp_path) == "weights a"
    (tmp_path / "rounds/1/checkpoints/20").mkdir(parents=True)
    starts.require(tmp_path, "a", "weights a")
    with pytest.raises(errors.ConfigError, match="than those of init_from = a;"):
        starts.require(tmp_path, "a", "weights b")
    with pytest.raises(errors.ConfigError, match="than fresh ones;"):
        starts.require(tmp_path, "", "")
    starts.remember(tmp_path, "", "")
    assert starts.remembered(tmp_path) == ""
