"""Rounds of pseudo labels on tiny images of bright blobs, some of them labelled."""

import dataclasses
import itertools
import json
import shutil

import chex
import jax
import numpy as np
import pytest

from cellrec_jax import config as config_lib
from cellrec_jax import errors, methods, run
from cellrec_jax.data import arrays, drawn, sets
from cellrec_jax.io.console import Console
from cellrec_jax.methods import heatmap_pu
from cellrec_jax.rounds import detector as round_detector
from cellrec_jax.rounds import labels as round_labels
from cellrec_jax.rounds import patch_classifier, relabel, remaining
from cellrec_jax.rounds import rounds as refine
from cellrec_jax.rounds.candidates import Candidates
from cellrec_jax.rounds.files import RoundFiles
from cellrec_jax.train import loop
from cellrec_jax.workdir import checkpoint, interrupt
from cellrec_jax.workdir import model as model_lib

SIZE_HW = (64, 80)
CELLS = np.array(
    [[12, 12], [12, 40], [12, 66], [32, 24], [34, 54], [52, 14], [52, 40], [50, 68]],
    np.float32,
)


def _image(seed: int) -> np.ndarray:
    """Blobs at CELLS + seed, on noise; [H, W, 1] uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(*(np.arange(n) + 0.5 for n in SIZE_HW), indexing="ij")
    points = CELLS + seed % 3
    blobs = [np.exp(-((y - py) ** 2 + (x - px) ** 2) / 18) for py, px in points]
    image = 40 + 180 * np.max(blobs, axis=0) + rng.normal(0, 4, SIZE_HW)
    return np.clip(image, 0, 255).astype(np.uint8)[..., None]


def _experiment(**sections) -> config_lib.Experiment:
    base = {
        "method": "heatmap_pu",
        "total_steps": 30,
        "batch_size": 4,
        "model": {
            "width": 4,
            "window_px": 3,
            "max_detections": 64,
            "patch_px": 13,
            "norm": "group",
        },
        "loss": {"sigma_px": 2.0, "radius_px": 6.0},
        "refine": {
            "rounds": 2,
            "match_px": 5.0,
            "network": "small",
            "patch_px": 13,
            "epochs": 5,
            "batch_size": 64,
            "learning_rate": 1e-3,
            "top_share": 0.2,
            "bottom_share": 0.2,
        },
        "data": {"size_hw": SIZE_HW, "keep_rate": 0.25, "max_cells": 32, "flip": False},
        "optim": {"name": "adam", "learning_rate": 1e-2, "schedule": "constant"},
        "eval": {"radius_px": 5.0, "threshold": 0.4, "bootstrap": 10},
        "checkpoint": {"every": 15},
    }
    changed = {name: {**base[name], **change} for name, change in sections.items()}
    return methods.freeze({**base, **changed})


def _train(experiment: config_lib.Experiment, *arguments, **named) -> loop.Outcome:
    return refine.train(experiment, methods.build(experiment, 1), *arguments, **named)


def _data(experiment: config_lib.Experiment) -> sets.Sets:
    source = arrays.from_arrays(
        [_image(seed) for seed in range(5)], [CELLS + seed % 3 for seed in range(5)]
    )
    spec = sets.evaluation_spec(experiment.data)
    training = dataclasses.replace(
        spec, training=True, keep_rate=experiment.data.keep_rate
    )
    ids = source.image_ids
    return sets.Sets(
        sets.Split(source, ids[:4], training),
        sets.Split(source, (), spec),
        sets.Split(source, ids[4:], spec),
        (),
    )


def _withholding(**refine):
    """Of 32 cells 12 train and 12 labels are withheld; the images with those."""
    experiment = _experiment(refine={"stop_below": 0.5, **refine})
    experiment = methods.changed(
        experiment, {"data.keep_rate": 0.75, "data.threshold_share": 0.5}
    )
    plain = _data(experiment)
    source, ids, spec = plain.train.source, plain.train.image_ids, plain.train.spec
    spec = dataclasses.replace(spec, withheld=0.5)
    own = sets.Split(
        drawn.withheld(source, spec),
        ids,
        plain.val.spec,
        labels=sets.Labels(withheld=True),
    )
    train = sets.Split(drawn.hidden(source, spec), ids, spec)
    return experiment, plain._replace(train=train, withheld=own)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, count_compilations):
    """A run of two rounds; tests must not write there."""
    workdir = tmp_path_factory.mktemp("rounds")
    experiment = _experiment()
    with count_compilations() as found:
        code = run.train_and_evaluate(experiment, workdir, data=_data(experiment))
    assert code == 0
    # Labels become more from round to round, and weights are restored.
    once = found.steps, found.predictions, found.names["jit(find)"]
    assert max(once) <= 1, found.names  # or known from an earlier test
    return workdir, experiment


def _summaries(workdir):
    return RoundFiles(workdir, {}).read_summaries()


@pytest.mark.slow
def test_every_round_leaves_its_labels_and_what_it_found(finished):
    workdir, _ = finished
    summaries = _summaries(workdir)
    assert [one["round"] for one in summaries] == [0, 1, 2]
    for number, one in enumerate(summaries):
        assert one["labels"]["given"] == 8  # ceil(0.25 * 8) of four images
        assert (workdir / "labels" / f"round_{number}.json").exists()
        assert (workdir / "rounds" / str(number) / "peaks.npz").exists()
        assert set(one["train"]) == {"precision", "recall", "F1"}
    assert not (workdir / "labels" / "round_3.json").exists()
    for before, after in itertools.pairwise(summaries):
        added = before["selected"]["positive"]
        assert (
            added
            == after["labels"]["pseudo_positive"] - before["labels"]["pseudo_positive"]
        )
        assert {
            "detector_s",
            "peaks_s",
            "patches_s",
            "prior_s",
            "classifier_s",
            "extract_s",
            "rank_s",
            "measure_s",
        } == set(before["seconds"])
    assert summaries[0]["selected"]["positive"] >= 1
    assert (workdir / "figures" / "labels_0.png").exists()
    assert (workdir / "figures" / "rounds.png").exists()


@pytest.mark.slow
def test_the_last_detector_is_the_run_s(finished):
    workdir, experiment = finished
    model = model_lib.restore(workdir)
    assert model.step == experiment.total_steps
    last = model_lib.restore(workdir / "rounds" / "2" / "seed_0")
    chex.assert_trees_all_equal(model.params, last.params)
    results = json.loads((workdir / "results.json").read_text())
    assert results["run"]["timing"]["detector_s"] > 0
    assert results["metrics"]["recall@5px"]["value"] >= 0.5


@pytest.mark.slow
def test_a_repeated_command_goes_on_where_it_was(finished, tmp_path):
    """Killed in round 2: rounds 0 and 1 are not trained again."""
    workdir, experiment = finished
    copy = tmp_path / "copy"
    shutil.copytree(workdir, copy)
    shutil.rmtree(copy / "checkpoints")
    shutil.rmtree(copy / "rounds" / "2")
    stamps = {
        path: path.stat().st_mtime_ns
        for path in copy.glob("rounds/[01]/**/*")
        if path.is_file()
    }
    code = run.train_and_evaluate(experiment, copy, data=_data(experiment))
    assert code == 0
    for path, stamp in stamps.items():
        assert path.stat().st_mtime_ns == stamp, path
    ours, theirs = (model_lib.restore(folder).params for folder in (copy, workdir))
    chex.assert_trees_all_close(ours, theirs, atol=1e-6)


@pytest.mark.slow
def test_withheld_labels_tell_every_round_what_is_left(tmp_path):
    """Killed in round 1, before the next labels were chosen, it ends alike."""
    experiment, data = _withholding(epochs=2)
    workdir, copy = tmp_path / "run", tmp_path / "copy"
    assert run.train_and_evaluate(experiment, workdir, data=data) == 0
    told = [one.get("remaining") for one in _summaries(workdir)]
    assert told[0]["withheld"] == told[1]["withheld"] == 12
    assert 6 <= told[0]["found"] <= 12  # training ignores their places, no peak does
    assert told[0]["added"] <= told[0]["chosen"][0]
    shutil.copytree(workdir, copy)
    for folder in ("checkpoints", "rounds/2", "labels/round_2"):
        shutil.rmtree(copy / folder)
    for file in ("labels/round_2.json", "rounds/1/summary.json"):
        (copy / file).unlink()
    assert run.train_and_evaluate(experiment, copy, data=data) == 0
    assert [one.get("remaining") for one in _summaries(copy)] == told
    last = "labels/round_2.json"
    assert (copy / last).read_bytes() == (workdir / last).read_bytes()


@pytest.mark.slow
def test_rounds_end_where_no_cells_are_left(tmp_path, monkeypatch):
    """The first detector is the run's, and a repeated command trains nothing."""
    experiment, data = _withholding(epochs=1)
    experiment = dataclasses.replace(experiment, total_steps=6)
    monkeypatch.setattr(remaining, "number_to_add", lambda *_: 0)
    assert run.train_and_evaluate(experiment, tmp_path, data=data) == 0
    (summary,) = _summaries(tmp_path)
    assert summary["remaining"]["chosen"][0] > summary["remaining"]["added"] == 0
    assert summary["selected"]["negative"] == 0
    assert not (tmp_path / "labels" / "round_1.json").exists()
    before = (tmp_path / "checkpoints").stat().st_mtime_ns
    assert run.train_and_evaluate(experiment, tmp_path, data=data) == 0
    assert (tmp_path / "checkpoints").stat().st_mtime_ns == before


def test_a_known_share_tells_what_a_withheld_label_stands_for():
    """20 cells of 32 are unknown to training, 12 withheld labels among them."""
    experiment, data = _withholding()
    images = refine._load(data, Console(quiet=True))
    assert [len(points) for points in images.held.points_yx] == [3, 3, 3, 3]
    assert np.asarray(images.train.images.valid).all()
    given = {image_id: round_labels.given(CELLS[:3]) for image_id in "abcd"}
    unknown = refine._with_share(images.held, experiment, images, given)
    assert unknown.cells_each == 0
    experiment = methods.changed(experiment, {"eval.threshold_rule": "known_share"})
    known = refine._with_share(images.held, experiment, images, given)
    assert known.cells_each == pytest.approx(20 / 12)


def test_rounds_need_withheld_labels_to_stop_by(tmp_path):
    """Refused before anything is written."""
    experiment, data = _withholding()
    with pytest.raises(errors.ConfigError, match=r"threshold_share"):
        run.train_and_evaluate(experiment, tmp_path, data=data._replace(withheld=None))
    few = data.withheld._replace(image_ids=data.withheld.image_ids[:3])
    train = data.train._replace(image_ids=few.image_ids)
    with pytest.raises(errors.ConfigError, match=r"here are 9"):
        run.train_and_evaluate(
            experiment, tmp_path, data=data._replace(withheld=few, train=train)
        )
    assert not (tmp_path / "labels").exists()


@pytest.mark.slow
def test_rounds_may_be_added(finished, tmp_path):
    """The detectors of those that are done are not trained again."""
    workdir, experiment = finished
    more = methods.changed(experiment, {"refine.rounds": 3})
    copy = shutil.copytree(workdir, tmp_path / "copy")
    stamps = {
        path: path.stat().st_mtime_ns
        for path in copy.glob("rounds/*/seed_0/checkpoints/**/*")
        if path.is_file()
    }
    assert run.train_and_evaluate(more, copy, data=_data(more)) == 0
    for path, stamp in stamps.items():
        assert path.stat().st_mtime_ns == stamp, path
    assert [one["round"] for one in _summaries(copy)] == [0, 1, 2, 3]
    ours, last = (
        model_lib.restore(folder).params
        for folder in (copy, copy / "rounds" / "3" / "seed_0")
    )
    chex.assert_trees_all_equal(ours, last)
    assert (copy / "results.json").exists()
    before = (copy / "checkpoints").stat().st_mtime_ns
    assert run.train_and_evaluate(more, copy, data=_data(more)) == 0
    assert (copy / "checkpoints").stat().st_mtime_ns == before
    with pytest.raises(errors.ConfigError, match=r"refine.rounds \(3 there, 2 now\)"):
        run.train_and_evaluate(experiment, copy, data=_data(experiment))


@pytest.mark.slow
def test_labels_that_a_person_edited_are_trained_on(finished, tmp_path):
    workdir, experiment = finished
    experiment = methods.changed(experiment, {"refine.rounds": 1, "refine.pause": True})
    copy = tmp_path / "copy"
    shutil.copytree(workdir, copy)
    for folder in ("checkpoints", "rounds/1", "rounds/2"):
        shutil.rmtree(copy / folder)
    (copy / "labels" / "round_2.json").unlink()
    (copy / "config.json").unlink()
    path = copy / "labels" / "round_1.json"
    content = json.loads(path.read_text())
    point = {"x": 12.0, "y": 12.0, "origin": "given"}
    content["images"]["000000"]["points"].append(point)
    path.write_text(json.dumps(content))
    _train(experiment, copy, _data(experiment), Console(quiet=True))
    (before, after) = _summaries(copy)[0], _summaries(copy)[1]
    assert after["labels"]["given"] == before["labels"]["given"] + 1
    # Once trained on, the file is history.
    content["images"]["000000"]["points"].pop()
    path.write_text(json.dumps(content))
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(errors.ConfigError, match="after round 1 had begun"):
        _train(experiment, copy, _data(experiment), Console(quiet=True))


@pytest.mark.slow
def test_edits_of_a_finished_run_are_refused_and_cost_nothing(finished, tmp_path):
    workdir, experiment = finished
    copy = shutil.copytree(workdir, tmp_path / "copy")
    path = copy / "labels" / "round_1.json"
    content = json.loads(path.read_text())
    content["images"]["000000"]["points"].pop()
    path.write_text(json.dumps(content))
    kept = {
        name: (copy / name).read_bytes() for name in ("config.json", "results.json")
    }
    for rounds in (2, 3):
        more = methods.changed(experiment, {"refine.rounds": rounds})
        with pytest.raises(errors.ConfigError, match="after round 1 had begun"):
            run.train_and_evaluate(more, copy, data=_data(more))
    assert {name: (copy / name).read_bytes() for name in kept} == kept


@pytest.mark.parametrize("made", [True, False])
def test_a_refused_start_leaves_no_labels(tmp_path, made):
    """Else the mended one would be of another configuration than theirs."""
    experiment = dataclasses.replace(_experiment(), batch_size=6)
    workdir = tmp_path / "run"
    if made:
        workdir.mkdir()
    with pytest.raises(errors.ConfigError, match=r"batch_size=8"):
        run.train_and_evaluate(experiment, workdir, data=_data(experiment))
    assert [path.name for path in tmp_path.rglob("*")] == ["run"] * made


def test_several_classes_are_refused_before_anything_is_written(tmp_path):
    experiment = _experiment()
    data = _data(experiment)
    source = dataclasses.replace(data.train.source, class_names=("a", "b"))
    data = data._replace(train=data.train._replace(source=source))
    with pytest.raises(errors.ConfigError, match=r"one class, not 2"):
        run.train_and_evaluate(experiment, tmp_path, data=data)
    assert not (tmp_path / "config.json").exists()
    assert not (tmp_path / "labels").exists()


@pytest.mark.slow
def test_of_several_seeds_the_chosen_ones_are_kept(tmp_path):
    refining = {"rounds": 1, "epochs": 1, "top_share": 0.9, "seeds_per_round": 2}
    experiment = dataclasses.replace(_experiment(refine=refining), total_steps=15)
    data, quiet = _data(experiment), Console(quiet=True)
    outcome = _train(experiment, tmp_path, data, quiet)
    first, second = (summary["seed"] for summary in _summaries(tmp_path))
    assert {first, second} <= {0, 1}
    rounds = tmp_path / "rounds"
    assert checkpoint.complete_steps(rounds / "0" / f"seed_{first}")
    assert not checkpoint.complete_steps(rounds / "0" / f"seed_{1 - first}")
    chosen = model_lib.restore(rounds / "1" / f"seed_{second}").params
    chex.assert_trees_all_equal(model_lib.restore(tmp_path).params, chosen)
    # Killed before the end, it goes on without the seeds that are gone.
    shutil.rmtree(tmp_path / "checkpoints")
    again = _train(experiment, tmp_path, data, quiet)
    assert again.timing["from_step"] == 15 == int(outcome.state.step)


@pytest.mark.slow
def test_every_round_starts_from_the_weights_of_the_first(finished, tmp_path):
    workdir, experiment = finished
    copy = shutil.copytree(workdir, tmp_path / "copy")
    files = RoundFiles(copy, {})
    assert round_detector.started_from(files, None) is None
    with pytest.raises(errors.ConfigError, match=r"--init-from .* fresh weights"):
        round_detector.started_from(files, workdir)
    experiment = methods.changed(
        experiment, {"total_steps": 15, "refine.rounds": 1, "refine.epochs": 1}
    )
    moved = tmp_path / "moved"
    moved.mkdir()
    data, console = _data(experiment), Console(quiet=True)
    _train(experiment, moved, data, console, init_from=workdir)
    files = RoundFiles(moved, {})
    assert round_detector.started_from(files, None) == workdir.absolute()
    assert round_detector.started_from(files, workdir) == workdir.absolute()


@pytest.mark.slow
def test_a_warm_start_takes_the_last_rounds_weights(tmp_path):
    """Killed inside round 1 and moved, it goes on from its own checkpoint."""
    experiment = _experiment(
        refine={"warm_start": True, "rounds": 1, "epochs": 1, "top_share": 0.9}
    )
    workdir, data = tmp_path / "run", _data(experiment)
    _train(experiment, workdir, data, Console(quiet=True))
    first, second = (RoundFiles(workdir, {}).detector(k, 0) for k in (0, 1))
    assert checkpoint.latest_meta(first)["init_from"] == ""
    assert checkpoint.latest_meta(second)["init_from"] == str(first.absolute())
    moved = shutil.move(workdir, tmp_path / "moved")
    last = moved / second.relative_to(workdir) / "checkpoints" / "30"
    wanted = model_lib.restore(moved).params
    for folder in (last, moved / "checkpoints"):
        shutil.rmtree(folder)
    for name in ("summary.json", "peaks.npz"):
        (moved / "rounds" / "1" / name).unlink()
    outcome = _train(experiment, moved, data, Console(quiet=True))
    assert outcome.timing["from_step"] == 15
    chex.assert_trees_all_close(model_lib.restore(moved).params, wanted, atol=1e-6)


@pytest.mark.slow
def test_pause_stops_before_the_next_round(tmp_path):
    experiment = _experiment(
        refine={"pause": True, "rounds": 1, "epochs": 1, "top_share": 0.9}
    )
    train = (experiment, tmp_path, _data(experiment), Console(quiet=True))
    outcome = _train(*train)
    assert (outcome.paused, outcome.exit_code) == (True, 0)
    assert (tmp_path / "labels" / "round_1.json").exists()
    assert not (tmp_path / "rounds" / "1").exists()
    assert not checkpoint.complete_steps(tmp_path)
    assert _train(*train).paused is False
    assert len(_summaries(tmp_path)) == 2


def test_labels_reach_training_as_cells_and_background():
    experiment = _experiment()
    data = _data(experiment)
    labels = {
        image_id: round_labels.ImageLabels(
            CELLS[:3],
            ("given", "pseudo_positive", "pseudo_negative"),
            np.array([0, 1, 1], np.int32),
            np.array([np.nan, 1, -1], np.float32),
        )
        for image_id in data.train.image_ids
    }
    split = relabel.with_labels(data.train, labels)
    loaded = sets.load_train(split)
    assert loaded.survey.num_kept == 12  # all of them, whatever the keep rate
    kept = loaded.images.labels[0][loaded.images.points_mask[0]]
    np.testing.assert_array_equal(kept, [0, 0, heatmap_pu.BACKGROUND])


@pytest.mark.slow
def test_classifier_of_the_model_is_trained_and_decides(tmp_path):
    """The comparison with Yang et al.: no rounds, but a second network."""
    experiment = _experiment(
        refine={"rounds": 0, "epochs": 2}, model={"classifier": "small"}
    )
    code = run.train_and_evaluate(experiment, tmp_path, data=_data(experiment))
    assert code == 0
    model = model_lib.restore(tmp_path)
    fresh = model_lib.restore(tmp_path / "rounds" / "0" / "seed_0")
    pairs = zip(
        jax.tree.leaves(model.params["classifier"]),
        jax.tree.leaves(fresh.params["classifier"]),
        strict=True,
    )
    moved = [np.any(np.asarray(a) != np.asarray(b)) for a, b in pairs]
    assert any(moved)
    assert not (tmp_path / "labels" / "round_1.json").exists()


@pytest.mark.slow
def test_most_peaks_choose_among_seeds(tmp_path):
    experiment = _experiment(refine={"rounds": 0, "seeds_per_round": 2})
    experiment = dataclasses.replace(experiment, total_steps=6)
    data = _data(experiment)
    images = refine._load(data, Console(quiet=True))
    files = RoundFiles(tmp_path, refine._sizes(images.train))
    labels = {
        image_id: round_labels.given(CELLS[:2]) for image_id in data.train.image_ids
    }
    method = methods.build(experiment, 1)
    job = round_detector.Job(
        experiment, method, files, images, Console(quiet=True), None
    )
    found = round_detector.train_round(job, labels, 0)
    counts = []
    for seed in (0, 1):
        model = model_lib.restore(files.detector(0, seed))
        counts.append(len(relabel.find_candidates(model, images.train).image))
    assert len(found.candidates.image) == max(counts)
    assert found.model.experiment.seed == int(np.argmax(counts))


@pytest.mark.slow
def test_wide_patches_at_lower_peaks(tmp_path):
    """A round with the options for few labels selects among more candidates."""
    wide = {
        "rounds": 1,
        "pause": True,
        "candidate_threshold": 0.4,
        "patch_px": 26,
        "patch_step": 2,
        "patch_border": "reflect",
        "patch_values": "standard",
        "turns": True,
    }
    experiment = _experiment(refine=wide, eval={"threshold": 0.985})
    data, quiet = _data(experiment), Console(quiet=True)
    assert _train(experiment, tmp_path, data, quiet).paused
    images = refine._load(data, quiet)
    files = RoundFiles(tmp_path, refine._sizes(images.train))
    model = model_lib.restore(files.detector(0, experiment.seed))
    detections = relabel.find_candidates(model, images.train)
    candidates = files.read_candidates(0)
    assert len(candidates.image) > len(detections.image)
    assert 0.4 <= candidates.heights.min() < 0.985 <= detections.heights.min()
    labels = files.read_labels(1)
    added = [origin for own in labels.values() for origin in own.origins]
    assert {round_labels.POSITIVE, round_labels.NEGATIVE} <= set(added)


def test_images_with_more_peaks_than_are_kept_are_told():
    image = np.repeat(np.int32([0, 1, 2]), [3, 4, 4])
    peaks = Candidates(image, np.zeros((11, 2), np.float32), np.ones(11, np.float32))
    assert round_detector._notes(peaks, 5) == ()
    (note,) = round_detector._notes(peaks, 4)
    assert note.startswith("2 training images have 4 peaks")
    assert "model.max_detections" in note
    nothing = Candidates(*(values[:0] for values in peaks))
    assert round_detector._notes(nothing, 4) == ()


@pytest.mark.slow
def test_images_of_all_sorts(tmp_path):
    """Another size, another bit depth, one value, no label: a round goes on."""
    larger = np.repeat(np.repeat(_image(1), 2, axis=0), 2, axis=1)
    shots = [
        (_image(0), CELLS),
        (larger.astype(np.uint16) * 257, (CELLS + 1) * 2),
        (np.full((*SIZE_HW, 1), 7, np.uint8), CELLS[:0]),
        (_image(2), CELLS[:0]),
        (_image(3), CELLS),
    ]
    experiment = _experiment(refine={"rounds": 1, "pause": True})
    plain = _data(experiment)
    source = arrays.from_arrays(*zip(*shots, strict=True))
    data = plain._replace(
        train=plain.train._replace(source=source, image_ids=source.image_ids[:4]),
        val=plain.val._replace(source=source),
        test=plain.test._replace(source=source, image_ids=source.image_ids[4:]),
    )
    (warning,) = refine._blank_lines(refine._load(data, Console(quiet=True)).train)
    assert warning.startswith("warning: 1 of 4 training images (such as 000002) have")
    assert _train(experiment, tmp_path, data, Console(quiet=True)).paused
    (summary,) = _summaries(tmp_path)
    assert summary["labels"]["given"] == 4
    assert summary["selected"]["positive"] >= 1
    sizes = dict.fromkeys(source.image_ids[:4], SIZE_HW)
    sizes[source.image_ids[1]] = (128, 160)
    labels = RoundFiles(tmp_path, sizes).read_labels(1)
    for image_id, size_hw in sizes.items():
        points_yx = labels[image_id].points_yx
        assert ((points_yx >= 0) & (points_yx < size_hw)).all()
    # The larger image's labels are px of its own.
    assert labels[source.image_ids[1]].points_yx.max() > max(SIZE_HW)


def test_what_rounds_cannot_do_is_refused():
    with pytest.raises(errors.ConfigError, match=r"refine.patch_px=65: .*64,80"):
        refine.check(_experiment(refine={"patch_px": 65}))
    judge = {"classifier": "small", "patch_px": 65}
    with pytest.raises(errors.ConfigError, match=r"model.patch_px=65: .*64,80"):
        refine.check(_experiment(model=judge))


def test_interruption_is_passed_on(tmp_path, monkeypatch):
    experiment = _experiment()

    monkeypatch.setattr(loop, "train", lambda *_: loop.Outcome(None, {}, 143, {}))
    outcome = _train(experiment, tmp_path, _data(experiment), Console(quiet=True))
    assert outcome.exit_code == 143
    assert checkpoint.complete_steps(tmp_path) == []


@pytest.mark.slow
def test_a_signal_while_the_classifier_trains_ends_the_run_until_repeated(
    finished, tmp_path, monkeypatch
):
    """The round's detector is not trained again, and the result is the same."""
    workdir, experiment = finished

    def stop(*_):
        raise interrupt.Interrupted(143)

    with monkeypatch.context() as patch:
        patch.setattr(patch_classifier, "train_in", stop)
        code = run.train_and_evaluate(experiment, tmp_path, data=_data(experiment))
    assert code == 143
    assert (tmp_path / "rounds" / "0" / "peaks.npz").exists()
    assert not (tmp_path / "labels" / "round_1.json").exists()
    code = run.train_and_evaluate(experiment, tmp_path, data=_data(experiment))
    assert code == 0
    last = f"labels/round_{experiment.options.refine.rounds}.json"
    assert (tmp_path / last).read_bytes() == (workdir / last).read_bytes()
    assert not checkpoint.complete_steps(tmp_path / "rounds" / "0" / "classifier")
