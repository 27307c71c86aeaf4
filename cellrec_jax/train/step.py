"""One training step: the only gradients, optimiser updates and collectives."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from cellrec_jax.masking import AXIS
from cellrec_jax.train import optim
from cellrec_jax.types import Batch, Method, Metrics, Progress, TrainState


def make_step(
    method: Method,
    optimizer: optax.GradientTransformation,
    augment: Callable[[Batch, jax.Array], Batch],
    *,
    seed: int,
    total_steps: int,
    ema: float = 0.0,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Builds (state, batch of one device) -> (state, metrics) for `pmap_step`.

    Draws are keyed by (seed, step, global example index). Losses divide by counts
    averaged over devices; `ema` is the decay of averaged parameters and batch
    statistics, 0 is none.
    """

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        rng = jax.random.fold_in(jax.random.key(seed), state.step)
        augment_rng, loss_rng = jax.random.split(rng)
        batch = augment(batch, augment_rng)
        grad_fn = jax.value_and_grad(method.loss_fn, has_aux=True)
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
