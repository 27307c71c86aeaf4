"""A work directory from start to results, resumed, refused and interrupted."""

from collections.abc import Iterator
import contextlib
import dataclasses
import json
import os
from pathlib import Path
import shutil
import signal

import chex
import jax
import numpy as np
import pytest

from cellrec_jax import config, errors, methods, run
from cellrec_jax.data import arrays, sets
from cellrec_jax.evaluate import workdir as evaluation
from cellrec_jax.io.console import Console, Report
from cellrec_jax.workdir import checkpoint, model, writer


@pytest.fixture(scope="module")
def workdir(trained, tmp_path_factory) -> Path:
    """A copy of the finished run, to write to."""
    path = tmp_path_factory.mktemp("run") / "copy"
    shutil.copytree(trained, path)
    return path


@pytest.fixture(scope="module")
def experiment(trained) -> config.Experiment:
    """What the finished run was told to do."""
    return methods.from_json(json.loads((trained / "config.json").read_text()))


def test_everything_is_there(workdir):
    results = json.loads((workdir / "results.json").read_text())
    names = {"AP11", "AP", "recall", "F1@12px", "precision@12px", "recall@12px"}
    assert names | {"count_mae"} <= results["metrics"].keys()
    facts = results["run"]
    assert facts["step"] == 4
    assert 0 < facts["cells_kept"] < facts["cells_total"]
    assert facts["timing"]["steps"] == 4
    assert {"jax", "python", "cellrec_jax"} <= facts["versions"].keys()
    assert [r["step"] for r in writer.read_metrics(workdir / "metrics.jsonl")] == [
        1,
        2,
        3,
        4,
        4,
    ]
    assert sorted(p.name for p in (workdir / "checkpoints").iterdir()) == ["2", "4"]
    figures = {p.name for p in (workdir / "figures").iterdir()}
    assert {"loss.png", "precision_recall.png", "reliability.png"} <= figures
    assert "overlay_5.png" in figures
    rows = (workdir / "predictions" / "per_image.csv").read_text().splitlines()
    assert len(rows) == 2
    header = (workdir / "predictions" / "detections.csv").read_text().splitlines()[0]
    assert header == "image,x,y,score,class"


def test_a_finished_run_is_only_evaluated_again(trained, experiment, tmp_path, capsys):
    """By another rule, if wanted: how to measure may change after training."""
    workdir = shutil.copytree(trained, tmp_path / "copy")
    before = (workdir / "metrics.jsonl").read_bytes()
    rule = dataclasses.replace(experiment.eval, strict=True, beside="nearest")
    again = dataclasses.replace(experiment, eval=rule)
    code = run.train_and_evaluate(again, workdir, Console())
    assert code == 0
    assert "is trained already" in capsys.readouterr().out
    assert (workdir / "metrics.jsonl").read_bytes() == before
    results = json.loads((workdir / "results.json").read_text())
    assert results["run"]["timing"]["steps"] == 4  # kept from the training
    for name, protocol in {"F1@12px": "max", "F1(nearest)@12px": "nearest"}.items():
        assert results["metrics"][name]["protocol"] == protocol
        assert results["metrics"][name]["strict"] is True


@pytest.mark.slow
def test_thresholds_are_chosen_again_where_their_rule_changed(
    workdir, experiment, tmp_path, capsys
):
    """Without training, from the validation images; evaluation alone refuses it."""
    copy = shutil.copytree(workdir, tmp_path / "copy")
    fitted = model.restore(copy).meta["decode"]
    rule = dataclasses.replace(experiment.eval, threshold=0.25)
    test = sets.open_sets(experiment.data, 0).test
    with pytest.raises(errors.ConfigError, match="repeat its training command"):
        evaluation.evaluate_workdir(copy, test, Console(quiet=True), rule, {})
    again = dataclasses.replace(experiment, eval=rule)
    assert run.train_and_evaluate(again, copy, Console()) == 0
    assert "choosing the thresholds again" in capsys.readouterr().out
    restored = model.restore(copy)
    assert restored.meta["decode"]["thresholds"] == [0.25]
    assert "fixed by" in restored.threshold_lines()[0]
    found = json.loads((copy / "results.json").read_text())["metrics"]["F1@12px"]
    assert found["thresholds"] == {"tumour": 0.25}
    val = sets.open_sets(experiment.data, 0).val
    evaluation.renew_operating_points(copy, experiment.eval, val, Console(quiet=True))
    assert model.restore(copy).meta["decode"] == fitted
    best = dataclasses.replace(rule, weights="best")
    evaluation.renew_operating_points(copy, best, val, Console(quiet=True))
    for which in ("last", "best"):
        assert model.restore(copy, which).meta["decode"]["thresholds"] == [0.25]


def test_other_weights_for_a_finished_run_are_refused(workdir, experiment, tmp_path):
    with pytest.raises(errors.ConfigError, match="started from fresh weights"):
        run.train_and_evaluate(experiment, workdir, init_from=tmp_path)


@pytest.mark.parametrize(
    ("method", "key"),
    [
        ("multitask", "loss.radius_px"),
        ("estimate_mask", "detector.radius_px"),
        ("estimate_mask", "masks.disc_px"),
    ],
)
def test_circles_that_cover_the_training_images_are_refused(method, key):
    data = {"size_hw": (96, 128), "crop_hw": (64, 80)}
    plain = methods.freeze({"method": method, "data": data})
    partial = {"masks.points": "found"} if method == "estimate_mask" else {}

    def check(radius_px, **changes):
        one = methods.changed(plain, {**partial, key: radius_px, **changes})
        run.check(one, methods.build(one, 2))

    check(31.5)
    check(32.0, **{"data.crop_hw": (0, 0)})
    for changes, seen in (
        ({}, "crop_hw=64,80"),
        ({"data.crop_hw": (0, 0)}, "size_hw=96,128"),
    ):
        with pytest.raises(errors.ConfigError, match=rf"{key}=48\.0.*{seen} px"):
            check(48.0, **changes)


def test_rounds_that_are_refused_leave_the_work_directory_free(tmp_path):
    rounds = methods.freeze({"method": "heatmap_pu", "refine": {"rounds": 1}})
    changes = {"data.size_hw": (16, 16), "data.classes": "cell=positive+negative"}
    rounds = methods.changed(rounds, changes)
    with pytest.raises(errors.ConfigError, match=r"refine\.patch_px=27.*16,16"):
        run.train_and_evaluate(rounds, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_nan_stops_with_the_flags_to_change(tiny_experiment, tmp_path):
    wild = dataclasses.replace(
        tiny_experiment,
        optim=config.OptimConfig(learning_rate=1e30, weight_decay=1.0),
        checkpoint=config.CheckpointConfig(every=1),
    )
    with pytest.raises(errors.RunError, match=r"step \d; .*optim\.learning_rate"):
        run.train_and_evaluate(wild, tmp_path)
    for leaf in jax.tree.leaves(model.restore(tmp_path).params):
        assert np.isfinite(leaf).all()


class _Stopping(Console):
    """Sends a signal before a step ends."""

    def __init__(self, step: int) -> None:
        super().__init__(quiet=True)
        self.step = step

    @contextlib.contextmanager
    def training(self, start: int, total: int) -> Iterator[Report]:
        del total

        def report(step: int, *_: object) -> None:
            if step == self.step - 1:
                os.kill(os.getpid(), signal.SIGTERM)

        report(start)
        yield report


@pytest.mark.slow
def test_resumed_equals_uninterrupted_bitwise(tiny_experiment, tmp_path):
    """Stopped by SIGTERM, the second time where validation is due: all is the same."""
    experiment = dataclasses.replace(
        tiny_experiment,
        total_steps=6,
        checkpoint=config.CheckpointConfig(every=1000),
        eval=dataclasses.replace(tiny_experiment.eval, every=2),
    )
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    assert run.train_and_evaluate(experiment, straight) == 0
    for step in (3, 4):
        assert run.train_and_evaluate(experiment, stopped, _Stopping(step)) == 143
        assert model.restore(stopped).step == step
    assert writer.read_metrics(stopped / "metrics.jsonl")[-1]["step"] == 4
    assert run.train_and_evaluate(experiment, stopped) == 0
    found = [
        {step: _validated(workdir, step) for step in (2, 4, 6)}
        for workdir in (straight, stopped)
    ]
    assert found[0] == found[1]
    assert all("score" in metrics for metrics, _ in found[0].values())
    chex.assert_trees_all_equal(
        model.restore(straight).params, model.restore(stopped).params
    )
    assert model.restore(straight, "best").step == model.restore(stopped, "best").step
    steps = [row["step"] for row in writer.read_metrics(stopped / "metrics.jsonl")]
    assert steps == [1, 2, 2, 3, 4, 4, 5, 6, 6]
    timing = json.loads((stopped / "results.json").read_text())["run"]["timing"]
    assert (timing["from_step"], timing["steps"]) == (4, 2)


def _validated(workdir: Path, step: int) -> tuple[dict, dict]:
    """Metrics of a checkpoint and the operating point in it."""
    with checkpoint.open_manager(
        workdir, config.CheckpointConfig(), read_only=True
    ) as manager:
        meta = checkpoint.restore_meta(manager, step)
        return dict(manager.metrics(step)), meta["decode"]


@pytest.mark.slow
def test_withheld_labels_choose_the_threshold_of_a_run(
    tiny_experiment, tmp_path, capsys
):
    """And choose it again by another rule, in place of validation images."""
    changes = {"data.threshold_share": 0.5, "data.synthetic_val": 0}
    experiment = methods.changed(tiny_experiment, changes)
    whole = methods.changed(experiment, {"data.threshold_share": 0.0})
    number = sets.survey(sets.open_sets(whole.data, 0).train).num_kept
    assert run.train_and_evaluate(experiment, tmp_path, Console()) == 0
    said = capsys.readouterr().out
    restored = model.restore(tmp_path)
    decode = restored.meta["decode"]
    assert (decode["withheld"], decode["rule"]) == (True, "lee_liu")
    assert sum(decode["num_labels"]) + restored.meta["cells_kept"] == number
    assert f"{sum(decode['num_labels'])} labels of training images are withheld" in said
    assert not restored.meta["fit_pending"]
    rows = writer.read_metrics(tmp_path / "metrics.jsonl")
    assert "val/lee_liu@12px" in rows[-1]
    again = methods.changed(experiment, {"eval.threshold_rule": "known_share"})
    assert run.train_and_evaluate(again, tmp_path, Console(quiet=True)) == 0
    assert model.restore(tmp_path).meta["decode"]["rule"] == "known_share"


@pytest.mark.slow
def test_trains_from_arrays(tiny_experiment, tmp_path, rng):
    """The caller's own arrays, without files: five images, one class."""
    images = [rng.integers(0, 255, (70, 90, 3), dtype=np.uint8) for _ in range(5)]
    points = [rng.uniform(20, 60, (n, 2)).astype(np.float32) for n in (3, 1, 0, 2, 4)]
    source = arrays.from_arrays(images, points)
    spec = sets.evaluation_spec(tiny_experiment.data)
    split = sets.Split(source, source.image_ids, spec)
    none = sets.Split(source, (), spec)
    data = sets.Sets(split, none, split, ())
    assert run.train_and_evaluate(tiny_experiment, tmp_path, data=data) == 0
    assert model.restore(tmp_path).meta["decode"]["num_labels"] == [0]
