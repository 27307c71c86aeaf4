"""One of several functions, by the platform that a program is compiled for."""

from collections.abc import Callable, Mapping
from typing import Any

import jax


def dependent(functions: Mapping[str, Callable[..., Any]], *args: Any) -> Any:
    """Calls that of "cpu", "gpu" (CUDA and ROCm) or "tpu" (and whatever else)."""
    gpu = functions["gpu"]
    return jax.lax.platform_dependent(
        *args, cpu=functions["cpu"], cuda=gpu, rocm=gpu, default=functions["tpu"]
    )
