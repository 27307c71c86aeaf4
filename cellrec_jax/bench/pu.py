"""Non-negative PU risk against a copy of its inputs, by number of scores.

Rivals are the formula written down in JAX, and, with PyTorch installed, the original
form with autograd: masks as float weights, a branch on the host where it clips.
"""

from collections.abc import Callable, Iterator
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax.bench import kernel
from cellrec_jax.bench.report import Report, Settings
from cellrec_jax.losses import pu

SIZES = (10**4, 10**5, 10**6, 10**7)
_PRIOR = 0.4
_LABELED = 0.1  # share of the scores
_INPUT_BYTES = 4 + 1 + 1  # a score and two masks
_FLOPS = {kernel.FORWARD: 40, kernel.BOTH: 60}  # a score: two surrogates and sums


def run(settings: Settings, say: Callable[[str], None]) -> Report:
    """Times the risk, and the risk with its gradient.

    Args:
      settings: `sizes` are numbers of scores.
      say: told what is being measured.
    """
    cases = _cases(settings.sizes or SIZES)
    return kernel.measure("pu", cases, settings, say, x="scores")


def _cases(sizes: tuple[int, ...]) -> Iterator[kernel.Case]:
    for size in sizes:
        for direction in (kernel.FORWARD, kernel.BOTH):
            yield make_case(size, direction)


def make_case(size: int, direction: str) -> kernel.Case:
    """All contestants on `size` random scores."""
    backward = direction == kernel.BOTH
    work = {
        "moved_bytes": size * (_INPUT_BYTES + 4.0 * backward),
        "flops": float(size * _FLOPS[direction]),
    }
    forms = {"pu_risk": _risk, "plain JAX": _plain_risk}
    contestants = {
        name: kernel.jitted(jax.value_and_grad(form) if backward else form, **work)
        for name, form in forms.items()
    }
    contestants["copy"] = kernel.plain_copy(2.0 * _INPUT_BYTES * size)
    if kernel.has_torch():
        contestants["torch"] = kernel.torch_peer(
            functools.partial(_torch_risk, backward=backward), **work
        )
    return kernel.Case(
        point={"scores": size},
        inputs=functools.partial(_draw, size),
        contestants=contestants,
        expected=functools.partial(_expected, backward=backward),
        against="copy",
        direction=direction,
        tolerance=1e-4,
    )


def _draw(size: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    scores = 2.0 * rng.standard_normal(size, np.float32)
    positive = rng.random(size, np.float32) < _LABELED
    positive[0], positive[-1] = True, False  # however few there are
    return scores, positive, ~positive


def _risk(scores: jax.Array, positive: jax.Array, unlabeled: jax.Array) -> jax.Array:
    return pu.pu_risk(
        scores, positive, unlabeled, _PRIOR, estimator="non_negative"
    ).risk


def _plain_risk(
    scores: jax.Array, positive: jax.Array, unlabeled: jax.Array
) -> jax.Array:
    right, wrong = jax.nn.softplus(-scores), jax.nn.softplus(scores)
    positive_risk = _PRIOR * jnp.mean(right, where=positive)
    negative_risk = jnp.mean(wrong, where=unlabeled)
    negative_risk -= _PRIOR * jnp.mean(wrong, where=positive)
    ascent = jax.lax.stop_gradient(positive_risk + negative_risk) - negative_risk
    clipped = ascent + jax.lax.stop_gradient(-ascent + positive_risk)
    return jnp.where(negative_risk < 0, clipped, positive_risk + negative_risk)


def _torch_risk(scores: Any, positive: Any, unlabeled: Any, *, backward: bool) -> Any:
    import torch
    from torch.nn import functional

    with torch.set_grad_enabled(backward):
        scores = scores.detach().requires_grad_(backward)
        of_positive = positive.float() / positive.sum().clamp(min=1)
        of_unlabeled = unlabeled.float() / unlabeled.sum().clamp(min=1)
        positive_risk = (_PRIOR * of_positive * functional.softplus(-scores)).sum()
        weights = of_unlabeled - _PRIOR * of_positive
        negative_risk = (weights * functional.softplus(scores)).sum()
        clips = bool(negative_risk < 0)
        value = positive_risk if clips else positive_risk + negative_risk
        if not backward:
            return value
        objective = -negative_risk if clips else value
        return value.detach(), torch.autograd.grad(objective, scores)[0]


def _expected(
    scores: jax.Array, positive: jax.Array, unlabeled: jax.Array, *, backward: bool
) -> Any:
    g = np.asarray(scores, np.float64)
    labeled, rest = np.asarray(positive), np.asarray(unlabeled)
    of_positive = _PRIOR * labeled / labeled.sum()
    weights = rest / rest.sum() - of_positive
    positive_risk = np.sum(of_positive * np.logaddexp(0, -g))
    negative_risk = np.sum(weights * np.logaddexp(0, g))
    clips = negative_risk < 0
    value = positive_risk + (0 if clips else negative_risk)
    if not backward:
        return value
    sigmoid = 1 / (1 + np.exp(-g))
    negative_gradient = weights * sigmoid
    both = negative_gradient - of_positive * (1 - sigmoid)
    return value, -negative_gradient if clips else both
