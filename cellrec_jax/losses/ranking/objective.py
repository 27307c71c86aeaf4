"""P-classification: a ranking objective that looks at the top of the list.

A sum over one set of scores, not per element. Solvers of the linear problem are in
`losses.ranking.solvers`, the measures of a ranking in `metrics.ranking`.

Sources: Ertekin and Rudin, On Equivalence Relationships Between Classification and
Ranking Algorithms, JMLR 2011; Fujii et al., Cell Detection from Imperfect Annotation by
Pseudo Label Selection Using P-classification, MICCAI 2021, Eq. 2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from cellrec_jax import masking


class Terms(NamedTuple):
    """The objective as sum_i exp(slope_i f_i + offset_i)."""

    slope: jax.Array  # f32 [N], 0 where padded
    offset: jax.Array  # f32 [N], -inf where padded


def loss_terms(
    positive: jax.Array,
    negative: jax.Array,
    p: jax.Array | float = 4.0,
    *,
    literal: bool = False,
) -> Terms:
    """Slope and offset of each element's exponent: what the objective is made of.

    Args:
      positive: bool [N]; an element of both masks counts as positive.
      negative: bool [N].
      p: see `p_classification`.
      literal: see `p_classification`.

    Returns:
      -f for positives, p f - log p (`literal`: f - log p) for negatives.
    """
    p = jnp.asarray(p, jnp.float32)
    p = jnp.where((p >= 1) & (p < jnp.inf), p, 1.0)  # NaN, too
    rise = jnp.ones_like(p) if literal else p
    slope = jnp.where(positive, -1.0, jnp.where(negative, rise, 0.0))
    offset = jnp.where(positive, 0.0, jnp.where(negative, -jnp.log(p), -jnp.inf))
    return Terms(slope, offset)


def p_classification(
    scores: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    *,
    p: jax.Array | float = 4.0,
    literal: bool = False,
) -> jax.Array:
    """Ranking objective sum_pos exp(-f) + 1/p sum_neg exp(p f).

    The larger p, the more it costs to have a negative at the top of the list, and the
    less to have a positive at its bottom. With p = 1 and the best constant added to
    all scores it is twice the root of sum_pos,neg exp(-(f_pos - f_neg)), the
    exponential loss of pairs, a bound on 1 - AUC.

    Overflows for negatives above 88 / p, like any sum of exponentials: train with
    `log_p_classification`.

    Args:
      scores: [N] f, unbounded; high is positive. Elements in neither mask are padding
        and may hold anything.
      positive: bool [N].
      negative: bool [N], apart from `positive`; inside jit an element of both counts as
        positive.
      p: >= 1 and finite; a number or a (traced) scalar, which counts as 1 where it is
        not.
      literal: whether to take exp(f), as the paper prints it, in place of exp(p f).
        With a free constant added to the scores that is of no use: it ranks the same
        for every p, since adding log(p) / 2 to all scores turns it into the objective
        of p = 1 over sqrt(p).

    Returns:
      f32 scalar >= 0; an empty set has 0, and a side without elements adds 0, where
      this is traced; outside jit they are errors.

    Raises:
      ValueError: for unequal shapes, masks that are not bool and, outside jit, p out of
        range, overlapping masks or a set with no positives or no negatives.

    References:
      Ertekin and Rudin 2011, P-classification; Fujii et al. 2021, Eq. 2. Differs from
      the latter, whose p in the exponent is missing in print, but not in its code.

    Example:
      >>> labeled = jnp.array([True, False])
      >>> p_classification(jnp.zeros(2), labeled, ~labeled, p=2)
      Array(1.5, dtype=float32)
    """
    return jnp.sum(jnp.exp(_exponents(scores, positive, negative, p, literal)))


def log_p_classification(
    scores: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    *,
    p: jax.Array | float = 4.0,
    literal: bool = False,
) -> jax.Array:
    """Logarithm of `p_classification`, by log-sum-exp: no score overflows.

    It has the same minimiser, and gradients no larger than p.

    Args:
      scores: [N], as for `p_classification`.
      positive: bool [N].
      negative: bool [N].
      p: >= 1.
      literal: see `p_classification`.

    Returns:
      f32 scalar; where this is traced, an empty set has 0 and gradient 0.

    Raises:
      ValueError: as `p_classification`.

    Example:
      >>> labeled = jnp.array([True, False])
      >>> log_p_classification(jnp.array([-1e4, 1e4]), labeled, ~labeled, p=1)
      Array(10000.693, dtype=float32)
    """
    exponents = _exponents(scores, positive, negative, p, literal)
    # An all -inf log-sum-exp has gradient NaN.
    some = jnp.any(positive | negative)
    value = jax.nn.logsumexp(jnp.where(some, exponents, 0.0))
    return jnp.where(some, value, 0.0)


def _exponents(
    scores: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    p: jax.Array | float,
    literal: bool,
) -> jax.Array:
    if scores.shape != positive.shape:
        raise ValueError(
            f"scores and masks need one shape, not {scores.shape} and {positive.shape}"
        )
    check_sides(positive, negative, p)
    terms = loss_terms(positive, negative, p, literal=literal)
    scores = jnp.where(positive | negative, scores.astype(jnp.float32), 0.0)
    return terms.slope * scores + terms.offset


def check_sides(positive: jax.Array, negative: jax.Array, p: jax.Array | float) -> None:
    """Checks masks and p: shapes and types always, values where they are known.

    Args:
      positive: bool [N].
      negative: bool [N].
      p: number or scalar.

    Raises:
      ValueError: see `p_classification`.
    """
    if positive.ndim != 1:
        raise ValueError(f"the masks must be [N], not {positive.shape}")
    masking.check_two_kinds(positive, negative, "negative")
    if masking.is_known(p) and not 1 <= float(p) < jnp.inf:
        raise ValueError(f"p must be >= 1 and finite, not {p}")
