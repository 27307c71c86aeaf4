"""The only place that maps over devices: sharding, pmap and donation."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax import errors
from cellrec_jax.masking import AXIS


def pmap_step(
    step: Callable[..., Any], devices: Sequence[jax.Device] | None = None
) -> Callable[..., Any]:
    """Maps `step(state, batch, key) -> (state, metrics)` over devices (None: local).

    Results must be equal on all: only device 0's comes back. The batch has a leading
    device axis, `masking.AXIS`, state and key are those of `place`. Only single-process
    runs donate the state: others crash.
    """
    return _pmap(step, (None, 0, None), devices)


def pmap_steps(
    steps: Callable[..., Any], devices: Sequence[jax.Device] | None = None
) -> Callable[..., Any]:
    """Maps `steps(state, held, drawn, number, key)`, see `step.make_steps`, alike.

    `held` and `number` are those of `replicate`, `drawn` has the leading device axis.
    """
    return _pmap(steps, (None, None, 0, None, None), devices)


def pmap_most() -> Callable[[jax.Array], jax.Array]:
    """Maps the largest of numbers [D, N] of all devices, of all processes: [N]."""
    return jax.pmap(
        lambda numbers: jax.lax.pmax(numbers[0], AXIS), axis_name=AXIS, out_axes=None
    )


def _pmap(
    function: Callable[..., Any], in_axes: Any, devices: Sequence[jax.Device] | None
) -> Callable[..., Any]:
    donated = (0,) if jax.process_count() == 1 else ()
    return jax.pmap(
        function,
        axis_name=AXIS,
        in_axes=in_axes,
        out_axes=(None, None),
        donate_argnums=donated,
        devices=devices,
    )


def replicate(tree: Any, devices: Sequence[jax.Device] | None = None) -> Any:
    """Puts the same arrays on every device; it may share those that are there."""
    return jax.device_put(tree, _sharding(jax.sharding.PartitionSpec(), devices))


def place(state: Any, devices: Sequence[jax.Device] | None = None) -> Any:
    """Copies a state to where `pmap_step` leaves it, so that steps move nothing."""
    return replicate(_copied(state), devices)


@jax.jit
def _copied(state: Any) -> Any:
    """Its own buffers, for steps are given them: `device_put` shares what is there."""
    return jax.tree.map(jnp.copy, state)


def check_batch_size(batch_size: int, num_devices: int, accumulate: int = 1) -> None:
    """Raises a ConfigError unless the global batch divides over devices and parts."""
    number = num_devices * accumulate
    if batch_size % number:
        up = -(-batch_size // number) * number
        parts = f" x --config.train.accumulate={accumulate}" if accumulate > 1 else ""
        raise errors.ConfigError(
            f"--config.batch_size={batch_size} does not divide over {num_devices} "
            f"devices{parts}: use --config.batch_size={up}"
        )


def shard(batch: Any, devices: Sequence[jax.Device] | None = None) -> Any:
    """Splits this process's batch over its devices: [B, ...] -> [D, B / D, ...].

    Of NumPy arrays, or of arrays on a device; each part lies where it is needed.
    """
    on_device = isinstance(jax.tree.leaves(batch)[0], jax.Array)
    split = _split_on_device if on_device else _split
    parts = jax.sharding.PartitionSpec(AXIS)
    return jax.device_put(split(batch, _count(devices)), _sharding(parts, devices))


def _split(batch: Any, num: int) -> Any:
    return jax.tree.map(
        lambda x: x.reshape(num, x.shape[0] // num, *x.shape[1:]), batch
    )


_split_on_device = jax.jit(_split, static_argnums=1)


def _sharding(
    spec: jax.sharding.PartitionSpec, devices: Sequence[jax.Device] | None
) -> jax.sharding.NamedSharding:
    """Over this process's devices, as `jax.pmap` has it."""
    local = jax.local_devices() if devices is None else devices
    return jax.sharding.NamedSharding(jax.sharding.Mesh(np.array(local), (AXIS,)), spec)


def _count(devices: Sequence[jax.Device] | None) -> int:
    return jax.local_device_count() if devices is None else len(devices)
