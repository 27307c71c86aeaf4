"""Methods with weights; restored from a finished run."""

import dataclasses
import shutil
from typing import Any, NamedTuple

import chex
import jax
import numpy as np
import pytest

from cellrec_jax import config, errors, methods
from cellrec_jax.io.console import Console
from cellrec_jax.train import start
from cellrec_jax.types import TrainState
from cellrec_jax.workdir import checkpoint, model, pixel_size

DECODE = {"thresholds": [0.25, 0.5], "min_distance": 3.0, "num_labels": [1, 2]}


def test_decode_is_in_px_of_the_network(tiny_experiment):
    meta = {
        "decode": DECODE,
        "native_hw": [2 * side for side in tiny_experiment.data.size_hw],
        "class_names": ["a", "b"],
    }
    made = model.Model(tiny_experiment, None, None, None, meta, 1)
    np.testing.assert_array_equal(made.decode.thresholds, np.float32([0.25, 0.5]))
    assert made.decode.min_distance == 1.5


@pytest.mark.parametrize(("mode", "distance"), [("squeeze", 3 / 8**0.5), ("pad", 0.75)])
def test_decode_where_sides_are_scaled_unlike(tiny_experiment, mode, distance):
    """By 1/2 and 1/4: squeezed cells shrink by the mean, padded images by 1/4."""
    data = dataclasses.replace(tiny_experiment.data, resize=mode)
    height, width = data.size_hw
    meta = {"decode": DECODE, "native_hw": [2 * height, 4 * width]}
    experiment = dataclasses.replace(tiny_experiment, data=data)
    made = model.Model(experiment, None, None, None, meta, 1)
    np.testing.assert_allclose(made.decode.min_distance, distance, rtol=1e-6)


def test_restored_model_carries_what_prediction_needs(trained):
    restored = model.restore(trained)
    assert restored.class_names == ("tumour",)
    assert restored.step == 4
    assert restored.meta["native_hw"] == [96, 128]
    assert restored.meta["mpp"] == 0.0
    assert restored.decode.thresholds.shape == (1,)
    assert restored.meta["decode"]["num_labels"][0] > 0
    best = model.restore(trained, "best")
    assert best.step in (2, 4)
    before = model.restore(trained, 2)
    assert before.step == 2
    changed = jax.tree.map(np.array_equal, before.params, restored.params)
    assert not all(jax.tree.leaves(changed))


class _Older(NamedTuple):
    """A state of versions that averaged parameters alone."""

    step: Any
    params: Any
    model_state: Any
    opt_state: Any
    ema_params: Any


@pytest.mark.parametrize(("older", "ema"), [(True, 0), (True, 0.9), (False, 0.9)])
def test_averages_come_with_their_statistics(tmp_path, older, ema):
    """Those of older versions with the last ones, and so do resumed runs."""
    tiny = {"width": 2, "window_px": 3, "patch_px": 13, "norm": "sync_batch"}
    experiment = methods.freeze(
        {"method": "heatmap_pu", "model": tiny, "optim": {"ema": float(ema)}}
    )
    method = methods.build(experiment, 1)
    spec = jax.eval_shape(lambda: start.make_state(experiment, method))

    def filled(value: float) -> TrainState:
        return jax.tree.map(lambda leaf: np.full(leaf.shape, value, leaf.dtype), spec)

    twos = filled(2.0)
    state = filled(3.0).replace(ema_params=twos.ema_params, ema_state=twos.ema_state)
    wanted = state.replace(ema_state=state.model_state) if older and ema else state
    if older:
        state = _Older(*(getattr(state, name) for name in _Older._fields))
    meta = {
        "config": config.to_json(experiment),
        "class_names": ["cell"],
        "decode": DECODE,
    }
    with checkpoint.open_manager(tmp_path, experiment.checkpoint) as manager:
        checkpoint.save(manager, state, meta)
    restored = model.restore(tmp_path)
    chex.assert_trees_all_equal(restored.params, wanted.evaluated.params)
    chex.assert_trees_all_equal(restored.model_state, wanted.evaluated.model_state)
    with checkpoint.open_manager(tmp_path, experiment.checkpoint) as manager:
        saved = start.resume(manager, filled(0.0), Console(quiet=True))
    assert saved is not None
    chex.assert_trees_all_equal(saved.state, wanted)
    assert saved.meta["decode"] == DECODE


@pytest.mark.parametrize("damage", ["truncate", "foreign"])
def test_a_damaged_checkpoint_is_one_line(trained, tmp_path, damage):
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    step = copy / "checkpoints" / "4"
    if damage == "truncate":
        for path in step.rglob("*"):
            if path.is_file() and path.stat().st_size > 100:
                path.write_bytes(path.read_bytes()[:50])
    else:
        shutil.rmtree(step)
        step.mkdir()
        (step / "weights.bin").write_bytes(b"other")
    with pytest.raises(errors.CheckpointError, match="checkpoints/4"):
        model.restore(copy)


def test_an_unfinished_run_says_that_nothing_is_fitted(trained, tmp_path):
    """Its thresholds are the default until training ends, and are not called else."""
    unfinished = tmp_path / "unfinished"
    shutil.copytree(trained, unfinished)
    shutil.rmtree(unfinished / "checkpoints" / "4")
    assert "not fitted yet at step 2" in model.restore(unfinished).threshold_lines()[0]


def test_a_glance_sees_what_a_checkpoint_holds(tmp_path):
    """With what was given since; nothing where there is no such step."""
    meta = {"config": {"eval": {}}, "mpp": 0.0, "decode": {"thresholds": [0.25]}}
    with checkpoint.open_manager(tmp_path, config.CheckpointConfig()) as manager:
        checkpoint.save(manager, TrainState(np.int32(3), {}, {}, {}, {}), meta)
    (tmp_path / pixel_size.FILE).write_text('{"mpp": 0.5}')
    assert model.glance(tmp_path, 3) == model.stored_meta(tmp_path)
    assert model.glance(tmp_path, 3)["mpp"] == 0.5
    assert model.glance(tmp_path, 4) == {}
