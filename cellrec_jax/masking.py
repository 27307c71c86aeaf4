"""Reductions and guards for padded arrays: garbage in padding changes nothing."""

from collections.abc import Callable, Iterator
import contextlib
import contextvars

import jax
import jax.numpy as jnp
import numpy as np

AXIS = "device"
"""Name of the axis that the training step is mapped over."""

_MEANS: contextvars.ContextVar[Callable[[jax.Array], jax.Array] | None]
_MEANS = contextvars.ContextVar("means", default=None)


def mapped_axis() -> str | None:
    """`AXIS` where it is bound, as in the training step; None elsewhere."""
    try:
        jax.lax.axis_size(AXIS)
    except NameError:
        return None
    return AXIS


def device_mean(values: jax.Array) -> jax.Array:
    """The mean over devices where they are mapped over, elsewhere `values`.

    Of what has no gradient, such as counts. Where a batch is done in parts it is that
    over the parts, too, see `train.accumulate`.
    """
    if (answer := _MEANS.get()) is not None:
        return answer(values)
    axis_name = mapped_axis()
    return values if axis_name is None else jax.lax.pmean(values, axis_name)


@contextlib.contextmanager
def means_from(answer: Callable[[jax.Array], jax.Array]) -> Iterator[None]:
    """Within it `device_mean` returns what `answer` makes of its values."""
    token = _MEANS.set(answer)
    try:
        yield
    finally:
        _MEANS.reset(token)


def masked_mean(
    values: jax.Array, mask: jax.Array, *, denominator: jax.Array | float | None = None
) -> jax.Array:
    """Averages `values` where `mask` is True, in float32; 0 for an empty mask.

    The denominator is the mean count over devices, so that the mean of the devices'
    results is the mean over all elements even when counts differ (a per-device mean
    followed by `pmean` is not). `denominator` is a per-device count in place of the
    mask's sum. `mask` is bool or weights >= 0, broadcastable to `values`.
    """
    weight = jnp.broadcast_to(mask, values.shape).astype(jnp.float32)
    kept = jnp.where(weight > 0, values.astype(jnp.float32), 0.0)
    count = jnp.sum(weight) if denominator is None else jnp.asarray(denominator)
    count = jax.lax.stop_gradient(device_mean(count.astype(jnp.float32)))
    return jnp.sum(kept * weight) / jnp.where(count > 0, count, 1.0)


def masked_sum_count(values: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(sum, count) of `values` under a bool `mask`, two float32, as metrics travel."""
    mask = jnp.broadcast_to(mask, values.shape)
    kept = jnp.where(mask, values.astype(jnp.float32), 0.0)
    return jnp.sum(kept), jnp.sum(mask.astype(jnp.float32))


def safe_norm(x: jax.Array, axis: int = -1, eps: float = 1e-12) -> jax.Array:
    """Euclidean norm of [..., D] with gradient 0, not NaN, at squares up to `eps`.

    Example:
      >>> jax.grad(lambda v: safe_norm(v))(jnp.zeros(2)).tolist()
      [0.0, 0.0]
    """
    squared = jnp.sum(x * x, axis=axis)
    positive = squared > eps
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1.0)), 0.0)


def pad_to(array: np.ndarray, size: int, fill: float = 0) -> np.ndarray:
    """Pads the first axis of [n, ...] to `size` rows of a finite `fill`.

    More than `size` rows are a `ValueError`.
    """
    if len(array) > size:
        raise ValueError(f"{len(array)} rows do not fit into {size}")
    out = np.full((size, *array.shape[1:]), fill, dtype=array.dtype)
    out[: len(array)] = array
    return out
