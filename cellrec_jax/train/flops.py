"""Operations of a traced program: those of its products and convolutions.

Counted before anything compiles, as no accelerator's compiler tells them.
"""

from collections.abc import Iterator
import math
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr


def count(function: Any, *args: Any) -> float:
    """Operations of a call on one device, a multiplication and an addition are two.

    A loop counts as often as it runs where that is known (`scan`), else once; of
    branches the dearest counts. Zeros between dilated pixels are left out.
    """
    return _of(jax.make_jaxpr(function)(*args).jaxpr)


def _of(jaxpr: Any) -> float:
    return sum(map(_of_equation, jaxpr.eqns))


def _of_equation(equation: Any) -> float:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        return _product(equation)
    if name == "conv_general_dilated":
        return _convolution(equation)
    if name == "cond":
        return max(map(_of, map(_open, params["branches"])))
    times = params["length"] if name == "scan" else 1
    return float(times * sum(map(_of, _inside(params))))


def _inside(params: dict[str, Any]) -> Iterator[Any]:
    """Programs that an operation calls."""
    for value in params.values():
        if isinstance(value, Jaxpr | ClosedJaxpr):
            yield _open(value)


def _open(jaxpr: Any) -> Any:
    return jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr


def _product(equation: Any) -> float:
    (contracted, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    summed = math.prod(shape[axis] for axis in contracted)
    return 2.0 * summed * math.prod(equation.outvars[0].aval.shape)


def _convolution(equation: Any) -> float:
    params = equation.params
    _, channels, *taps = params["dimension_numbers"].rhs_spec
    kernel = equation.invars[1].aval.shape
    summed = kernel[channels] * math.prod(kernel[axis] for axis in taps)
    zeros = math.prod(params["lhs_dilation"])
    return 2.0 * summed * math.prod(equation.outvars[0].aval.shape) / zeros
