"""What this machine is and does at best, so that figures say what is left to gain."""

from collections.abc import Callable, Mapping
import functools
import os
import platform
import resource
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax import __version__
from cellrec_jax.bench import timing
from cellrec_jax.doctor import host

_COPY_MIB = (1, 8, 64, 512)  # the last is larger than any cache
_MATMUL_SIDE = {"cpu": 1024}  # large enough to be bound by arithmetic
_ACCELERATOR_SIDE = 8192


class Peaks(NamedTuple):
    """Measured bounds of the default device."""

    copy_gb_s: Mapping[int, float]
    """Bytes of an array -> 1e9 bytes read and written a second while copying it."""
    matmul_gflop_s: float
    """1e9 operations a second of a float32 product of full precision."""

    def copy_at(self, moved_bytes: float) -> float:
        """Copy bandwidth, GB/s, of the size nearest to `moved_bytes` (both ways)."""
        nearest = min(
            self.copy_gb_s,
            key=lambda size: abs(np.log(2 * size / max(moved_bytes, 1.0))),
        )
        return self.copy_gb_s[nearest]


@functools.cache
def peaks() -> Peaks:
    """Measures the bounds, once a process.

    On a CPU the copy goes into mapped memory (NumPy's): faster than any new result.
    """
    limit = memory_bytes()
    sizes = [mib * 2**20 for mib in _COPY_MIB if 8 * mib * 2**20 <= limit]
    return Peaks({size: _copy_gb_s(size) for size in sizes}, _matmul_gflop_s())


def memory_bytes() -> int:
    """Memory of the default device, or of the host where that is the device."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"]
    return host.memory().total


def peak_mib() -> float:
    """Most memory used so far, of the first device if it says so, else of the process.

    Never falls: what is measured later shows only if it needs more.
    """
    stats = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"] / 2**20
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, else KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def facts() -> dict[str, Any]:
    """The machine and the versions that figures belong to."""
    devices = jax.devices()
    return {
        "platform": devices[0].platform,
        "device": devices[0].device_kind,
        "devices": len(devices),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "processor": platform.machine(),
        "jax": jax.__version__,
        "python": platform.python_version(),
        "cellrec_jax": __version__,
    }


def line(facts: Mapping[str, Any]) -> str:
    """One line that names the machine of such facts."""
    return (
        f"{facts['devices']} x {facts['device']} ({facts['platform']}), "
        f"{facts['cores']} cores {facts['processor']}, load {facts['load']}, "
        f"jax {facts['jax']}, Python {facts['python']}"
    )


def _copy_gb_s(size: int) -> float:
    source = np.ones(size // 4, np.float32)
    call = timing.compile_call(jnp.copy, jax.device_put(source))
    if jax.default_backend() == "cpu":
        target = np.empty_like(source)
        call = timing.Call(lambda: np.copyto(target, source))
    return 2 * size / _median_s(call) / 1e9


def _matmul_gflop_s() -> float:
    side = _MATMUL_SIDE.get(jax.default_backend(), _ACCELERATOR_SIDE)
    matrix = jnp.ones((side, side), jnp.float32)
    product: Callable[..., Any] = functools.partial(jnp.matmul, precision="highest")
    return 2 * side**3 / _median_s(timing.compile_call(product, matrix, matrix)) / 1e9


def _median_s(call: timing.Call) -> float:
    return timing.compare({"peak": call}, timing.REPEATS)["peak"].median_s
