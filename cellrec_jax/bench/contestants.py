"""Ways to compute the result of a case, as `kernel.measure` takes them."""

from collections.abc import Callable
import dataclasses
import importlib.util
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax.bench import timing


@dataclasses.dataclass(frozen=True)
class Contestant:
    """One way to compute the result of a case, and the work that it does."""

    build: Callable[..., timing.Call]
    """(*inputs) -> a call that returns the result; compiles where that is needed."""
    moved_bytes: float
    """Least traffic of a call: inputs read once, results written once."""
    flops: float
    """Operations of this form; 0 where they are not known."""
    held_bytes: float = 0
    """Memory at the peak, where the call that is built does not say."""
    expected: Callable[..., Any] | None = None
    """(*inputs) -> the right result, where it is not the case's (a plain copy)."""


def jitted(
    function: Callable[..., Any], *, moved_bytes: float, flops: float
) -> Contestant:
    """A JAX function of a case's inputs; XLA says how much memory it holds."""
    return Contestant(
        lambda *args: timing.compile_call(function, *args), moved_bytes, flops
    )


def plain_copy(moved_bytes: float) -> Contestant:
    """A copy of all inputs: what a kernel that reads them all is compared with.

    Args:
      moved_bytes: size of all inputs, times two.
    """

    def copy(*args: Any) -> Any:
        return jax.tree.map(jnp.copy, args)

    return Contestant(
        lambda *args: timing.compile_call(copy, *args),
        moved_bytes,
        flops=0,
        expected=lambda *args: args,
    )


def torch_peer(
    function: Callable[..., Any],
    *,
    moved_bytes: float,
    flops: float,
    held_bytes: float = 0,
) -> Contestant:
    """A PyTorch function, where `has_torch()`; on the GPU if both see one.

    Args:
      function: of the inputs as tensors (whole numbers as int64, which PyTorch indexes
        with), to a tree of tensors.
      moved_bytes: see `Contestant`.
      flops: see `Contestant`.
      held_bytes: see `Contestant`.
    """

    def build(*args: Any) -> timing.Call:
        import torch

        on_gpu = jax.default_backend() == "gpu" and torch.cuda.is_available()
        device = "cuda" if on_gpu else "cpu"
        tensors = [torch.tensor(_indexable(array), device=device) for array in args]

        def run() -> Any:
            result = function(*tensors)
            if on_gpu:
                torch.cuda.synchronize()
            return result

        return timing.Call(run)

    return Contestant(build, moved_bytes, flops, held_bytes)


def torch_value_and_grad(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turns a scalar PyTorch function into its value and gradient to argument 0."""

    def both(first: Any, *rest: Any) -> Any:
        import torch

        leaf = first.detach().requires_grad_()
        value = function(leaf, *rest)
        return value.detach(), torch.autograd.grad(value, leaf)[0]

    return both


def has_torch() -> bool:
    """Whether peers written in PyTorch can take part."""
    return importlib.util.find_spec("torch") is not None


def to_numpy(array: Any) -> np.ndarray:
    """A float64 copy of an array or of a tensor on any device."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
    return np.asarray(array, np.float64)


def _indexable(array: Any) -> np.ndarray:
    array = np.asarray(array)
    whole = np.issubdtype(array.dtype, np.integer)
    return array.astype(np.int64) if whole else array
