"""Training of the classifier of patches, on spots that it has to tell from noise."""

import contextlib
import dataclasses
import os
import signal

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.config import CheckpointConfig
from cellrec_jax.io.console import Console
from cellrec_jax.losses import pu
from cellrec_jax.methods import patch_reader
from cellrec_jax.methods.refine_options import RefineOptions
from cellrec_jax.metrics import ranking
from cellrec_jax.nn import patch_net
from cellrec_jax.rounds import patch_classifier
from cellrec_jax.workdir import checkpoint, interrupt

SIDE_PX = 13
COUNT = 40
PRIOR = 0.5
OPTIONS = RefineOptions(
    network="small", epochs=25, batch_size=16, learning_rate=1e-3, weight_decay=1e-4
)
OPTIONS_OF_ALL_SEEDS = dataclasses.replace(OPTIONS, epochs=1)
"""As training compiles them."""


@pytest.fixture(autouse=True)
def few_patches_a_call(monkeypatch):
    monkeypatch.setattr(patch_classifier, "EXTRACT_BATCH", 16)


def spots() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Patches, labels of half of the cells, and which are cells (every other one)."""
    rng = np.random.default_rng(3)
    patches = rng.uniform(0.3, 0.5, (COUNT, SIDE_PX, SIDE_PX, 1)).astype(np.float32)
    patches[::2, 4:8, 5:10] += 0.4
    number = np.arange(COUNT)
    return patches, number % 4 == 0, number % 2 == 0


@pytest.fixture(scope="module")
def trained() -> patch_classifier.Trained:
    patches, positive, _ = spots()
    return patch_classifier.train(patches, positive, PRIOR, OPTIONS)


def test_unlabelled_cells_are_found(trained):
    patches, positive, is_cell = spots()
    scores, features = patch_classifier.extract(trained.params, patches, OPTIONS)
    assert features.shape == (COUNT, 576)
    assert ranking.auc(np.asarray(scores)[~positive], is_cell[~positive]) > 0.99
    assert trained.losses.shape == (OPTIONS.epochs,)
    assert trained.losses.min() < 0.5 * trained.losses[0]


def test_features_do_not_depend_on_how_a_patch_lies(trained):
    """The mean over the orientations, where one alone differs."""
    patches, _, _ = spots()
    turning = dataclasses.replace(OPTIONS, turns=True)
    for options, same in ((turning, True), (OPTIONS, False)):
        before, after = (
            patch_classifier.extract(trained.params, some, options)
            for some in (patches, np.rot90(patches, axes=(1, 2)))
        )
        for one, other in zip(before, after, strict=True):
            assert np.allclose(one, other, rtol=1e-4, atol=1e-5) == same
    each = [
        patch_classifier.extract(
            trained.params, patch_reader.turn(patches, np.full(COUNT, i)), OPTIONS
        )[1]
        for i in range(8)
    ]
    features = patch_classifier.extract(trained.params, patches, turning)[1]
    np.testing.assert_allclose(features, np.mean(each, axis=0), rtol=1e-4, atol=1e-5)


def test_a_cell_may_lie_in_any_direction():
    """Cells are bars that all lie one way; standing ones are learnt if turned only."""
    patches, positive, _ = spots()
    patches[::2] = 0.4
    patches[::2, 6, 2:11] = 0.8
    upright = np.rot90(patches[::2], axes=(1, 2))
    gaps = []
    for turns in (False, True):
        options = dataclasses.replace(OPTIONS, epochs=3, turns=turns)
        params = patch_classifier.train(patches, positive, PRIOR, options).params
        lying, standing = (
            np.mean(patch_classifier.extract(params, some, OPTIONS)[0])
            for some in (patches[::2], upright)
        )
        gaps.append(lying - standing)
    assert gaps[0] > 0.2
    assert abs(gaps[1]) < 0.05


def test_same_seed_same_result_and_progress_is_told(trained):
    patches, positive, _ = spots()
    told = []
    few = dataclasses.replace(OPTIONS, epochs=2)
    again, other = (
        patch_classifier.train(
            patches,
            positive,
            PRIOR,
            few,
            seed,
            lambda progress: told.append((progress.step, progress.losses[-1])),
        )
        for seed in (0, 1)
    )
    np.testing.assert_array_equal(again.losses, trained.losses[:2])
    assert np.all(again.losses != other.losses)
    expected = [*enumerate(again.losses, 1), *enumerate(other.losses, 1)]
    assert told == expected


def test_fewer_patches_than_a_batch():
    """One batch of all; the loss of the first epoch is the risk at the start."""
    patches, positive, _ = (part[:6] for part in spots())
    options = dataclasses.replace(OPTIONS, epochs=1, batch_size=4000)
    found = patch_classifier.train(patches, positive, PRIOR, options)
    rng, _ = jax.random.split(jax.random.key(0))
    start = patch_classifier._start(rng, patches[:1], OPTIONS_OF_ALL_SEEDS)
    scores, _ = patch_classifier.extract(start.params, patches, options)
    risk = pu.pu_risk(scores, positive, ~positive, PRIOR).risk
    np.testing.assert_allclose(found.losses, [risk], rtol=1e-5)


def test_extract_is_the_network_for_any_number(trained):
    patches, _, _ = spots()
    model = patch_net.PatchNet("small")
    expected = jax.jit(model.apply)({"params": trained.params}, patches)
    for number in (0, 5, 16, COUNT):
        found = patch_classifier.extract(trained.params, patches[:number], OPTIONS)
        for array, whole in zip(found, expected, strict=True):
            np.testing.assert_allclose(array, whole[:number], rtol=1e-4, atol=1e-5)


def test_padding_has_no_part_in_the_risk(trained):
    patches, positive, _ = spots()
    data = patch_classifier._Data(*map(jnp.asarray, (patches, positive, PRIOR)))
    rows = jnp.array([0, 1, COUNT, 2, COUNT])
    found = jax.jit(patch_classifier._risk, static_argnums=4)(
        trained.params, data, rows, jax.random.key(0), OPTIONS
    )
    scores, _ = patch_classifier.extract(trained.params, patches[:3], OPTIONS)
    expected = pu.pu_risk(scores, positive[:3], ~positive[:3], PRIOR).risk
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_every_patch_once_an_epoch():
    rows = patch_classifier._shuffled(jax.random.key(0), 10, 4)
    assert rows.shape == (3, 4)
    assert rows[2, 2:].tolist() == [10, 10]
    assert sorted(rows.ravel()[:10].tolist()) == list(range(10))
    assert np.any(rows != patch_classifier._shuffled(jax.random.key(1), 10, 4))


def test_epoch_of_least_loss_is_kept():
    """Losses are the mean of two batches of 3 and 1 patches; parameters 0, 1, ..."""
    real = jnp.array([[True, True, True], [True, False, False]])
    zero = jnp.zeros(())
    state = patch_classifier._State(zero, zero, zero, jnp.float32(jnp.inf))
    kept = []
    for params, losses in (
        (0.0, [6.0, 2.0]),
        (1.0, [1.0, 5.0]),
        (2.0, [np.nan, 1.0]),
        (np.nan, [1.0, 1.0]),
        (3.0, [3.0, 3.0]),
    ):
        learner = jnp.float32(params), zero
        state, _ = patch_classifier._keep_best(state, learner, jnp.array(losses), real)
        kept.append((float(state.best_params), float(state.best_loss)))
    assert kept == [(0, 5), (1, 2), (1, 2), (1, 2), (1, 2)]
    assert state.params == 3


def test_optimizer_is_pytorchs_adam_with_decay():
    """PyTorch adds decay to the gradient before the moments; formulas by hand."""
    options = RefineOptions(learning_rate=0.1, weight_decay=0.5)
    optimizer = patch_classifier._optimizer(options)
    weight, moments = jnp.float32(2.0), optimizer.init(jnp.float32(2.0))
    expected, mean, square = 2.0, 0.0, 0.0
    for step, gradient in enumerate([1.0, -3.0, 0.25], start=1):
        update, moments = optimizer.update(jnp.float32(gradient), moments, weight)
        weight = weight + update
        total = gradient + 0.5 * expected
        mean, square = 0.9 * mean + 0.1 * total, 0.999 * square + 0.001 * total**2
        root = (square / (1 - 0.999**step)) ** 0.5
        expected -= 0.1 * mean / (1 - 0.9**step) / (root + 1e-8)
        np.testing.assert_allclose(weight, expected, rtol=1e-5)


def test_no_finite_loss():
    patches, positive, _ = spots()
    few = dataclasses.replace(OPTIONS, epochs=2)
    with pytest.raises(errors.RunError, match="not finite in any epoch"):
        patch_classifier.train(patches * np.nan, positive, PRIOR, few)


@pytest.mark.slow
def test_alexnet_trains():
    patches, positive, _ = (part[:8] for part in spots())
    options = RefineOptions(epochs=2, batch_size=5)
    found = patch_classifier.train(patches, positive, PRIOR, options)
    assert np.isfinite(found.losses).all()
    scores, features = patch_classifier.extract(found.params, patches, options)
    assert scores.shape == (8,)
    assert features.shape == (8, 256)


SHORT = RefineOptions(network="small", epochs=4, batch_size=8)
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
    trained, seconds = patch_classifier.train_in(
        folder, EVERY_TWO_EPOCHS, console, patches, positive, 0.5, SHORT, 0
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
