"""The patch classifier of a round is interrupted, and goes on as if it had not been."""

import contextlib
import os
import signal

import chex
import numpy as np
import pytest

from cellrec_jax.config import CheckpointConfig
from cellrec_jax.train import (
    checkpoint,
    interrupt,
    patch_classifier,
    round_classifier,
)
from cellrec_jax.train.console import Console

OPTIONS = patch_classifier.Options(network="small", epochs=4, batch_size=8)
EVERY_TWO_EPOCHS = CheckpointConfig(every=6, keep=2)
"""Of 20 patches: 3 steps an epoch."""


class Watched(Console):
    """Calls `then(epoch)` where progress would be shown; keeps the lines."""

    def __init__(self, then):
        super().__init__(quiet=True)
        self.then, self.lines = then, []

    def line(self, text):
        self.lines.append(text)

    @contextlib.contextmanager
    def training(self, *_):
        yield lambda epoch, *_: self.then(epoch)


def _train(folder, then=print):
    rng = np.random.default_rng(0)
    patches = rng.uniform(size=(20, 13, 13, 1)).astype(np.float32)
    positive = np.arange(20) % 3 == 0
    console = Watched(then)
    trained = round_classifier.train(
        patches, positive, 0.5, OPTIONS, folder, EVERY_TWO_EPOCHS, console
    )
    return trained, console.lines


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    trained, lines = _train(folder)
    assert checkpoint.complete_steps(folder) == [2, 4]
    assert lines == []
    return trained


def test_a_signal_ends_it_after_the_epoch_and_nothing_is_lost(tmp_path, uninterrupted):
    def press(epoch):
        if epoch == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(interrupt.Interrupted) as stop:
        _train(tmp_path, press)
    assert stop.value.exit_code == 143
    assert checkpoint.complete_steps(tmp_path) == [2, 3]
    seen = []
    trained, lines = _train(tmp_path, seen.append)
    assert lines == ["resumed at epoch 3 of 4"]
    assert seen == [4]
    chex.assert_trees_all_equal(trained, uninterrupted)


def test_after_a_kill_it_goes_on_at_the_last_checkpoint(tmp_path, uninterrupted):
    def die(epoch):
        if epoch == 3:
            raise MemoryError

    with pytest.raises(MemoryError):
        _train(tmp_path, die)
    trained, lines = _train(tmp_path)
    assert lines == ["resumed at epoch 2 of 4"]
    chex.assert_trees_all_equal(trained, uninterrupted)
    again, lines = _train(tmp_path, pytest.fail)
    assert lines == ["resumed at epoch 4 of 4"]
    chex.assert_trees_all_equal(again, uninterrupted)


def test_what_served_its_purpose_is_deleted(tmp_path):
    (tmp_path / "checkpoints" / "1").mkdir(parents=True)
    round_classifier.forget(tmp_path)
    round_classifier.forget(tmp_path)
    assert checkpoint.complete_steps(tmp_path) == []
