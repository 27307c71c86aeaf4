"""P-classification: a ranking objective that looks at the top of the list.

Sources: Ertekin and Rudin, On Equivalence Relationships Between Classification and
Ranking Algorithms, JMLR 2011; Fujii et al., Cell Detection from Imperfect Annotation by
Pseudo Label Selection Using P-classification, MICCAI 2021, Eq. 2.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp


class Terms(NamedTuple):
    """The objective as sum_i exp(slope_i f_i + offset_i)."""

    slope: jax.Array  # f32 [N], 0 where padded
    offset: jax.Array  # f32 [N], -inf where padded


def loss_terms(
    positive: jax.Array, negative: jax.Array, p: jax.Array | float = 4.0
) -> Terms:
    """Slope and offset of exponents: -f of positives, p f - log p of negatives."""
    chex.assert_rank([positive, negative], 1)
    chex.assert_equal_shape([positive, negative])
    chex.assert_type([positive, negative], bool)
    p = jnp.asarray(p, jnp.float32)
    p = jnp.where((p >= 1) & (p < jnp.inf), p, 1.0)  # NaN, too
    slope = jnp.where(positive, -1.0, jnp.where(negative, p, 0.0))
    offset = jnp.where(positive, 0.0, jnp.where(negative, -jnp.log(p), -jnp.inf))
    return Terms(slope, offset)


def log_p_classification(
    scores: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    *,
    p: jax.Array | float = 4.0,
) -> jax.Array:
    """Logarithm of the ranking objective sum_pos exp(-f) + 1/p sum_neg exp(p f).

    The larger p, the more a negative at the top costs. At p = 1 with the best constant
    it is twice the root of the exponential loss of pairs, a bound on 1 - AUC. The
    logarithm has the same minimiser, gradients up to p, and does not overflow. Scores f
    are [N]; in neither mask is padding, in both is positive; p >= 1 may be traced. A
    side without elements adds nothing, an empty set has 0.

    Ertekin and Rudin 2011; Fujii et al. 2021, Eq. 2, where the p in the exponent is
    missing in print, but not in the code.

    Example:
      >>> labeled = jnp.array([True, False])
      >>> log_p_classification(jnp.array([-1e4, 1e4]), labeled, ~labeled, p=1)
      Array(10000.693, dtype=float32)
    """
    chex.assert_equal_shape([scores, positive])
    terms = loss_terms(positive, negative, p)
    some = jnp.any(positive | negative)
    scores = jnp.where(positive | negative, scores.astype(jnp.float32), 0.0)
    exponents = terms.slope * scores + terms.offset
    # An all -inf log-sum-exp has gradient NaN.
    value = jax.nn.logsumexp(jnp.where(some, exponents, 0.0))
    return jnp.where(some, value, 0.0)
