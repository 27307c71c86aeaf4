"""Trains a classifier of patches from positive and unlabelled ones, for its features.

g of Fujii et al., MICCAI 2021 (see `rounds`), section 2.2 and code, trained by the
non-negative risk of Kiryo et al. 2017 (see `losses.pu`).
"""

from collections.abc import Callable
import dataclasses
import functools
import time
from typing import Any, NamedTuple

from etils import epath
import jax
import jax.numpy as jnp
import numpy as np
import optax

from cellrec_jax import errors
from cellrec_jax.config import CheckpointConfig
from cellrec_jax.io.console import Console, Pace
from cellrec_jax.losses import pu
from cellrec_jax.methods import patch_reader
from cellrec_jax.methods.refine_options import RefineOptions
from cellrec_jax.nn.patch_net import PatchNet
from cellrec_jax.workdir import checkpoint, interrupt

EXTRACT_BATCH = 512  # patches of a call of the network where nothing is trained
_judge = jax.jit(patch_reader.judge, static_argnums=2)


class Trained(NamedTuple):
    """A classifier, and how its training went."""

    params: Any
    losses: np.ndarray  # f32 [epochs], mean risk of each epoch while it trained


class Progress(NamedTuple):
    """Training after some epochs: arrays, so that it can be saved and gone on from."""

    step: np.ndarray  # i32, epochs done
    state: "_State"
    losses: tuple[float, ...]  # one an epoch


class _Data(NamedTuple):
    patches: jax.Array  # f32 [N, S, S, C]
    positive: jax.Array  # bool [N]
    prior: jax.Array  # f32


class _State(NamedTuple):
    params: Any
    opt_state: Any
    best_params: Any
    best_loss: jax.Array  # f32


def train_in(
    folder: epath.Path,
    checkpoints: CheckpointConfig,
    console: Console,
    patches: jax.Array,
    positive: jax.Array,
    prior: float,
    config: RefineOptions,
    seed: int,
) -> tuple[Trained, float]:
    """Trains as `train` does, from where the checkpoints in `folder` say it was.

    Saves at ends of epochs; `checkpoints.every` counts steps. Returns the classifier
    and its seconds, of earlier processes until they last saved. Interrupted after
    Ctrl-C or SIGTERM, when the epoch is done and saved.
    """
    manager = checkpoint.open_manager(folder, checkpoints)
    start, resume, before = manager.latest_step() or 0, None, 0.0
    if start:
        # Losses are of the epochs done, so they are no part of the arrays' shapes.
        saved = checkpoint.restore(manager, begin(patches, config, seed), start)
        resume = saved.state._replace(losses=tuple(saved.meta["losses"]))
        before = saved.meta["seconds"]
        console.line(f"resumed at epoch {start} of {config.epochs}")
    steps_per_epoch = -(-len(patches) // config.batch_size)
    every = max(1, checkpoints.every // steps_per_epoch)
    since = time.monotonic()
    training = console.training(start, config.epochs)
    with interrupt.catch() as caught, training as show:

        def on_epoch(progress: Progress) -> None:
            epoch, seconds = int(progress.step), time.monotonic() - since
            pace = Pace((epoch - start) / seconds)
            show(epoch, pace, {"loss": progress.losses[-1]})
            stop = interrupt.anywhere(caught)
            if stop or epoch == config.epochs or epoch % every == 0:
                meta = {"losses": list(progress.losses), "seconds": before + seconds}
                checkpoint.save(manager, progress._replace(losses=()), meta)
            if stop:
                raise interrupt.Interrupted(interrupt.exit_code(stop))

        try:
            found = train(patches, positive, prior, config, seed, on_epoch, resume)
            return found, before + time.monotonic() - since
        finally:
            manager.wait_until_finished()
            manager.close()


def train(
    patches: jax.Array,
    positive: jax.Array,
    prior: float,
    config: RefineOptions,
    seed: int = 0,
    on_epoch: Callable[[Progress], None] | None = None,
    resume: Progress | None = None,
) -> Trained:
    """Trains the classifier and keeps the epoch of least training loss.

    Patches f32 [N, S, S, C] and `positive` bool [N] (labelled as a cell; some cells are
    not), shuffled each epoch by (seed, epoch), the last batch of what is left. Batches
    may lack a kind: they have the risk that `pu.pu_risk` says, by the prior in (0, 1).
    Adam, with weight decay added to the gradient of every parameter, as PyTorch has it.
    `on_epoch` may raise to end it there; `resume` goes on to the same result.

    ConfigError as `PatchNet`, RunError if no epoch has a finite loss.

    References:
      Fujii et al. 2021, Eq. 1. Their code takes, by mistake, the epoch before.
    """
    patches, positive = jnp.asarray(patches, jnp.float32), jnp.asarray(positive, bool)
    data = _Data(patches, positive, jnp.float32(prior))
    _, rng_epochs = jax.random.split(jax.random.key(seed))
    compiled_for = dataclasses.replace(config, epochs=1)  # serves all numbers of them
    _, state, losses = resume or begin(patches, config, seed)
    for epoch in range(len(losses) + 1, config.epochs + 1):
        rng = jax.random.fold_in(rng_epochs, epoch)
        state, loss = _epoch(state, data, rng, compiled_for)
        losses += (float(loss),)
        if on_epoch is not None:
            on_epoch(Progress(np.asarray(epoch, np.int32), state, losses))
    if not np.isfinite(state.best_loss):
        raise errors.RunError(
            "the patch classifier's loss is not finite in any epoch: lower its "
            "learning_rate, or look for patches that are not finite"
        )
    return Trained(state.best_params, np.asarray(losses, np.float32))


def begin(patches: jax.Array, config: RefineOptions, seed: int) -> Progress:
    """Training before its first epoch; of `patches` only the last three sizes count."""
    rng_init, _ = jax.random.split(jax.random.key(seed))
    compiled_for = dataclasses.replace(config, epochs=1)
    state = _start(rng_init, jnp.asarray(patches[:1], jnp.float32), compiled_for)
    return Progress(np.zeros((), np.int32), state, ())


def extract(
    params: Any, patches: jax.Array, config: RefineOptions
) -> tuple[jax.Array, jax.Array]:
    """Scores f32 [N] and features f32 [N, F] as `patch_reader.judge`, in batches."""
    patches = jnp.asarray(patches, jnp.float32)
    num_batches = max(-(-len(patches) // EXTRACT_BATCH), 1)
    missing = num_batches * EXTRACT_BATCH - len(patches)
    padded = jnp.pad(patches, ((0, missing), (0, 0), (0, 0), (0, 0)))
    batches = jnp.split(padded, num_batches)
    compiled_for = RefineOptions(network=config.network, turns=config.turns)
    found = [_judge(params, batch, compiled_for) for batch in batches]
    scores, features = (jnp.concatenate(parts) for parts in zip(*found, strict=True))
    return scores[: len(patches)], features[: len(patches)]


def _optimizer(config: RefineOptions) -> optax.GradientTransformation:
    decay = optax.add_decayed_weights(config.weight_decay)
    return optax.chain(decay, optax.adam(config.learning_rate))


@functools.partial(jax.jit, static_argnums=2)
def _start(rng: jax.Array, patches: jax.Array, config: RefineOptions) -> _State:
    params = PatchNet(config.network).init(rng, patches)["params"]
    return _State(params, _optimizer(config).init(params), params, jnp.float32(jnp.inf))


def _epoch(
    state: _State, data: _Data, rng: jax.Array, config: RefineOptions
) -> tuple[_State, jax.Array]:
    """One pass over all patches; returns the state and the mean loss.

    Steps do not wait for results; a scan takes 10 times as long on a CPU, where XLA has
    no fast convolutions inside loops.
    """
    num_patches = len(data.positive)
    rng_order, rng_dropout = jax.random.split(rng)
    rows = _shuffled(rng_order, num_patches, min(config.batch_size, num_patches))
    learner, losses = (state.params, state.opt_state), []
    for i in range(len(rows)):
        learner, loss = _step(learner, data, rows, rng_dropout, i, config)
        losses.append(loss)
    return _keep_best(state, learner, jnp.stack(losses), rows < num_patches)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _shuffled(rng: jax.Array, num_patches: int, batch_size: int) -> jax.Array:
    """Rows of each batch, i32 [batches, batch_size]; padded with `num_patches`."""
    order = jax.random.permutation(rng, num_patches)
    order = jnp.pad(order, (0, -num_patches % batch_size), constant_values=num_patches)
    return order.reshape(-1, batch_size)


@functools.partial(jax.jit, static_argnums=5)
def _step(
    learner: tuple[Any, Any],
    data: _Data,
    rows: jax.Array,
    rng: jax.Array,
    number: jax.Array,
    config: RefineOptions,
) -> tuple[tuple[Any, Any], jax.Array]:
    """Updates (parameters, optimiser) by one batch; returns its loss before, too."""
    params, opt_state = learner
    loss, grads = jax.value_and_grad(_risk)(
        params, data, rows[number], jax.random.fold_in(rng, number), config
    )
    updates, opt_state = _optimizer(config).update(grads, opt_state, params)
    return (optax.apply_updates(params, updates), opt_state), loss


@jax.jit
def _keep_best(
    state: _State, learner: tuple[Any, Any], losses: jax.Array, real: jax.Array
) -> tuple[_State, jax.Array]:
    """Ends an epoch: its loss is the mean over patches, each batch by its size."""
    params, opt_state = learner
    loss = jnp.sum(losses * jnp.sum(real, axis=1)) / jnp.sum(real)
    # The loss is from before the last update, which may have been one too far.
    finite = jnp.stack([jnp.all(jnp.isfinite(p)) for p in jax.tree.leaves(params)])
    better = (loss < state.best_loss) & jnp.all(finite)
    best, best_loss = jax.tree.map(
        lambda new, old: jnp.where(better, new, old),
        (params, loss),
        (state.best_params, state.best_loss),
    )
    return _State(params, opt_state, best, best_loss), loss


def _risk(
    params: Any, data: _Data, rows: jax.Array, rng: jax.Array, config: RefineOptions
) -> jax.Array:
    """Risk of a batch; rows past the last one are padding."""
    real = rows < len(data.positive)
    patches = jnp.take(data.patches, rows, axis=0, mode="fill", fill_value=0)
    if config.turns:
        rng, rng_turns = jax.random.split(rng)
        patches = patch_reader.turn(
            patches, jax.random.randint(rng_turns, (len(rows),), 0, 8)
        )
    positive = jnp.take(data.positive, rows, mode="fill", fill_value=False)
    scores, _ = PatchNet(config.network).apply(
        {"params": params}, patches, True, rngs={"dropout": rng}
    )
    kinds = scores, positive, real & ~positive, data.prior
    return pu.pu_risk(
        *kinds, estimator=config.estimator, surrogate=config.surrogate
    ).risk
