"""Which share of a device's peak a training step reaches."""

from typing import Any

import jax

from cellrec_jax.train import flops

PEAKS = (
    ("H200 NVL", 835.0),
    ("H200", 989.0),
    ("H100 PCIe", 756.0),
    ("H100 NVL", 835.0),
    ("H100", 989.0),
    ("A100", 312.0),
    ("TPU v5 lite", 197.0),
    ("TPU v5", 459.0),
)
"""Part of a device kind -> 1e12 dense bfloat16 operations a second, first match.

Sources: NVIDIA's data sheets of A100, H100 and H200 (the two latter print twice as
much, with sparsity); Google Cloud's pages of TPU v5e ("TPU v5 lite") and v5p.
"""


def peak_flops(device_kind: str) -> float | None:
    """Operations a second of a kind of device, None where they are not known.

    Example:
      >>> peak_flops("NVIDIA A100-SXM4-40GB"), peak_flops("cpu")
      (312000000000000.0, None)
    """
    found = (1e12 * tera for name, tera in PEAKS if name in device_kind)
    return next(found, None)


def step_seconds(step: Any, *args: Any) -> float:
    """Seconds that a step would take at the peak; 0 where that is not known.

    Its operations on one device, of such arguments: see `flops.count`.
    """
    most = peak_flops(jax.local_devices()[0].device_kind)
    return flops.count(step, *args) / most if most else 0.0
