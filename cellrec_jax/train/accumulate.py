"""Gradients of a batch that is done in parts, one after the other, for less memory.

Losses divide by counts of the whole batch, which no part knows: `masking.device_mean`
is asked for them. So the loss is done twice. First forwards alone, for these means:
what they do not need is left out, which is the whole network where counts are those of
annotations, and nothing where a network's own proposals are counted. Then with
gradients, by the means of all parts. Parts are so to one device what devices are to a
step: gradients, model state and what is logged are averaged over both alike.

Means that need others (a risk divides by counts) are found after them, in a pass of
their own. Losses that return sums and counts instead would change every method's
contract, and could not choose by a risk of the whole batch.

Batch norm is no such mean: its statistics are of one part, on all devices. Part k is
every K-th image from k on, so that it holds the same images on any number of devices.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import Jaxpr, Var
import jax.numpy as jnp

from cellrec_jax import masking
from cellrec_jax.config import Experiment
from cellrec_jax.train import optim
from cellrec_jax.types import Batch

Graded = Callable[..., tuple[tuple[jax.Array, tuple[Any, Any]], Any]]
"""(params, model_state, batch, ...) -> (loss, (model_state, metrics)), gradients."""


def value_and_grad(loss_fn: Callable[..., Any], number: int) -> Graded:
    """As `jax.value_and_grad(loss_fn, has_aux=True)`, of `number` parts of the batch.

    `loss_fn` is that of `types.Method`; it asks for means outside of any vmap, loop or
    jit of its own, else JAX raises an error when it is traced. The batch [B, ...]
    divides by `number`. Sums and counts of metrics add up.
    """

    def graded(
        params: Any, model_state: Any, batch: Batch, *args: Any, **named: Any
    ) -> tuple[Any, Any]:
        parts: Batch = jax.tree.map(
            lambda x: x.reshape(-1, number, *x.shape[1:]).swapaxes(0, 1), batch
        )

        def forwards(part: Batch) -> Any:
            return loss_fn(params, model_state, part, *args, **named)

        known = _means(forwards, parts)
        grad_fn = jax.value_and_grad(loss_fn, has_aux=True)

        def add(sums: Any, part: Batch) -> tuple[Any, Any]:
            means = iter(known)
            with masking.means_from(lambda _: next(means)):
                (loss, (state, metrics)), grads = grad_fn(
                    params, model_state, part, *args, **named
                )
            return jax.tree.map(jnp.add, sums, (loss, state, grads)), metrics

        zeros = jax.tree.map(jnp.zeros_like, (jnp.zeros(()), model_state, params))
        sums, metrics = jax.lax.scan(add, zeros, parts)
        loss, state, grads = jax.tree.map(lambda x: (x / number).astype(x.dtype), sums)
        metrics = jax.tree.map(lambda x: jnp.sum(x, axis=0), metrics)
        return (loss, (state, metrics)), grads

    return graded


def described(experiment: Experiment, num_devices: int) -> str:
    """How a step's images are spread, and the learning rate where a rule made it.

    Example: "16 = 4 devices x 2 x 2 accumulated; learning rate 0.002 (linear rule, base
    batch 8)".
    """
    config, number = experiment.optim, experiment.train.accumulate
    text = f"{experiment.batch_size}"
    if (parts := num_devices * number) > 1:
        device = "device" if num_devices == 1 else "devices"
        text += f" = {num_devices} {device} x {experiment.batch_size // parts}"
    if number > 1:
        text += f" x {number} accumulated"
    if config.scale_rate:
        rate = optim.scaled(config, experiment.batch_size).learning_rate
        text += f"; learning rate {rate:g} ({config.scale_rate} rule, base batch "
        text += f"{config.base_batch})"
    return text


def notes(experiment: Experiment) -> Iterator[str]:
    """What is not as in one large batch, for the user."""
    model, number = experiment.options.model, experiment.train.accumulate
    if number > 1 and getattr(model, "norm_kind", model.norm) == "sync_batch":
        yield (
            f"--config.train.accumulate={number}: batch norm takes its statistics of a "
            f"part, of {experiment.batch_size // number} of {experiment.batch_size} "
            "images; --config.model.norm=group takes none"
        )


def _means(forwards: Callable[[Batch], Any], parts: Batch) -> list[jax.Array]:
    """What `device_mean` answers in a call of `forwards`, over parts and devices."""

    def asked(known: Sequence[jax.Array] | None, part: Batch) -> list[jax.Array]:
        seen: list[jax.Array] = []

        def note(values: jax.Array) -> jax.Array:
            seen.append(values)
            return values if known is None else known[len(seen) - 1]

        with masking.means_from(note):
            forwards(part)
        return seen

    first = jax.tree.map(lambda x: x[0], parts)
    shapes = jax.eval_shape(lambda part: asked(None, part), first)
    levels = _levels(jax.make_jaxpr(asked)(shapes, first).jaxpr, len(shapes))
    known = [jnp.zeros(one.shape, one.dtype) for one in shapes]
    for level in range(max(levels, default=-1) + 1):
        chosen = [index for index, one in enumerate(levels) if one == level]

        def of_level(part: Batch, chosen: list[int] = chosen) -> list[jax.Array]:
            values = asked(known, part)
            return [values[index] for index in chosen]

        each = jax.lax.map(of_level, parts)
        for index, values in zip(chosen, each, strict=True):
            known[index] = masking.device_mean(jnp.mean(values, axis=0))
    return known


def _levels(jaxpr: Jaxpr, number: int) -> list[int]:
    """Of each output, how many others it waits for: those that are its first inputs."""
    needs: dict[Var, set[int]] = {jaxpr.invars[i]: {i} for i in range(number)}

    def of(variables: Sequence[Any]) -> set[int]:
        found = (needs.get(v, set()) for v in variables if isinstance(v, Var))
        return set().union(*found)

    for equation in jaxpr.eqns:
        needed = of(equation.invars)
        needs.update(dict.fromkeys(equation.outvars, needed))
    levels: list[int] = []
    for output in jaxpr.outvars:
        levels.append(max((levels[i] + 1 for i in of([output])), default=0))
    return levels
