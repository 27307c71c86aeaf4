"""Terms of the losses of cells that are annotated by points; nothing is reduced.

Of one image. Detection has the background last: K + 1 logits, or (object, background).

Sources: Shui et al., End-to-end cell recognition by point annotation, MICCAI 2022; Song
et al., Rethinking Counting and Localization in Crowds (P2PNet), ICCV 2021; Zhang and
Sabuncu, Generalized Cross Entropy Loss, NeurIPS 2018; Lin et al., Focal Loss, 2017.
"""

from collections.abc import Callable
import functools

import chex
import jax
import jax.numpy as jnp

from cellrec_jax import masking

_FEW_CLASSES = 16
_LEAST = 1e-12

Cost = Callable[[jax.Array, jax.Array], jax.Array]
"""Loss of every row, [N], of its logits, [N, C], and label, [N]."""


def point_error(
    pred_yx: jax.Array, true_yx: jax.Array, *, form: str = "squared"
) -> jax.Array:
    """Distance f32 [N] of matched points, both [N, 2] px, not reduced.

    "squared" (px^2, as P2PNet) or "norm" (px, gradient 0 at 0), which Shui et al. 2022,
    Eq. 3, print but call a mean square error.
    """
    chex.assert_shape([pred_yx, true_yx], (len(true_yx), 2))
    offsets = pred_yx.astype(jnp.float32) - true_yx.astype(jnp.float32)
    if form == "squared":
        return jnp.sum(offsets**2, axis=-1)
    if form == "norm":
        return masking.safe_norm(offsets)
    raise ValueError(f"point error {form!r}: use 'squared' or 'norm'")


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Cross entropy f32 [N] of logits [N, C]; 0 for labels not in 0..C-1."""
    _check_rows(logits, labels)
    logits = logits.astype(jnp.float32)
    if logits.shape[1] <= _FEW_CLASSES:
        cost = _few_classes(logits, labels)
    else:
        row = jnp.clip(labels, 0, logits.shape[1] - 1)[:, None]
        picked = jnp.take_along_axis(jax.nn.log_softmax(logits), row, axis=1)
        cost = -picked[:, 0]
    return jnp.where((labels >= 0) & (labels < logits.shape[1]), cost, 0.0)


def _check_rows(logits: jax.Array, labels: jax.Array) -> None:
    chex.assert_rank(logits, 2)
    chex.assert_shape(labels, logits.shape[:1])
    chex.assert_type(labels, int)


def _few_classes(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The same by columns, no gather: twice as fast on a CPU for four classes."""
    columns = [logits[:, k] for k in range(logits.shape[1])]
    largest = jax.lax.stop_gradient(functools.reduce(jnp.maximum, columns))
    total = sum(jnp.exp(column - largest) for column in columns)
    picked = sum(jnp.where(labels == k, c, 0.0) for k, c in enumerate(columns))
    return jnp.log(total) + (largest - picked)


def focal_cross_entropy(
    logits: jax.Array, labels: jax.Array, *, gamma: float = 2.0
) -> jax.Array:
    """(1 - p)^gamma times cross entropy, f32 [N]: what is learnt well counts little.

    Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, Eq. 4; their alpha is
    the caller's. Of logits [N, C]; 0 for labels not in 0..C-1. Plain at gamma 0.
    """
    cost = cross_entropy(logits, labels)
    missing = jnp.maximum(-jnp.expm1(-cost), _LEAST)  # 1 - p; its power has a slope
    return missing**gamma * cost


def detection_weights(
    labels: jax.Array, num_classes: int, *, negative_weight: float = 0.6
) -> jax.Array:
    """Background (label K) beta >= 0 (Shui et al. 0.6, P2PNet 0.5), others 1: [M]."""
    return jnp.where(labels == num_classes, negative_weight, 1.0)


def detection_cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    *,
    negative_weight: float = 0.6,
    cost: Cost = cross_entropy,
) -> jax.Array:
    """Cross entropy f32 [M], background times beta (Shui et al. 2022, Eq. 4).

    Logits are [M, K + 1]; a label of -1 counts nothing; `cost` may replace cross
    entropy. Eq. 4 divides by M, P2PNet by the sum of `detection_weights`.
    """
    background = logits.shape[1] - 1
    weights = detection_weights(labels, background, negative_weight=negative_weight)
    _check_rows(logits, labels)
    known = (labels >= 0) & (labels <= background)
    return weights * jnp.where(known, cost(logits, jnp.where(known, labels, 0)), 0.0)


def generalized_cross_entropy(
    logits: jax.Array, labels: jax.Array, *, q: jax.Array | float = 0.4
) -> jax.Array:
    """(1 - p^q) / q of the labelled class, f32 [N] in [0, 1/q]: robust to wrong labels.

    Zhang and Sabuncu 2018, Eq. 6; Shui et al. 2022, Eq. 5. Cross entropy as q -> 0
    (also below, and for NaN), 1 - p at q = 1 (also above). Computed from log p, so
    finite as p -> 0. Padded rows (label -1) get 0.

    Example:
      >>> logits = jnp.log(jnp.array([[0.25, 0.75]]))
      >>> float(generalized_cross_entropy(logits, jnp.array([0]), q=0.5)[0])
      1.0
    """
    log_p = -cross_entropy(logits, labels)
    q = jnp.minimum(jnp.asarray(q, jnp.float32), 1.0)
    positive = q > 0
    safe = jnp.where(positive, q, 1.0)
    # expm1 keeps its digits however small q is.
    return jnp.where(positive, -jnp.expm1(safe * log_p) / safe, -log_p)


def softmax_norm(logits: jax.Array, *, squared: bool = False) -> jax.Array:
    """L2 norm of the class probabilities, f32 [N], in [K^-1/2, 1]: high if sure.

    Shui et al. 2022, Eq. 5, the second term; `squared` in [1/K, 1].
    """
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
    norm = jnp.sum(jnp.exp(2.0 * log_p), axis=-1)
    return norm if squared else jnp.sqrt(norm)
