"""Positive-unlabelled risk: learning from some labelled cells and nothing else.

Of one whole set of scores. With l the surrogate, R_p^+ = mean over positives of l(g),
R_p^- of l(-g), R_u^- the mean over unlabelled of l(-g), R^- = R_u^- - prior R_p^-:

- "unbiased": prior R_p^+ + R^-. Flexible models drive it below 0.
- "clip": prior R_p^+ + max(0, R^-).
- "non_negative": as unbiased while R^- >= -beta. Below, the value is prior R_p^+ -
  beta, the gradient that of -gamma R^- alone, so use no line search.

Sources: du Plessis et al., Convex Formulation for Learning from Positive and Unlabeled
Data, ICML 2015 (unbiased); Kiryo et al., Positive-Unlabeled Learning with Non-Negative
Risk Estimator, NeurIPS 2017, Eq. 2 and 6, Algorithm 1; Fujii et al., Cell Detection
from Imperfect Annotation by Pseudo Label Selection Using P-classification, MICCAI 2021,
Eq. 1 (zero-one; logistic in their code). Differs: without unlabelled scores R^- is 0.
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cellrec_jax import masking

ESTIMATORS = ("unbiased", "clip", "non_negative")

_ATANH = tuple(1.0 / power for power in range(15, 0, -2))  # highest first


@jax.custom_jvp
def logistic(margin: jax.Array) -> jax.Array:
    """Logistic surrogate log(1 + exp(-margin)), the cross entropy of a sigmoid."""
    # log1p(e) = 2 atanh(e / (2 + e)), exact in f32; faster than `jax.nn.softplus`.
    e = jnp.exp(-jnp.abs(margin))
    z = e / (2.0 + e)
    series = jnp.zeros_like(z)
    for coefficient in _ATANH:
        series = series * z * z + coefficient
    return jnp.maximum(-margin, 0.0) + 2.0 * z * series


@logistic.defjvp
def _logistic_jvp(
    primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (margin,), (tangent,) = primals, tangents
    return logistic(margin), -jax.nn.sigmoid(-margin) * tangent


SURROGATES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "sigmoid": lambda margin: jax.nn.sigmoid(-margin),  # the default of Kiryo et al.
    "logistic": logistic,
    "zero_one": lambda margin: (1.0 - jnp.sign(margin)) / 2.0,  # without gradient
}
"""Name -> surrogate of the zero-one loss, of margins (above 0 is right)."""


class PuRisk(NamedTuple):
    """A risk to minimise, and its two parts for logging; f32 scalars."""

    risk: jax.Array
    positive_risk: jax.Array
    """prior R_p^+, of taking positives for negatives."""
    negative_risk: jax.Array
    """R_u^- - prior R_p^-, before any clipping; below 0 is a sign of overfitting."""


def pu_risk(
    scores: jax.Array,
    positive: jax.Array,
    unlabeled: jax.Array,
    prior: jax.Array | float,
    *,
    estimator: str = "clip",
    surrogate: str = "logistic",
    beta: jax.Array | float = 0.0,
    gamma: jax.Array | float = 1.0,
) -> PuRisk:
    """Risk of a classifier, estimated from positive and unlabelled scores.

    Defaults are Fujii et al.'s; Kiryo et al. take "non_negative" and "sigmoid". Sets
    are those of all devices. Without positives the risk is R_u^-, without unlabelled
    prior R_p^+, else 0. Numbers out of range are clipped, and NaN counts as 0.

    Args:
      scores: [...] g, unbounded; above 0 is positive. In neither mask is padding.
      positive: bool [...].
      unlabeled: bool [...]; an element of both masks counts in both.
      prior: share of positives in (0, 1), may be traced, no gradient.
      estimator: one of `ESTIMATORS`.
      surrogate: name in `SURROGATES`.
      beta: >= 0, how far below 0 R^- may go; for "non_negative" only.
      gamma: in (0, 1], the size of the step back; for "non_negative" only.

    Example:
      >>> labeled = jnp.array([True, False])
      >>> pu_risk(jnp.zeros(2), labeled, ~labeled, 0.5, surrogate="zero_one").risk
      Array(0.5, dtype=float32)
    """
    chex.assert_equal_shape([scores, positive, unlabeled])
    chex.assert_type([positive, unlabeled], bool)
    chex.assert_rank(prior, 0)
    if estimator not in ESTIMATORS:
        raise ValueError(f"unknown estimator {estimator!r}; use one of {ESTIMATORS}")
    prior, beta, gamma = _clipped(prior, 1.0), _clipped(beta), _clipped(gamma, 1.0)
    positive_risk, negative_risk = _partial_risks(
        scores, positive, unlabeled, prior, SURROGATES[surrogate]
    )
    # Of all devices; collectives stay out of the gradient.
    overall = masking.device_mean(jax.lax.stop_gradient(negative_risk))
    risk = positive_risk + negative_risk
    if estimator == "clip":
        risk = jnp.where(overall > 0, risk, positive_risk)
    elif estimator == "non_negative":
        ascent = -gamma * negative_risk
        zero = ascent - jax.lax.stop_gradient(ascent)  # that has the gradient
        value = jax.lax.stop_gradient(positive_risk) - beta
        risk = jnp.where(overall < -beta, value + zero, risk)
    return PuRisk(risk, positive_risk, negative_risk)


def _partial_risks(
    scores: jax.Array,
    positive: jax.Array,
    unlabeled: jax.Array,
    prior: jax.Array,
    surrogate: Callable[[jax.Array], jax.Array],
) -> tuple[jax.Array, jax.Array]:
    """Returns (prior R_p^+, R_u^- - prior R_p^-) as sums that share their scores."""
    of_positive, _ = _mean_weights(positive)
    of_unlabeled, num_unlabeled = _mean_weights(unlabeled)
    correction = jnp.where(num_unlabeled > 0, prior, 0.0) * of_positive
    scores = jnp.where(positive | unlabeled, scores.astype(jnp.float32), 0.0)
    return (
        prior * jnp.sum(jnp.where(positive, of_positive * surrogate(scores), 0.0)),
        jnp.sum((of_unlabeled - correction) * surrogate(-scores)),
    )


def _clipped(number: jax.Array | float, high: float = jnp.inf) -> jax.Array:
    """Clips to [0, high], NaN to 0; without gradient."""
    number = jax.lax.stop_gradient(jnp.asarray(number, jnp.float32))
    return jnp.where(number > 0, jnp.minimum(number, high), 0.0)


def _mean_weights(mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Weights that make a sum the mean over `mask` (0 if empty), and the count."""
    count = masking.device_mean(jnp.sum(mask).astype(jnp.float32))
    return mask.astype(jnp.float32) / jnp.where(count > 0, count, 1.0), count
