"""Weights to start from: which are taken, which are new, which are refused."""

from pathlib import Path
import shutil

import chex
from etils import epath
import jax
import numpy as np
import pytest

from cellrec_jax import config, config_files, errors, hosts, methods, models
from cellrec_jax.io.console import Console
from cellrec_jax.train import start
from cellrec_jax.types import TrainState
from cellrec_jax.workdir import checkpoint, model


@pytest.mark.slow
def test_weights_of_another_run_are_taken_and_new_heads_named(trained):
    experiment = model.restore(trained).experiment
    method = methods.build(experiment, num_classes=2)
    state = start.make_state(experiment, method)
    params, _, line = start.start_from(
        trained, state.params, state.model_state, ["a", "b"]
    )
    old = model.restore(trained).params
    chex.assert_trees_all_equal(
        params["resnet"], jax.tree.map(np.asarray, old["resnet"])
    )
    assert "roi_head/cls/kernel" in line
    assert "resnet" not in line


@pytest.mark.slow
def test_weights_of_classes_are_not_taken_for_those_of_others(trained):
    """As many, but of another name; all the rest is taken."""
    experiment = model.restore(trained).experiment
    method = methods.build(experiment, num_classes=1)
    state = start.make_state(experiment, method)
    fresh = state.params, state.model_state
    *_, line = start.start_from(trained, *fresh, ["tumour"])
    assert "new" not in line
    params, _, line = start.start_from(trained, *fresh, ["stroma"])
    new = line.partition("new: ")[2].split(", ")
    assert {"roi_head/cls/kernel", "roi_head/cls/bias"} <= set(new)
    assert all(name.startswith("roi_head/") for name in new)
    chex.assert_trees_all_equal(
        params["roi_head"]["cls"], state.params["roi_head"]["cls"]
    )


def test_merge_takes_equal_shapes_only():
    fresh = {
        "a": np.zeros(2, np.float32),
        "b": {"c": np.zeros(3, np.float32)},
        "d": np.zeros(1, np.float32),
    }
    old = {"a": np.ones(2), "b": {"c": np.ones(4)}}
    merged, missed = start._merge(fresh, dict(start._leaves(old)))
    assert merged["a"].tolist() == [1, 1]
    assert merged["b"]["c"].tolist() == [0, 0, 0]
    assert missed == ["b/c", "d"]


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("c2c12_pseudo:small", []),  # finds cells of one class, whatever its name
        ("pdl1_map:small_unet", ["output/bias", "output/kernel"]),
        ("pdl1_point:small", ["classes/output/bias", "classes/output/kernel"]),
    ],
)
def test_weights_of_the_classes(name, weights):
    experiment = methods.freeze(config_files.load(name))
    made = model.Model(experiment, None, None, None, {"class_names": ["cell"]}, 1)
    assert sorted(start._class_weights(made)) == weights


def test_other_weights_are_refused_for_a_run_that_has_started():
    meta = {"init_from": str(Path("a").absolute())}
    start.check(None, meta)
    start.check(Path("a"), meta)
    with pytest.raises(errors.ConfigError, match="--init-from b: this run started"):
        start.check(Path("b"), meta)
    with pytest.raises(errors.ConfigError, match="fresh weights"):
        start.check(Path("b"), {"init_from": ""})


def test_a_shipped_model_is_remembered_wherever_the_package_lies(monkeypatch, tmp_path):
    meta = {"init_from": start.remembered(models.shipped()["ki67"])}
    moved = epath.Path(tmp_path) / "ki67.safetensors"
    moved.touch()
    monkeypatch.setattr(models, "FOLDER", epath.Path(tmp_path))
    start.check(moved, meta)
    assert start.recalled(meta["init_from"]) == moved
    with pytest.raises(errors.ConfigError, match="started from ki67"):
        start.check(epath.Path(tmp_path) / "phase.safetensors", meta)


def _state(step: int) -> TrainState:
    values = np.random.default_rng(step).normal(size=4000).astype(np.float32)
    return TrainState(
        step=np.int32(step),
        params={"w": values},
        model_state={},
        opt_state=(np.zeros(3),),
        ema_params={},
    )


def _cut(folder: Path) -> None:
    """Halves the files of a folder, as a power cut does."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _saved(workdir: Path, steps: tuple[int, ...]) -> None:
    with checkpoint.open_manager(workdir, config.CheckpointConfig()) as manager:
        for step in steps:
            checkpoint.save(manager, _state(step), {"of": step}, float(step))


def _resumed(workdir: Path) -> tuple[checkpoint.Saved | None, list[str]]:
    lines: list[str] = []
    console = Console(quiet=True)
    console.line = lines.append  # type: ignore[method-assign]
    with checkpoint.open_manager(workdir, config.CheckpointConfig()) as manager:
        found = start.resume(manager, _state(0), console)
        if found is not None:  # its step can be saved again
            checkpoint.save(manager, _state(7), {"of": 7}, 7.0)
            assert manager.latest_step() == manager.best_step() == 7
    return found, lines


@pytest.mark.parametrize("part", ["", "state", "meta", "metrics"])
def test_the_checkpoint_before_a_damaged_one_is_taken_and_told(tmp_path, part):
    _saved(tmp_path, (3, 5, 7))
    _cut(tmp_path / "checkpoints" / "7" / part)
    found, lines = _resumed(tmp_path)
    assert found is not None
    chex.assert_trees_all_equal(found.state, _state(5))
    assert found.meta == {"of": 5}
    (line,) = lines
    assert "step 7 is damaged: that of step 5 is taken" in line
    assert str(tmp_path / "checkpoints" / "damaged-7") in line
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert "damaged-7" in names
    found, lines = _resumed(tmp_path)
    assert found is not None
    chex.assert_trees_all_equal(found.state, _state(7))
    assert not lines  # what was set aside is behind


def test_of_damaged_ones_alone_the_newest_is_named_and_all_stay(tmp_path):
    _saved(tmp_path, (5, 7))
    for step in ("5", "7"):
        _cut(tmp_path / "checkpoints" / step / "state")
    with pytest.raises(errors.CheckpointError, match="checkpoints/7"):
        _resumed(tmp_path)
    assert checkpoint.complete_steps(tmp_path) == [5, 7]


def test_a_checkpoint_that_another_process_cannot_read_is_not_taken(
    tmp_path, monkeypatch
):
    _saved(tmp_path, (3, 5, 7))
    theirs = ["checkpoints/7: cannot be read", ""]

    def gather(content: object) -> list[object]:
        return [content, theirs.pop(0)] if isinstance(content, str) else [content]

    monkeypatch.setattr(hosts, "gather_json", gather)
    found, (line,) = _resumed(tmp_path)
    assert found is not None
    chex.assert_trees_all_equal(found.state, _state(5))
    assert "step 7 is damaged" in line
    assert not theirs


def test_no_checkpoint_is_none(tmp_path):
    assert _resumed(tmp_path) == (None, [])


def test_a_score_that_is_cut_is_named_to_who_only_reads(tmp_path):
    """What the message says to delete is enough."""
    _saved(tmp_path, (7,))
    _cut(tmp_path / "checkpoints" / "7" / "metrics")
    with pytest.raises(errors.CheckpointError, match="7/metrics: cannot be read"):
        checkpoint.latest_meta(tmp_path)
    shutil.rmtree(tmp_path / "checkpoints" / "7" / "metrics")
    assert checkpoint.latest_meta(tmp_path) == {"of": 7}
