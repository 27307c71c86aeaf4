"""A work directory belongs to one configuration and one split, once it has weights."""

import dataclasses
import json
import shutil

from etils import epath
import pytest

from cellrec_jax import config, errors, methods
from cellrec_jax.data import sets
from cellrec_jax.data.record import Source
from cellrec_jax.workdir import directory


@pytest.fixture(scope="module")
def experiment(trained) -> config.Experiment:
    """What the finished run was told to do."""
    return methods.from_json(json.loads((trained / "config.json").read_text()))


@pytest.fixture
def workdir(trained, tmp_path):
    """A copy of the finished run, to write to."""
    return shutil.copytree(trained, tmp_path / "copy")


def _sets(train, test) -> sets.Sets:
    source = Source("any", ("cell",), (*train, *test), lambda _: None)
    named = (train, ("4",), test)
    return sets.Sets(*(sets.Split(source, ids, None) for ids in named), ())


def test_another_configuration_is_refused(workdir, experiment):
    other = dataclasses.replace(experiment, seed=1)
    with pytest.raises(errors.ConfigError, match=r"seed \(0 there, 1 now\)"):
        directory.check(other, workdir)
    evaluation = dataclasses.replace(experiment.eval, overlays=1)
    directory.check(dataclasses.replace(experiment, eval=evaluation), workdir)


def test_a_key_of_a_newer_version_has_its_default(workdir, experiment):
    path = workdir / "config.json"
    stored = json.loads(path.read_text())
    for section, key in {
        "data": "jitter_px",
        "model": "norm",
        "loss": "literal",
    }.items():
        del stored[section][key]
    path.write_text(json.dumps(stored))
    directory.check(experiment, workdir)
    with pytest.raises(errors.ConfigError, match=r"model.norm \(auto there"):
        directory.check(methods.changed(experiment, {"model.norm": "group"}), workdir)
    path.write_text(json.dumps({**stored, "model": {"gone": 1}}))
    with pytest.raises(errors.ConfigError, match=r"does not fit this version.*gone"):
        directory.check(experiment, workdir)


def test_a_failed_start_may_be_mended(tiny_experiment, tmp_path):
    """Without a whole checkpoint, another configuration takes the directory over."""
    directory.check(tiny_experiment, tmp_path)
    directory.claim(tiny_experiment, tmp_path, _sets(("0", "1"), ("2",)))
    (tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp").mkdir(parents=True)
    mended = dataclasses.replace(tiny_experiment, batch_size=8)
    directory.check(mended, tmp_path)
    directory.claim(mended, tmp_path, _sets(("0",), ("1",)))
    assert json.loads((tmp_path / "config.json").read_text())["batch_size"] == 8
    splits = json.loads((tmp_path / "splits.json").read_text())
    assert splits == {"train": ["0"], "val": ["4"], "test": ["1"]}


def test_results_of_a_version_with_rounds_for_all_methods_stay(workdir, experiment):
    path = workdir / "config.json"
    stored = json.loads(path.read_text()) | {"refine": {"rounds": 0, "ridge": 0.1}}
    path.write_text(json.dumps(stored))
    directory.check(experiment, workdir)
    directory.claim(experiment, workdir, _sets(("0", "1", "2", "3"), ("5",)))
    assert (workdir / "results.json").exists()


def test_a_folder_that_changed_is_refused(workdir, experiment):
    same = _sets(("0", "1", "2", "3"), ("5",))
    directory.claim(experiment, workdir, same)
    before = (workdir / "splits.json").read_bytes()
    grown = _sets(("0", "1", "2", "5"), ("3", "6"))
    with pytest.raises(errors.ConfigError, match=r"splits\.json: this run's train"):
        directory.claim(experiment, workdir, grown)
    assert (workdir / "splits.json").read_bytes() == before


def test_training_images_are_not_reported_on(workdir, tmp_path):
    directory.refuse_training_images(workdir, ("4", "5", "6"))
    with pytest.raises(errors.ConfigError, match=r"1 of these .*\(3\); name others"):
        directory.refuse_training_images(workdir, ("3", "5"))
    directory.refuse_training_images(tmp_path, ("3",))  # nothing is known


def test_workdir_under_a_file_is_one_line(tiny_experiment, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.RunError, match="choose another --workdir"):
        directory.check(tiny_experiment, tmp_path / "file" / "run")


def test_what_a_killed_run_was_writing_goes_but_not_what_others_write(tmp_path):
    name = f".tmp-{'0a' * 16}.json"
    own = [tmp_path, tmp_path / "figures", tmp_path / "rounds" / "0"]
    others = [tmp_path / "predict", tmp_path / "evaluate-set" / "figures"]
    for folder in (*own, *others):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    stages = directory.Stages(files=("rounds",))
    directory.remove_left(epath.Path(tmp_path), stages)
    assert [(folder / name).exists() for folder in (*own, *others)] == [
        *[False] * 3,
        *[True] * 2,
    ]
