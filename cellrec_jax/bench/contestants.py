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
    """A form, and what cannot be seen from it."""

    form: Callable[..., Any] | None = None
    """Of the inputs: in JAX, or in PyTorch if the contestant's name starts so."""
    build: Callable[..., timing.Call] | None = None
    """Or (gradient, *inputs) -> a call that returns the result; `gradient`: its value
    and its gradient to the first input."""
    flops: float | None = None
    """Operations of this form; None: the case's; 0: not known."""
    held_bytes: float = 0
    """Memory at the peak, where the call that is built does not say."""
    expected: Callable[..., Any] | None = None
    """(*inputs) -> the right result, where it is not the case's."""


def _copy(*inputs: Any) -> Any:
    return jax.tree.map(jnp.copy, inputs)


COPY = Contestant(
    build=lambda _, *inputs: timing.compile_call(_copy, *inputs),
    flops=0.0,
    expected=lambda *inputs: inputs,
)
"""Copies all inputs: what a kernel that reads them all is compared with."""


def build(
    name: str, contestant: Contestant, gradient: bool, args: tuple[Any, ...]
) -> timing.Call:
    """What is timed: compiled by XLA, run by PyTorch, or as the contestant says."""
    if contestant.build:
        return contestant.build(gradient, *args)
    assert contestant.form is not None  # one of the two is given
    if needs_torch(name):
        form = torch_with_gradient(contestant.form) if gradient else contestant.form
        return _torch_call(form, *args)
    form = with_gradient(contestant.form) if gradient else contestant.form
    return timing.compile_call(form, *args)


def with_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Value and gradient to argument 0; of other arrays that of the sum of squares."""

    def scalar(*args: Any) -> jax.Array:
        result = function(*args)
        return jnp.sum(result**2) if result.ndim else result

    return jax.value_and_grad(scalar)


def torch_with_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turns a scalar PyTorch function into its value and gradient to argument 0."""

    def both(first: Any, *rest: Any) -> Any:
        import torch

        leaf = first.detach().requires_grad_()
        value = function(leaf, *rest)
        return value.detach(), torch.autograd.grad(value, leaf)[0]

    return both


def needs_torch(name: str) -> bool:
    """Whether a contestant is a peer written in PyTorch."""
    return name.startswith("torch")


def has_torch() -> bool:
    """Whether peers written in PyTorch can take part."""
    return importlib.util.find_spec("torch") is not None


def to_host(array: Any) -> np.ndarray:
    """An array, or a tensor on any device, as NumPy's."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
    return np.asarray(array)


def _torch_call(form: Callable[..., Any], *args: Any) -> timing.Call:
    """On the GPU if both see one; whole numbers are int64, PyTorch's indices."""
    import torch

    on_gpu = jax.default_backend() == "gpu" and torch.cuda.is_available()
    tensors = []
    for array in map(np.asarray, args):
        whole = np.issubdtype(array.dtype, np.integer)
        array = array.astype(np.int64) if whole else array
        tensors.append(torch.tensor(array, device="cuda" if on_gpu else "cpu"))

    def run() -> Any:
        result = form(*tensors)
        if on_gpu:
            torch.cuda.synchronize()
        return result

    return timing.Call(run)
