"""The classifier of a round: its prior, and that it goes on after an interruption."""

import contextlib
import dataclasses
import functools
import os
import signal

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.config import CheckpointConfig
from cellrec_jax.io.console import Console
from cellrec_jax.losses import pu
from cellrec_jax.methods.heatmap_pu.options import RefineOptions
from cellrec_jax.rounds import classifier as round_classifier
from cellrec_jax.rounds import patch_classifier
from cellrec_jax.rounds.candidates import POSITIVE, UNLABELED
from cellrec_jax.workdir import checkpoint, interrupt

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
    trained, seconds = round_classifier.train(
        patches, positive, 0.5, OPTIONS, folder, EVERY_TWO_EPOCHS, console
    )
    return trained, console.lines, seconds


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    trained, lines, _ = _train(folder)
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
    with checkpoint.open_manager(tmp_path, EVERY_TWO_EPOCHS) as manager:
        before = checkpoint.restore_meta(manager, 3)["seconds"]
    seen = []
    trained, lines, seconds = _train(tmp_path, seen.append)
    assert seconds > before > 0
    assert lines == ["resumed at epoch 3 of 4"]
    assert seen == [4]
    chex.assert_trees_all_equal(trained, uninterrupted)


def test_a_signal_in_the_last_epoch_counts(tmp_path, uninterrupted):
    def press(epoch):
        if epoch == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(interrupt.Interrupted) as stop:
        _train(tmp_path, press)
    assert stop.value.exit_code == 130
    trained, _, _ = _train(tmp_path, pytest.fail)
    chex.assert_trees_all_equal(trained, uninterrupted)


def test_after_a_kill_it_goes_on_at_the_last_checkpoint(tmp_path, uninterrupted):
    def die(epoch):
        if epoch == 3:
            raise MemoryError

    with pytest.raises(MemoryError):
        _train(tmp_path, die)
    trained, lines, _ = _train(tmp_path)
    assert lines == ["resumed at epoch 2 of 4"]
    chex.assert_trees_all_equal(trained, uninterrupted)
    again, lines, _ = _train(tmp_path, pytest.fail)
    assert lines == ["resumed at epoch 4 of 4"]
    chex.assert_trees_all_equal(again, uninterrupted)


def test_what_served_its_purpose_is_deleted(tmp_path):
    (tmp_path / "checkpoints" / "1").mkdir(parents=True)
    round_classifier.forget(tmp_path)
    round_classifier.forget(tmp_path)
    assert checkpoint.complete_steps(tmp_path) == []


def _patches_of_two_places(num_positive, num_unlabeled, num_hidden):
    """Cells lie at 3, background at 0; the first unlabelled ones are cells."""
    num = num_positive + num_unlabeled
    patches = np.random.default_rng(0).normal(0, 0.1, (num, 2, 1, 1))
    patches[: num_positive + num_hidden] += 3.0
    kinds = [POSITIVE] * num_positive + [UNLABELED] * num_unlabeled
    return patches, np.array(kinds, np.int8)


def test_the_prior_can_be_fixed_counted_or_estimated():
    """A quarter of the unlabelled ones are cells: 0.25, but 75 / 120 = 0.625 of all."""
    patches, kinds = _patches_of_two_places(60, 60, 15)
    for change, low, high in (
        ({"prior": 0.3}, 0.3, 0.3),
        ({"unlabeled_share": 0.25}, 75 / 120, 75 / 120),
        ({"prior_rule": "penl1"}, 0.15, 0.35),
    ):
        config = dataclasses.replace(RefineOptions(), **change)
        prior, notes = round_classifier.prior_of(patches, kinds, config, 0)
        assert low <= prior <= high
        assert notes == ()


def test_the_estimated_prior_makes_the_risk_unbiased():
    """Of a classifier that is right, the risk is 0 by the share of the unlabelled."""
    kinds = np.array([POSITIVE] * 60 + [UNLABELED] * 60)
    scores = jnp.where(np.arange(120) < 75, 9.0, -9.0)
    masks = jnp.asarray(kinds == POSITIVE), jnp.asarray(kinds == UNLABELED)
    form = functools.partial(pu.pu_risk, estimator="unbiased", surrogate="zero_one")
    risk = jax.jit(form)
    np.testing.assert_allclose(risk(scores, *masks, 15 / 60).risk, 0.0, atol=1e-6)
    np.testing.assert_allclose(
        risk(scores, *masks, 75 / 120).risk, 0.25 - 0.625, atol=1e-6
    )


@pytest.mark.parametrize(
    ("num_positive", "spread", "reason"),
    [(3, 1.0, "too few for 5 folds"), (10, 0.0, "no kernel width fits")],
)
def test_a_prior_that_cannot_be_estimated_is_counted(num_positive, spread, reason):
    patches, kinds = _patches_of_two_places(num_positive, 30, 0)
    config = dataclasses.replace(
        RefineOptions(), prior_rule="penl1", unlabeled_share=0.5
    )
    prior, (note,) = round_classifier.prior_of(spread * patches, kinds, config, 0)
    assert prior == pytest.approx((num_positive + 15) / (num_positive + 30))
    for part in (reason, "refine.prior_rule=penl1", "--config.refine.prior "):
        assert part in note
