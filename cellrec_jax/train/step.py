"""One training step: the only optimiser updates and collectives of gradients."""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from cellrec_jax.config import Experiment, OptimConfig
from cellrec_jax.config.training import MOST_STEPS
from cellrec_jax.data import augment as augment_lib
from cellrec_jax.masking import AXIS
from cellrec_jax.train import accumulate as accumulate_lib
from cellrec_jax.train import optim, parallel
from cellrec_jax.types import Batch, Method, Metrics, Progress, TrainState

Step = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]
"""(state, batch of one device, key) -> (state, metrics)."""


class Program(NamedTuple):
    """What a training runs."""

    optimizer: optax.GradientTransformation
    step: Step
    compiled: Callable[..., Any]
    """`step` over this process's devices, see `parallel.pmap_step`."""
    several: Callable[..., Any]
    """`make_steps(step)` over them, see `parallel.pmap_steps`."""


def program(experiment: Experiment, method: Method) -> Program:
    """The step of an experiment: one, compiled once, for all that are trained alike.

    Seeds, rounds and resumed runs are; a method whose `init` alone differs is.
    """
    return _program(
        method._replace(init=_no_init, stages=()),
        optim.scaled(experiment.optim, experiment.batch_size),
        augment_from(experiment),
        experiment.total_steps,
        experiment.train.accumulate,
    )


@functools.lru_cache(maxsize=4)  # a run has up to three: two stages and their rounds
def _program(
    method: Method,
    config: OptimConfig,
    options: augment_lib.AugmentOptions,
    total_steps: int,
    accumulate: int,
) -> Program:
    optimizer = optim.make_optimizer(config, total_steps, method.traits.trainable)
    step = make_step(
        method,
        optimizer,
        functools.partial(augment_lib.augment, options=options),
        total_steps=total_steps,
        ema=config.ema,
        accumulate=accumulate,
    )
    several = parallel.pmap_steps(make_steps(step))
    return Program(optimizer, step, parallel.pmap_step(step), several)


def _no_init(*_: Any) -> Any:
    """Stands for `Method.init`, which no step calls."""
    raise NotImplementedError


def augment_from(experiment: Experiment) -> augment_lib.AugmentOptions:
    """The augmentation that a configuration asks for."""
    data = experiment.data
    return augment_lib.AugmentOptions(
        crop_hw=data.crop_hw if any(data.crop_hw) else None,
        flip=data.flip,
        turn=data.turn,
        hed_jitter=data.hed_jitter,
        scale_jitter=data.scale_jitter,
        brightness=data.brightness,
        contrast=data.contrast,
    )


def make_step(
    method: Method,
    optimizer: optax.GradientTransformation,
    augment: Callable[[Batch, jax.Array], Batch],
    *,
    total_steps: int,
    ema: float = 0.0,
    accumulate: int = 1,
) -> Step:
    """Builds a step for `pmap_step`.

    Draws are keyed by (key, step, global example index). Losses divide by counts
    averaged over devices; `ema` is the decay of averaged parameters and batch
    statistics, 0 is none. A device's batch is done in `accumulate` parts.
    """
    grad_fn: accumulate_lib.Graded = jax.value_and_grad(method.loss_fn, has_aux=True)
    if accumulate > 1:
        grad_fn = accumulate_lib.value_and_grad(method.loss_fn, accumulate)

    def step(
        state: TrainState, batch: Batch, key: jax.Array
    ) -> tuple[TrainState, Metrics]:
        rng = jax.random.fold_in(key, state.step)
        augment_rng, loss_rng = jax.random.split(rng)
        with jax.named_scope("augment"):
            batch = augment(batch, augment_rng)
        averaged = (state.ema_params, state.ema_state)
        (loss, (model_state, metrics)), grads = grad_fn(
            state.params,
            state.model_state,
            batch,
            loss_rng,
            Progress(state.step, total_steps),
            averaged=averaged if ema else None,
        )
        loss, grads, model_state = jax.lax.pmean((loss, grads, model_state), AXIS)
        with jax.named_scope("optimizer"):
            updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
            params = optax.apply_updates(state.params, updates)
        if ema:
            latest = params, model_state
            averaged = optim.update_ema(averaged, latest, ema, state.step)
        new_state = TrainState(
            step=state.step + 1,
            params=params,
            model_state=model_state,
            opt_state=opt_state,
            ema_params=averaged[0],
            ema_state=averaged[1],
        )
        one = jnp.ones(())
        metrics = {
            "loss": (loss, one),
            "grad_norm": (optax.tree.norm(grads), one),
            **metrics,
        }
        return new_state, jax.lax.psum(metrics, AXIS)

    return step


def make_steps(step: Step) -> Callable[..., tuple[TrainState, Metrics]]:
    """Builds what does up to `MOST_STEPS` steps: (state, held, drawn, number, key).

    `held` is the whole training set, `drawn` the images of each step, i32 [b, MOST],
    and their positions in the global batch, i32 [b]. Metrics are arrays [MOST], 0 from
    `number`, a scalar, on: the program is one for all numbers.
    """

    def steps(
        state: TrainState,
        held: Batch,
        drawn: tuple[jax.Array, jax.Array],
        number: jax.Array,
        key: jax.Array,
    ) -> tuple[TrainState, Metrics]:
        images, positions = drawn

        def one(state: TrainState, index: Any) -> tuple[TrainState, Metrics]:
            batch: Batch = jax.tree.map(lambda array: array[images[:, index]], held)
            return step(state, batch._replace(example_index=positions), key)

        def body(index: jax.Array, carry: Any) -> Any:
            state, seen = carry
            state, metrics = one(state, index)
            return state, jax.tree.map(
                lambda all_, new: all_.at[index].set(new), seen, metrics
            )

        _, shapes = jax.eval_shape(one, state, 0)
        empty = jax.tree.map(
            lambda x: jnp.zeros((MOST_STEPS, *x.shape), x.dtype), shapes
        )
        return jax.lax.fori_loop(0, number, body, (state, empty))

    return steps


def init_state(
    optimizer: optax.GradientTransformation,
    params: Any,
    model_state: Any,
    *,
    ema: float = 0.0,
) -> TrainState:
    """State before the first step; averages are kept if `ema` is not 0."""
    state = TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        model_state=model_state,
        opt_state=optimizer.init(params),
        ema_params={},
    )
    return begin_averages(state) if ema else state


def begin_averages(state: TrainState) -> TrainState:
    """The state with averages that are its weights: copies, since it is donated."""
    params, model_state = jax.tree.map(jnp.copy, (state.params, state.model_state))
    return state.replace(ema_params=params, ema_state=model_state)
