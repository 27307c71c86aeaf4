"""Label maps made before training, and the detector of partial points before them."""

import dataclasses
import json
from pathlib import Path

import chex
import numpy as np
import pytest

from cellrec_jax import errors, methods, run, types
from cellrec_jax.data import arrays, example, sets
from cellrec_jax.io.console import Console
from cellrec_jax.methods.estimate_mask import labels as label_maps
from cellrec_jax.pseudo_masks import maps as pseudo_masks
from cellrec_jax.workdir import checkpoint
from cellrec_jax.workdir import model as model_lib

SIZE_HW = (48, 64)
CELLS = np.array([[10, 12], [12, 40], [34, 20], [36, 50]], np.float32)
LABELS = np.array([0, 0, 1, 1], np.int32)


class Killed(BaseException):
    """In place of SIGKILL: nothing catches it."""


def _image(seed, alike=False):
    """Two dark and two reddish (or dark) discs of 5 px at CELLS, on noise; uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(*(np.arange(n) + 0.5 for n in SIZE_HW), indexing="ij")
    image = 200 + rng.normal(0, 4, (*SIZE_HW, 3))
    for (py, px), label in zip(CELLS, LABELS, strict=True):
        color = (150, 40, 40) if label and not alike else (40, 40, 60)
        image[np.hypot(y - py, x - px) <= 5] = color
    return np.clip(image, 0, 255).astype(np.uint8)


def _data(keep_rate=1.0, given=4, alike=False):
    """Three training images, one to validate, one to test."""
    source = arrays.from_arrays(
        [_image(seed, alike) for seed in range(5)],
        [CELLS[:given] if seed < 3 else CELLS for seed in range(5)],
        [LABELS[:given] if seed < 3 else LABELS for seed in range(5)],
        class_names=("dark", "red"),
    )
    spec = sets.evaluation_spec(_experiment().data)
    training = dataclasses.replace(spec, training=True, keep_rate=keep_rate)
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
            "method": "estimate_mask",
            "total_steps": 6,
            "batch_size": 4,
            "model": {"network": "fcrn_a", "width": 2, "max_detections": 16},
            "loss": {"crf_from": 0.5, "crf_window_px": 1},
            "masks": {"least_px": 5, "dilate_px": 1, "erode_px": 1},
            "data": {"size_hw": SIZE_HW, "max_cells": 16},
            "optim": {"name": "adam", "learning_rate": 1e-2, "schedule": "constant"},
            "eval": {"radius_px": 5.0, "bootstrap": 10, "overlays": 0},
            "checkpoint": {"every": 2},
        }
    )
    return methods.changed(experiment, changes)


def _partial(**changes):
    detector = {"detector.rounds": 1, "detector.steps": 4, "detector.radius_px": 5.0}
    return _experiment(**{"masks.points": "found", **detector, **changes})


def _metrics(workdir):
    return json.loads((workdir / "results.json").read_text())["metrics"]


def _rows(workdir):
    text = (workdir / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def partial(tmp_path_factory):
    """A whole run of both stages; tests must not write there."""
    workdir = tmp_path_factory.mktemp("partial")
    assert run.train_and_evaluate(_partial(), workdir, data=_data(0.5)) == 0
    return workdir


@pytest.mark.slow
def test_maps_are_made_once_and_read_again(tmp_path, monkeypatch):
    """Given points alone: no detector; a second start finds all its maps."""
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", _die_at(4))
        with pytest.raises(Killed):
            run.train_and_evaluate(_experiment(), tmp_path, data=_data())
    assert not (tmp_path / "detector").exists()
    files = sorted((tmp_path / "masks").iterdir())
    assert len(files) == 3
    files[0].write_bytes(b"half a file")  # it is made again
    made = []

    def label_again(*args, **kwargs):
        made.append(1)
        return label(*args, **kwargs)

    label = label_maps.label_maps
    monkeypatch.setattr(label_maps, "label_maps", label_again)
    assert run.train_and_evaluate(_experiment(), tmp_path, data=_data()) == 0
    assert len(made) == 1
    assert sorted((tmp_path / "masks").iterdir()) == files
    costs = [
        row["train/loss/crf"] for row in _rows(tmp_path) if "train/loss/crf" in row
    ]
    assert costs[0] == 0 < costs[-1]  # it counts from half of the steps on


def _die_at(step, folder=None):
    save = checkpoint.save

    def save_and_die(manager, state, *rest):
        save(manager, state, *rest)
        here = folder is None or folder in Path(manager.directory).parents
        if int(state.step) == step and here:
            raise Killed

    return save_and_die


@pytest.mark.slow
def test_a_round_learns_from_the_network_before(partial):
    """It starts at its weights, and keeps them, frozen, to tell the background."""
    first, second = (
        model_lib.restore(partial / "detector" / f"round_{i}") for i in (0, 1)
    )
    with model_lib._open(partial / "detector" / "round_1") as manager:
        spec = {"params": model_lib.weights_spec(second.method)[0]}
        whole = checkpoint.restore_parts(manager, spec, 4)["params"]
    chex.assert_trees_all_equal(whole[types.FIRST]["params"], first.params)
    assert set(second.params) == {"network"}
    assert any("train/background" in row for row in _rows(partial / "detector/round_1"))
    assert not any(
        "train/background" in row for row in _rows(partial / "detector/round_0")
    )


@pytest.mark.slow
def test_seconds_of_a_run_are_those_of_all_stages(partial):
    folders = [partial / "detector" / f"round_{i}" for i in (0, 1)]
    stages = [model_lib.restore(folder).meta["seconds"] for folder in folders]
    assert min(stages) > 0
    seconds = [row["seconds"] for row in _rows(partial) if "seconds" in row]
    assert min(seconds) > sum(stages)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["detector/round_0", "detector/round_1", "."])
def test_killed_and_started_again_it_ends_alike(partial, tmp_path, monkeypatch, place):
    folder = tmp_path / place
    with monkeypatch.context() as patch:
        inside = None if place == "." else folder
        step = 6 if place == "." else 2
        patch.setattr(checkpoint, "save", _die_at(step, inside))
        with pytest.raises(Killed):
            run.train_and_evaluate(_partial(), tmp_path, data=_data(0.5))
    assert not (tmp_path / "results.json").exists()
    other = _partial(**{"detector.threshold": 0.5})
    with pytest.raises(errors.ConfigError, match=r"detector\.threshold"):
        run.train_and_evaluate(other, tmp_path, data=_data(0.5))
    assert run.train_and_evaluate(_partial(), tmp_path, data=_data(0.5)) == 0
    assert _metrics(tmp_path) == _metrics(partial)
    chex.assert_trees_all_equal(
        model_lib.restore(tmp_path).params, model_lib.restore(partial).params
    )


def test_what_is_found_joins_the_points_away_from_it():
    spec = dataclasses.replace(_data().train.spec, max_cells=8)
    one = example.prepare(_data(given=2).train.source.load("000000"), spec)

    def find(_):
        return np.array([[11, 14], [34, 21], [13, 46]], np.float32), np.array([1, 1, 0])

    cells = pseudo_masks.gather(one, find, 5.0)
    assert cells.num_given == 2
    np.testing.assert_array_equal(cells.points_yx[:2], CELLS[:2])
    np.testing.assert_array_equal(cells.points_yx[2:], [[34, 21], [13, 46]])
    assert cells.labels.tolist() == [0, 0, 1, 0]
    alone = pseudo_masks.gather(one, None, 5.0)
    assert (len(alone.points_yx), alone.num_given) == (2, 2)
    empty = one._replace(points_mask=np.zeros_like(one.points_mask))
    assert pseudo_masks.gather(empty, find, 5.0).num_given == 0
    assert len(pseudo_masks.gather(empty, find, 5.0).points_yx) == 3


def test_an_image_is_searched_once(tmp_path):
    """Its points are kept beside its maps; other options search again."""
    one = example.prepare(_data(given=2).train.source.load("000000"), _data().val.spec)
    searched = []

    def find(_):
        searched.append(1)
        return CELLS[2:], LABELS[2:]

    def make(**changes):
        options = _partial(**changes).options
        return pseudo_masks._make(
            one, options=options, seed=0, num_classes=2, find=find, folder=tmp_path
        )

    first, again = make(), make()
    assert len(searched) == 1
    np.testing.assert_array_equal(first.maps, again.maps)
    np.testing.assert_array_equal(again.cells.points_yx, CELLS)
    assert again.cells.num_given == 2
    assert again.maps[34, 20, 0] == 2  # a disc of a cell that was found
    make(**{"masks.disc_px": 3.0})
    assert len(searched) == 2


@pytest.mark.slow
def test_a_detector_finds_what_was_left_out(tmp_path, capsys):
    """Trained on half of the cells, which look alike, and low ones are cells too."""
    settings = {
        **{"detector.steps": 150, "detector.rounds": 0, "total_steps": 1},
        "detector.least_area": 6,
        **{"model.width": 4, "optim.learning_rate": 1e-2},
    }
    experiment = _partial(**settings)
    args = (experiment, tmp_path, Console())
    assert run.train_and_evaluate(*args, data=_data(0.5, alike=True)) == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if "beside" in line]
    numbers = [int(word) for word in line.split() if word.isdecimal()]
    found, given, right, left_out, others = numbers
    assert (found, given) == (right + others, 6)
    assert left_out == 6
    assert right >= 4
    assert others <= 2


def test_points_that_are_lost_are_refused(tmp_path):
    """As given, the others' places would be background."""
    for change in ({"data.keep_rate": 0.5}, {"data.keep_one": True}):
        experiment = _experiment(**change)
        with pytest.raises(errors.ConfigError, match=r"masks\.points=found"):
            run.train_and_evaluate(experiment, tmp_path / "run", data=_data())


def test_parts_that_a_run_sets_are_refused(tmp_path):
    for part in ("detector", "self_training"):
        with pytest.raises(errors.ConfigError, match=rf"model\.part={part}"):
            run.train_and_evaluate(
                _experiment(**{"model.part": part}), tmp_path / part, data=_data()
            )


@pytest.mark.parametrize(
    ("cause", "idle"),
    [
        ({}, {"detector.rounds": 1, "detector.threshold": 0.5}),
        ({}, {"detector.steps": 7}),
        ({"loss.crf_weight": 0.0}, {"loss.crf_from": 0.25, "loss.crf_stride": 2}),
    ],
)
def test_options_without_effect_are_refused_by_name(cause, idle):
    acts = {"loss.crf_weight": 1.0, "masks.points": "found"}
    plain = _experiment(**{"loss.crf_from": 100 / 120, "loss.crf_window_px": 5})
    for allowed in ({**acts, **idle}, cause, {**cause, "detector.steps": 6}):
        pseudo_masks.check(methods.changed(plain, allowed))
    names = ", ".join(rf"--config\.{key}={value}" for key, value in idle.items())
    with pytest.raises(errors.ConfigError, match=rf"^{names}: .* at "):
        pseudo_masks.check(methods.changed(plain, {**cause, **idle}))
