"""Trains a classifier of patches from positive and unlabelled ones, for its features.

Fujii et al., Cell Detection from Imperfect Annotation by Pseudo Label Selection Using
P-classification, MICCAI 2021, section 2.2 and its public code: g, trained by the
non-negative risk of Kiryo et al. 2017 (see `losses.pu`).
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cellrec_jax import errors
from cellrec_jax.data import augment
from cellrec_jax.losses import pu
from cellrec_jax.methods.heatmap_pu.options import RefineOptions
from cellrec_jax.nn.patch_net import PatchNet

EXTRACT_BATCH = 512
"""Patches of a call of the network where nothing is trained."""


@dataclasses.dataclass(frozen=True)
class Options:
    """How the classifier is trained; the defaults are those of Fujii et al.'s code."""

    network: str = "alexnet"
    """A kind of `nn.patch_net`."""
    turns: bool = False
    """Train on each patch in a random one of its eight orientations, and extract the
    mean over all eight. Not in the paper."""
    epochs: int = 200
    batch_size: int = 4000
    learning_rate: float = 1e-4
    weight_decay: float = 0.005
    estimator: str = "clip"
    """See `losses.pu`."""
    surrogate: str = "logistic"
    """See `losses.pu`."""
    seed: int = 0
    """Of the initial parameters, the order of patches and dropout."""

    @classmethod
    def from_config(cls, config: RefineOptions, seed: int) -> "Options":
        """Takes what concerns the classifier from the options of rounds."""
        names = [field.name for field in dataclasses.fields(cls)]
        taken = {name: getattr(config, name) for name in names if name != "seed"}
        return cls(**taken, seed=seed)


class Trained(NamedTuple):
    """A classifier, and how its training went."""

    params: Any
    losses: np.ndarray
    """f32 [epochs], mean risk of each epoch, measured while it trained."""


class Progress(NamedTuple):
    """Training after some epochs: arrays, so that it can be saved and gone on from."""

    step: np.ndarray
    """i32, epochs done."""
    state: "_State"
    losses: tuple[float, ...]
    """One an epoch."""


class _Data(NamedTuple):
    patches: jax.Array  # f32 [N, S, S, C]
    positive: jax.Array  # bool [N]
    prior: jax.Array  # f32


class _State(NamedTuple):
    params: Any
    opt_state: Any
    best_params: Any
    best_loss: jax.Array  # f32


def train(
    patches: jax.Array,
    positive: jax.Array,
    prior: float,
    options: Options,
    on_epoch: Callable[[Progress], None] | None = None,
    resume: Progress | None = None,
) -> Trained:
    """Trains the classifier and keeps the epoch of least training loss.

    Each epoch takes all patches once, shuffled by (seed, epoch), in batches of
    `batch_size`, the last one of what is left; fewer patches than that are one batch.
    Batches may lack positives, or unlabelled patches: they have the risk that
    `pu.pu_risk` says. Adam, with weight decay added to the gradient of every parameter,
    as PyTorch has it.

    Args:
      patches: f32 [N, S, S, C], see `PatchNet`.
      positive: bool [N], True where labelled as a cell; the rest is unlabelled.
      prior: in (0, 1), of the risk; see `round_classifier.prior_of`.
      options: how to train.
      on_epoch: told of training after each epoch; it may raise to end it there.
      resume: of the same patches and options, to go on from; the result is the same.

    Returns:
      The parameters after the epoch of least loss, and all losses.

    Raises:
      ConfigError: see `PatchNet`.
      DataError: if no patch is positive, or none unlabelled.
      RunError: if no epoch has a finite loss.
      ValueError: for shapes that do not fit or a prior out of range.

    References:
      Fujii et al. 2021, Eq. 1. Differs from the code: which takes, by mistake, the
      epoch before that of least loss.
    """
    data = _check(patches, positive, prior)
    _, rng_epochs = jax.random.split(jax.random.key(options.seed))
    compiled_for = _for_all(options)
    _, state, losses = resume or begin(data.patches[:1], options)
    for epoch in range(len(losses) + 1, options.epochs + 1):
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


def begin(patches: jax.Array, options: Options) -> Progress:
    """Training before its first epoch; of `patches` only the last three sizes count."""
    rng_init, _ = jax.random.split(jax.random.key(options.seed))
    state = _start(rng_init, jnp.asarray(patches[:1], jnp.float32), _for_all(options))
    return Progress(np.zeros((), np.int32), state, ())


def extract(
    params: Any, patches: jax.Array, options: Options
) -> tuple[jax.Array, jax.Array]:
    """Scores patches and extracts their features, `EXTRACT_BATCH` at a time.

    Args:
      params: from `train`.
      patches: f32 [N, S, S, C], of the same S and C; N may be 0.
      options: those of `train`.

    Returns:
      f32 [N] scores; f32 [N, F] features. With `turns` the means over the orientations
      of a patch, so that these do not depend on how it lies.
    """
    patches = jnp.asarray(patches, jnp.float32)
    num_batches = max(-(-len(patches) // EXTRACT_BATCH), 1)
    missing = num_batches * EXTRACT_BATCH - len(patches)
    padded = jnp.pad(patches, ((0, missing), (0, 0), (0, 0), (0, 0)))
    batches = [
        jax.lax.dynamic_slice_in_dim(padded, i * EXTRACT_BATCH, EXTRACT_BATCH)
        for i in range(num_batches)
    ]
    found = [_apply(params, batch, options.network, options.turns) for batch in batches]
    scores, features = (jnp.concatenate(parts) for parts in zip(*found, strict=True))
    return scores[: len(patches)], features[: len(patches)]


def _check(patches: jax.Array, positive: jax.Array, prior: float) -> _Data:
    """Moves the data to the device if training can use it."""
    if np.ndim(patches) != 4 or np.shape(positive) != np.shape(patches)[:1]:
        raise ValueError(
            "patches [N, S, S, C] and positive [N] needed, not of shapes "
            f"{np.shape(patches)} and {np.shape(positive)}"
        )
    if not 0 < prior < 1:
        raise ValueError(f"the prior must be in (0, 1), not {prior}")
    num_positive, num_patches = int(np.sum(positive)), len(positive)
    if num_positive == 0:
        raise errors.DataError(
            f"none of {num_patches} patches is positive: the patch classifier needs "
            "peaks that match a label; label more cells, or raise match_px"
        )
    if num_positive == num_patches:
        raise errors.DataError(
            f"all of {num_patches} patches are positive: the patch classifier needs "
            "unlabelled peaks, too; lower the peak threshold, or stop here"
        )
    return _Data(
        jnp.asarray(patches, jnp.float32),
        jnp.asarray(positive, bool),
        jnp.float32(prior),
    )


def _for_all(options: Options) -> Options:
    """What is compiled serves all seeds and numbers of epochs."""
    return dataclasses.replace(options, seed=0, epochs=1)


def _optimizer(options: Options) -> optax.GradientTransformation:
    return optax.chain(
        optax.add_decayed_weights(options.weight_decay),
        optax.adam(options.learning_rate),
    )


@functools.partial(jax.jit, static_argnums=2)
def _start(rng: jax.Array, patches: jax.Array, options: Options) -> _State:
    params = PatchNet(options.network).init(rng, patches)["params"]
    opt_state = _optimizer(options).init(params)
    return _State(params, opt_state, params, jnp.float32(jnp.inf))


def _epoch(
    state: _State, data: _Data, rng: jax.Array, options: Options
) -> tuple[_State, jax.Array]:
    """One pass over all patches; returns the state and the mean loss.

    Steps are dispatched without waiting for their results. A scan over them would take
    10 times as long on a CPU, where XLA has no fast convolutions inside loops.
    """
    num_patches = len(data.positive)
    rng_order, rng_dropout = jax.random.split(rng)
    rows = _shuffled(rng_order, num_patches, min(options.batch_size, num_patches))
    learner, losses = (state.params, state.opt_state), []
    for i in range(len(rows)):
        learner, loss = _step(learner, data, rows, rng_dropout, i, options)
        losses.append(loss)
    return _keep_best(state, learner, jnp.stack(losses), rows < num_patches)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _shuffled(rng: jax.Array, num_patches: int, batch_size: int) -> jax.Array:
    """Rows of each batch, i32 [batches, batch_size]; padded with `num_patches`."""
    num_batches = -(-num_patches // batch_size)
    order = jax.random.permutation(rng, num_patches)
    missing = num_batches * batch_size - num_patches
    order = jnp.pad(order, (0, missing), constant_values=num_patches)
    return order.reshape(num_batches, batch_size)


@functools.partial(jax.jit, static_argnums=5)
def _step(
    learner: tuple[Any, Any],
    data: _Data,
    rows: jax.Array,
    rng: jax.Array,
    number: jax.Array,
    options: Options,
) -> tuple[tuple[Any, Any], jax.Array]:
    """Updates (parameters, optimiser) by one batch; returns its loss before, too."""
    params, opt_state = learner
    loss, grads = jax.value_and_grad(_risk)(
        params, data, rows[number], jax.random.fold_in(rng, number), options
    )
    updates, opt_state = _optimizer(options).update(grads, opt_state, params)
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
    best = jax.tree.map(
        lambda new, old: jnp.where(better, new, old), params, state.best_params
    )
    best_loss = jnp.where(better, loss, state.best_loss)
    return _State(params, opt_state, best, best_loss), loss


def _risk(
    params: Any, data: _Data, rows: jax.Array, rng: jax.Array, options: Options
) -> jax.Array:
    """Risk of a batch; rows past the last one are padding."""
    real = rows < len(data.positive)
    patches = jnp.take(data.patches, rows, axis=0, mode="fill", fill_value=0)
    if options.turns:
        rng, rng_turns = jax.random.split(rng)
        patches = turn(patches, jax.random.randint(rng_turns, (len(rows),), 0, 8))
    positive = jnp.take(data.positive, rows, mode="fill", fill_value=False)
    scores, _ = PatchNet(options.network).apply(
        {"params": params}, patches, True, rngs={"dropout": rng}
    )
    return pu.pu_risk(
        scores,
        positive,
        real & ~positive,
        data.prior,
        estimator=options.estimator,
        surrogate=options.surrogate,
    ).risk


@functools.partial(jax.jit, static_argnums=(2, 3))
def _apply(params: Any, patches: jax.Array, kind: str, turns: bool) -> Any:
    """Scores f32 [N] and features f32 [N, F] of one batch."""
    network = PatchNet(kind)
    if not turns:
        return network.apply({"params": params}, patches)
    each = [
        network.apply({"params": params}, turn(patches, jnp.full(len(patches), i)))
        for i in range(8)
    ]
    return jax.tree.map(lambda *parts: sum(parts) / len(parts), *each)


def turn(patches: jax.Array, orientation: jax.Array) -> jax.Array:
    """Flips and turns square patches.

    Args:
      patches: [N, S, S, C].
      orientation: i32 [N] in 0..7; bit 2 transposes a patch, then bit 0 flips its rows
        and bit 1 its columns. 0 leaves it as it is.
    """
    bits = (orientation[:, None] >> jnp.arange(3)[None]) & 1 == 1
    return jax.vmap(augment.turn)(patches, bits[:, :2], bits[:, 2])
