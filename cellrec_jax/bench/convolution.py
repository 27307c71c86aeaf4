"""Gradient of a convolution's kernel against XLA's own, by layer.

Two sizes are those of the small networks that CPUs train, two of ResNet-50. On
accelerators both forms are XLA's.
"""

from collections.abc import Callable, Iterable, Iterator
import functools
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from cellrec_jax.bench import kernel
from cellrec_jax.bench.report import Report, Settings
from cellrec_jax.ops import convolution


class Layer(NamedTuple):
    """A convolution of stride 1 that keeps the size of its images."""

    taps: int
    """Side of the kernel; odd."""
    channels: int
    features: int
    px: int
    batch: int


LAYERS = (
    Layer(taps=3, channels=24, features=24, px=256, batch=4),
    Layer(taps=3, channels=48, features=48, px=128, batch=4),
    Layer(taps=3, channels=256, features=256, px=50, batch=1),
    Layer(taps=1, channels=256, features=1024, px=50, batch=1),
)


def run(settings: Settings, say: Callable[[str], None]) -> Report:
    """Times the gradient of the kernel alone.

    Args:
      settings: `sizes` are px a side, of the second of `LAYERS`.
      say: told what is being measured.
    """
    layers = [LAYERS[1]._replace(px=px) for px in settings.sizes] or LAYERS
    return kernel.measure("convolution", _cases(layers), settings, say, x="px")


def _cases(layers: Iterable[Layer]) -> Iterator[kernel.Case]:
    for layer in layers:
        taps, channels, features, px, batch = layer
        pixels = float(batch * px**2)
        work = {
            "moved_bytes": 4.0 * (pixels * (channels + features)),
            "flops": 2 * pixels * taps**2 * channels * features,
        }
        forms: dict[str, Callable[..., jax.Array]] = {
            "blocks": convolution.conv_general_dilated,
            "XLA": lax.conv_general_dilated,
        }
        contestants = {
            name: kernel.jitted(
                functools.partial(_gradient, taps=taps, convolve=form), **work
            )
            for name, form in forms.items()
        }
        if kernel.has_torch():
            contestants["torch"] = kernel.torch_peer(
                functools.partial(_torch_gradient, taps=taps), **work
            )
        yield kernel.Case(
            point={
                "layer": f"{taps}x{taps}, {channels} to {features}",
                "px": px,
                "batch": batch,
            },
            inputs=functools.partial(_draw, layer),
            contestants=contestants,
            expected=functools.partial(_expected, taps=taps),
            against="XLA",
            direction="gradient",
            tolerance=1e-4,
        )


def _draw(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Input, and gradient of the output."""
    rng = np.random.default_rng(0)
    shape = (layer.batch, layer.px, layer.px)
    x = rng.standard_normal((*shape, layer.channels), np.float32)
    return x, rng.standard_normal((*shape, layer.features), np.float32)


def _gradient(
    x: jax.Array, gradient: jax.Array, *, taps: int, convolve: Callable[..., jax.Array]
) -> jax.Array:
    def of_kernel(weights: jax.Array) -> jax.Array:
        numbers = ("NHWC", "HWIO", "NHWC")
        return convolve(x, weights, (1, 1), "SAME", dimension_numbers=numbers)

    shape = (taps, taps, x.shape[-1], gradient.shape[-1])
    _, pull = jax.vjp(of_kernel, jnp.zeros(shape, x.dtype))
    return pull(gradient)[0]


def _torch_gradient(x: Any, gradient: Any, *, taps: int) -> Any:
    import torch

    # Views in the layout "channels last", which PyTorch takes as it is.
    x, gradient = x.permute(0, 3, 1, 2), gradient.permute(0, 3, 1, 2)
    shape = (gradient.shape[1], x.shape[1], taps, taps)
    found = torch.nn.grad.conv2d_weight(x, shape, gradient, padding=taps // 2)
    return found.permute(2, 3, 1, 0)


def _expected(x: jax.Array, gradient: jax.Array, *, taps: int) -> np.ndarray:
    """A matrix product a tap."""
    pad = taps // 2
    wide = np.pad(np.asarray(x), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    sums = np.asarray(gradient).reshape(-1, gradient.shape[-1])
    _, height, width, channels = x.shape
    found = [
        wide[:, i : i + height, j : j + width].reshape(-1, channels).T @ sums
        for i in range(taps)
        for j in range(taps)
    ]
    return np.reshape(found, (taps, taps, channels, -1))
