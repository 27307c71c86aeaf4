"""The only place that maps over devices: sharding, pmap and donation."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from cellrec_jax import errors
from cellrec_jax.masking import AXIS


def pmap_step(
    step: Callable[..., Any], devices: Sequence[jax.Device] | None = None
) -> Callable[..., Any]:
    """Maps `step(state, batch) -> (state, metrics)` over local devices, None for all.

    Results must be equal on all: only device 0's comes back. The batch has a leading
    device axis, `masking.AXIS`. Only single-process runs donate the state: others
    crash.
    """
    donated = (0,) if jax.process_count() == 1 else ()
    return jax.pmap(
        step,
        axis_name=AXIS,
        in_axes=(None, 0),
        out_axes=(None, None),
        donate_argnums=donated,
        devices=devices,
    )


def place(state: Any, devices: Sequence[jax.Device] | None = None) -> Any:
    """Puts a state where `pmap_step` leaves it, else the second step compiles again."""
    identity = jax.pmap(
        lambda tree, _: tree,
        axis_name=AXIS,
        in_axes=(None, 0),
        out_axes=None,
        devices=devices,
    )
    return identity(state, np.zeros(_count(devices), np.int8))


def check_batch_size(batch_size: int, num_devices: int) -> None:
    """Raises a ConfigError unless the global batch divides over the devices."""
    if batch_size % num_devices:
        up = -(-batch_size // num_devices) * num_devices
        raise errors.ConfigError(
            f"--config.batch_size={batch_size} does not divide over {num_devices} "
            f"devices: use --config.batch_size={up}"
        )


def shard(batch: Any, devices: Sequence[jax.Device] | None = None) -> Any:
    """Splits this process's batch over its devices: [B, ...] -> [D, B / D, ...]."""
    num_devices = _count(devices)

    def split(x: Any) -> Any:
        return x.reshape(num_devices, x.shape[0] // num_devices, *x.shape[1:])

    return jax.tree.map(split, batch)


def _count(devices: Sequence[jax.Device] | None) -> int:
    return jax.local_device_count() if devices is None else len(devices)
