"""Two stages, the first frozen: killed in either, reused by the same alone."""

import dataclasses
import json
import os
from pathlib import Path
import shutil

import chex
import numpy as np
import pytest

from cellrec_jax import errors, methods, prior, run, types
from cellrec_jax.data import arrays, sets
from cellrec_jax.io.console import Console
from cellrec_jax.methods import multitask
from cellrec_jax.train import start
from cellrec_jax.workdir import checkpoint, writer
from cellrec_jax.workdir import model as model_lib

SIZE_HW = (48, 64)
CELLS = np.array([[10, 12], [12, 40], [34, 20], [36, 50]], np.float32)
LABELS = np.array([0, 0, 1, 1], np.int32)


class Killed(BaseException):
    """In place of SIGKILL: nothing catches it."""


def _image(seed):
    """Two dark and two light blobs at CELLS + seed, on noise; uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(*(np.arange(n) + 0.5 for n in SIZE_HW), indexing="ij")
    image = 120 + rng.normal(0, 4, SIZE_HW)
    for (py, px), label in zip(CELLS + seed % 3, LABELS, strict=True):
        blob = np.exp(-((y - py) ** 2 + (x - px) ** 2) / 18)
        image += (100 if label else -100) * blob
    return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _data(seeds=(0, 1, 2, 3, 4), class_names=("positive", "other"), labels=LABELS):
    source = arrays.from_arrays(
        [_image(seed) for seed in seeds],
        [CELLS + seed % 3 for seed in seeds],
        [labels] * len(seeds),
        class_names=class_names,
    )
    spec = sets.evaluation_spec(_experiment().data)
    training = dataclasses.replace(spec, training=True)
    ids = source.image_ids
    return sets.Sets(
        sets.Split(source, ids[:3], training),
        sets.Split(source, ids[3:4], spec),
        sets.Split(source, ids[4:], spec),
        (),
    )


def _experiment(**changes):
    experiment = methods.freeze(
        {
            "method": "multitask",
            "total_steps": 6,
            "batch_size": 4,
            "model": {"network": "fcrn_a", "width": 2, "max_detections": 16},
            "loss": {"radius_px": 4.0},
            "prior": {"steps": 5},
            "data": {"size_hw": SIZE_HW, "max_cells": 16},
            "optim": {"name": "adam", "learning_rate": 1e-2, "schedule": "constant"},
            "eval": {"radius_px": 5.0, "bootstrap": 10, "overlays": 0},
            "checkpoint": {"every": 2},
        }
    )
    return methods.changed(experiment, changes)


def _metrics(workdir):
    return json.loads((workdir / "results.json").read_text())["metrics"]


def _prior_folders(workdir):
    return sorted(path.name for path in (workdir / "prior").iterdir())


@pytest.fixture(scope="module")
def finished(tmp_path_factory, count_compilations):
    """A whole run; tests must not write there."""
    workdir = tmp_path_factory.mktemp("whole")
    with count_compilations() as found:
        assert run.train_and_evaluate(_experiment(), workdir, data=_data()) == 0
    assert found.steps <= 2, found.names  # one a network, or known from earlier tests
    assert found.predictions <= 1, found.names
    return workdir


@pytest.mark.slow
def test_both_stages_are_one_command(finished):
    (name,) = _prior_folders(finished)
    first = model_lib.restore(finished / "prior" / name)
    assert first.step == 5
    assert checkpoint.complete_steps(finished) == [2, 4, 6]
    rows = (finished / "metrics.jsonl").read_text()
    assert "train/loss/prior" in rows
    assert "train/loss/consistency" in rows


@pytest.mark.slow
def test_seconds_of_a_run_are_those_of_both_stages(finished):
    """Of the first as they were kept beside its weights, by whichever run."""
    (name,) = _prior_folders(finished)
    first = model_lib.restore(finished / "prior" / name).meta["seconds"]
    timing = json.loads((finished / "results.json").read_text())["run"]["timing"]
    assert 0 < first < model_lib.restore(finished).meta["seconds"] <= timing["seconds"]
    rows = writer.read_metrics(finished / "metrics.jsonl")
    assert min(row["seconds"] for row in rows if "seconds" in row) > first


@pytest.mark.slow
def test_only_the_main_network_is_restored_and_the_first_stays(finished):
    restored = model_lib.restore(finished)
    assert set(restored.params) == {"encoder", "main"}
    first = model_lib.restore(finished / "prior" / _prior_folders(finished)[0])
    with model_lib._open(finished) as manager:
        spec = {"params": model_lib.weights_spec(restored.method)[0]}
        whole = checkpoint.restore_parts(manager, spec, 6)["params"]
    assert set(whole) == {"encoder", "main", "dynamic", "prior", types.FIRST}
    chex.assert_trees_all_equal(whole[types.FIRST]["params"], first.params)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["first", "second"])
def test_killed_and_started_again_it_ends_alike(finished, tmp_path, monkeypatch, stage):
    save = checkpoint.save

    def save_and_die(manager, state, *rest):
        save(manager, state, *rest)
        in_first = tmp_path / "prior" in Path(manager.directory).parents
        if int(state.step) == 4 and in_first == (stage == "first"):
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", save_and_die)
        with pytest.raises(Killed):
            run.train_and_evaluate(_experiment(), tmp_path, data=_data())
    assert not (tmp_path / "results.json").exists()
    assert bool(checkpoint.complete_steps(tmp_path)) == (stage == "second")
    assert run.train_and_evaluate(_experiment(), tmp_path, data=_data()) == 0
    assert _metrics(tmp_path) == _metrics(finished)
    chex.assert_trees_all_equal(
        model_lib.restore(tmp_path).params, model_lib.restore(finished).params
    )


@pytest.mark.slow
def test_another_run_takes_the_first_network_of_a_folder(tmp_path, capsys):
    """There it is alone: one step, the weights, and nothing of a process that died."""
    shared = {"prior.folder": str(tmp_path / "shared")}
    left = tmp_path / "shared" / f".tmp-{'0' * 32}"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    runs = {
        "a": _experiment(**shared),
        "b": _experiment(**{**shared, "loss.consistency_weight": 0.0}),
    }
    trained = {}
    for name, experiment in runs.items():
        workdir = tmp_path / name
        assert run.train_and_evaluate(experiment, workdir, Console(), data=_data()) == 0
        trained[name] = "steps on circles alone" in capsys.readouterr().out
    assert trained == {"a": True, "b": False}
    (found,) = (tmp_path / "shared").iterdir()
    own = tmp_path / "a" / "prior" / found.name
    assert not (tmp_path / "b" / "prior").exists()
    assert checkpoint.complete_steps(found) == [5]
    assert checkpoint.complete_steps(own) == [2, 4, 5]
    chex.assert_trees_all_equal(
        model_lib.restore(found).params, model_lib.restore(own).params
    )


@pytest.mark.slow
def test_the_first_network_of_other_images_is_not_used(finished, tmp_path, monkeypatch):
    """It lies in the same folder, of the same options: another is trained."""
    (name,) = _prior_folders(finished)
    shared = tmp_path / "shared"
    shutil.copytree(finished / "prior" / name, shared / name)
    experiment = _experiment(**{"prior.folder": str(shared)})
    taken = []

    def note(*_):
        taken.append("trained")
        raise Killed

    def restore(path):
        taken.append(path)
        raise Killed

    monkeypatch.setattr(prior, "_train_first", note)
    monkeypatch.setattr(prior.model_lib, "restore", restore)
    for seeds in ((0, 1, 2, 3, 4), (0, 1, 7, 3, 4)):
        with pytest.raises(Killed):
            run.train_and_evaluate(experiment, tmp_path / "run", data=_data(seeds))
    assert taken == [shared / name, "trained"]


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [1, 1, 1, 1]])
def test_a_class_of_the_prior_without_cells_is_said(
    labels, tmp_path, monkeypatch, capsys
):
    def stop(*_):
        raise Killed

    monkeypatch.setattr(prior, "_train_first", stop)
    data = _data(labels=np.array(labels, np.int32))
    with pytest.raises(Killed):
        run.train_and_evaluate(_experiment(), tmp_path, Console(), data=data)
    said = "no training cell of class positive" in capsys.readouterr().out
    assert said == (0 not in labels)


def test_the_digest_is_of_options_and_images():
    """Not of what the second network alone is trained by, nor of names of folders."""
    train = _data().train
    of = prior.digest
    same = of(_experiment(), train)
    assert same == of(_experiment(), _data().train)
    for key, value in {
        "loss.prior_weight": 0.1,
        "loss.cell_factor": (0.9, 1.1),
        "loss.prior_class": 1,
        "prior.threshold": 0.5,
        "prior.folder": "elsewhere",
        "total_steps": 99,
        "optim.warmup_steps": 3,
        "data.root": "elsewhere",
        "eval.radius_px": 9.0,
        "model.max_detections": 99,
    }.items():
        assert of(_experiment(**{key: value}), train) == same, key
    for key, value in {
        "prior.steps": 6,
        "seed": 1,
        "model.width": 4,
        "loss.radius_px": 5.0,
        "data.flip_labels": 0.2,
        "optim.learning_rate": 1e-3,
        "batch_size": 2,
    }.items():
        assert of(_experiment(**{key: value}), train) != same, key
    assert of(_experiment(), _data((0, 1, 7)).train) != same
    assert of(_experiment(), _data(class_names=("tumour", "other")).train) != same
    for changed in (
        {"labels": LABELS[::-1]},
        {"points_yx": CELLS + np.float32(1)},
    ):
        source = train.source

        def load(image_id, source=source, changed=changed):
            record = source.load(image_id)
            first = image_id == source.image_ids[0]
            return dataclasses.replace(record, **changed) if first else record

        other = train._replace(source=dataclasses.replace(source, load=load))
        assert of(_experiment(), other) != same, changed
    fewer = train._replace(image_ids=train.image_ids[:2])
    assert of(_experiment(), fewer) != same


def test_what_cannot_be_is_refused_before_the_first_stage(tmp_path):
    file = tmp_path / "file"
    file.touch()
    shared = _experiment(**{"prior.folder": str(file / "shared")})
    with pytest.raises(errors.RunError, match=r"prior\.folder"):
        run.train_and_evaluate(shared, tmp_path / "a", data=_data())
    with pytest.raises(errors.CheckpointError):
        run.train_and_evaluate(
            _experiment(), tmp_path / "b", init_from=tmp_path / "none", data=_data()
        )
    assert not list(tmp_path.rglob("checkpoints/*"))


def test_where_the_first_training_fails_no_folder_of_it_is_advised(
    tmp_path, monkeypatch
):
    """--init-from it would start the second network from the first one's weights."""

    def diverge(*_):
        raise errors.DivergedError("loss is nan at step 3", "use --init-from x/prior/y")

    monkeypatch.setattr(prior.loop, "train", diverge)
    with pytest.raises(errors.RunError, match="prior: loss is nan at step 3") as caught:
        run.train_and_evaluate(_experiment(), tmp_path, data=_data())
    assert "init-from" not in str(caught.value)
    assert "--config.optim.learning_rate" in str(caught.value)


def test_a_class_that_is_none_is_refused_by_name(tmp_path):
    wrong = _experiment(**{"loss.prior_class": 2})
    with pytest.raises(errors.ConfigError, match=r"prior_class=2.*0 \(positive\), 1"):
        run.train_and_evaluate(wrong, tmp_path, data=_data())
    assert not (tmp_path / "prior").exists()


def test_the_first_network_has_one_decoder():
    first = prior.first_experiment(_experiment(**{"optim.ema": 0.9}))
    assert first.options.decoders == ("main",)
    assert (first.total_steps, first.optim.ema) == (5, 0.0)
    loss = first.options.loss
    assert (loss.bce_weight, loss.iou_weight) == (1.0, 0.0)
    method = methods.build(first, 2)
    assert not method.stages
    assert isinstance(first.options, multitask.Options)


@pytest.mark.slow
def test_where_results_are_shared_may_change_after_training(finished, tmp_path):
    workdir = shutil.copytree(finished, tmp_path / "copy")
    moved = _experiment(**{"prior.folder": str(tmp_path / "shared")})
    assert run.train_and_evaluate(moved, workdir, data=_data()) == 0
    assert _metrics(workdir) == _metrics(finished)
    with pytest.raises(errors.ConfigError, match=r"prior\.steps \(5 there, 6 now\)"):
        run.train_and_evaluate(_experiment(**{"prior.steps": 6}), workdir, data=_data())


@pytest.mark.slow
def test_weights_of_another_run_leave_the_first_network_alone(finished):
    """Only what detects is taken: the other's prior may be of other images."""
    experiment = _experiment(**{"seed": 1})
    state = start.make_state(experiment, methods.build(experiment, 2))
    names = _data().train.source.class_names
    params, _, line = start.start_from(finished, state.params, state.model_state, names)
    assert line.endswith("new: dynamic, first, prior")
    other = model_lib.restore(finished).params
    chex.assert_trees_all_equal({n: params[n] for n in other}, other)
    chex.assert_trees_all_equal(params[types.FIRST], state.params[types.FIRST])
