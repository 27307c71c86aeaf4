"""Checkpoints: which are kept, complete or not there, asynchronous or not."""

import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.config import CheckpointConfig
from cellrec_jax.types import TrainState
from cellrec_jax.workdir import checkpoint


def _state(step: int) -> TrainState:
    return TrainState(
        step=jnp.int32(step),
        params={"w": jnp.arange(3.0) * step},
        model_state={},
        opt_state=(jnp.zeros(3),),
        ema_params={},
    )


@pytest.mark.parametrize("asynchronous", [False, True])
def test_latest_and_best_are_kept_and_restored(tmp_path, asynchronous):
    config = CheckpointConfig(keep=2, asynchronous=asynchronous)
    scores = {1: None, 2: 0.9, 3: None, 4: 0.5, 5: None, 6: None}
    with checkpoint.open_manager(tmp_path, config) as manager:
        for step, score in scores.items():
            checkpoint.save(manager, _state(step), {"classes": ["a"]}, score)
        manager.wait_until_finished()
    with checkpoint.open_manager(tmp_path, config, read_only=True) as manager:
        assert sorted(manager.all_steps()) == [2, 5, 6]
        assert manager.best_step() == 2
        saved = checkpoint.restore(manager, _state(0), 6)
        assert checkpoint.restore_meta(manager, 6) == {"classes": ["a"]}
    assert int(saved.state.step) == 6
    np.testing.assert_array_equal(saved.state.params["w"], [0, 6, 12])
    assert saved.meta == {"classes": ["a"]}


def test_parts_are_restored_without_the_rest(tmp_path):
    """Orbax itself passes over a part of another shape, or one that is not there."""
    with checkpoint.open_manager(tmp_path, CheckpointConfig()) as manager:
        checkpoint.save(manager, _state(2), {})
    fine = {"params": {"w": jnp.zeros(3)}, "model_state": {}}
    with checkpoint.open_manager(tmp_path, CheckpointConfig(), read_only=True) as read:
        found = checkpoint.restore_parts(read, fine, 2)
        assert found.keys() == fine.keys()
        np.testing.assert_array_equal(found["params"]["w"], [0, 2, 4])
        for other in ({"w": jnp.zeros(2)}, {"w": jnp.zeros(3), "v": jnp.zeros(3)}):
            with pytest.raises(errors.CheckpointError, match="checkpoints/2"):
                checkpoint.restore_parts(read, {**fine, "params": other}, 2)


def test_the_best_of_several_is_found(tmp_path):
    with checkpoint.open_manager(tmp_path, CheckpointConfig(keep=3)) as manager:
        for step, score in enumerate((0.5, 0.9, 0.1), start=1):
            checkpoint.save(manager, _state(step), {}, score)
        manager.wait_until_finished()
        assert sorted(manager.all_steps()) == [1, 2, 3]
        assert manager.best_step() == 2


def test_saving_a_step_twice_keeps_the_first(tmp_path):
    with checkpoint.open_manager(tmp_path, CheckpointConfig()) as manager:
        checkpoint.save(manager, _state(1), {"n": 1})
        checkpoint.save(manager, _state(1), {"n": 2})
        assert checkpoint.restore_meta(manager, 1) == {"n": 1}


def test_a_half_written_save_is_ignored_and_cleaned(tmp_path):
    config = CheckpointConfig()
    with checkpoint.open_manager(tmp_path, config) as manager:
        checkpoint.save(manager, _state(1), {})
    half = tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp-123"
    half.mkdir()
    (half / "junk").write_text("x")
    with checkpoint.open_manager(tmp_path, config) as manager:
        assert manager.latest_step() == 1
        checkpoint.save(manager, _state(2), {})
        assert manager.latest_step() == 2
    assert not half.exists()  # Orbax cleans in a thread of its own


def test_another_models_checkpoint_is_refused(tmp_path):
    with checkpoint.open_manager(tmp_path, CheckpointConfig()) as manager:
        checkpoint.save(manager, _state(1), {})
        other = _state(0).replace(params={"v": jnp.zeros(2)})
        with pytest.raises(errors.CheckpointError, match="checkpoints/1"):
            checkpoint.restore(manager, other, 1)


def test_reading_an_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(errors.CheckpointError, match="train first with --workdir"):
        checkpoint.open_manager(tmp_path, CheckpointConfig(), read_only=True)


def test_a_full_disk_is_one_line_and_keeps_what_was_saved(tmp_path, monkeypatch):
    with checkpoint.open_manager(tmp_path, CheckpointConfig()) as manager:
        checkpoint.save(manager, _state(1), {})

        def full(*_args, **_kwargs):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(manager, "save", full)
        with pytest.raises(errors.RunError, match=r"No space left .* earlier"):
            checkpoint.save(manager, _state(2), {})
        assert manager.all_steps() == [1]
