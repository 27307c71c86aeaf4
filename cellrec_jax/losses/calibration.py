"""Loss calibration for sparse annotations: Boxes Density Energy and its comparisons.

Of one image; C = K + 1 classes, the background last. Nothing reduces.

Sources: Li et al., A Robust Training Method for Pathological Cellular Detector via
Spatial Loss Calibration, 2021 (BDE); Wang et al., ProSelfLC, CVPR 2021; Mueller et al.,
When Does Label Smoothing Help?, 2019; Pereyra et al., Regularizing Neural Networks by
Penalizing Confident Output Distributions, 2017.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cellrec_jax.losses import density

WEIGHTED = ("bde", "constant")
"""Those that weigh what has no annotation, and leave the targets as they are."""
CALIBRATIONS = (
    "plain",
    *WEIGHTED,
    "label_smoothing",
    "proselflc",
    "confidence_penalty",
)
DOUBTS = ("weighted", "top", "confident")


class Doubt(NamedTuple):
    """Which places without an annotation may be cells; an extension of ours."""

    rule: str = "weighted"
    """"weighted", every place as far as its score says; "top", the best of them; or
    "confident", those above a threshold: with sparse annotations there are none."""
    share: float = 0.1
    """"top": of the places, (0, 1)."""
    threshold: float = 0.5
    """"confident": score, not included."""


DOUBT = Doubt()


def doubtful(scores: jax.Array, mask: jax.Array, doubt: Doubt = DOUBT) -> jax.Array:
    """How far each place is taken for a possible cell: f32 [...] in [0, 1], detached.

    Of scores and bool `mask`, both [...]; 0 outside of it. "weighted" gives the scores,
    clipped to [0, 1], the other rules 0 or 1; but of places that tie for the last of
    the "top" each has the same share of them. A ValueError for another rule.
    """
    chex.assert_equal_shape([scores, mask])
    scores = jax.lax.stop_gradient(scores).astype(jnp.float32)
    if doubt.rule == "weighted":
        return jnp.where(mask, jnp.clip(scores, 0.0, 1.0), 0.0)
    if doubt.rule == "top":
        # Not one more where the product is rounded up.
        count = jnp.ceil(doubt.share * jnp.sum(mask) - 1e-3)
        return _top(scores, mask, count.astype(jnp.int32))
    if doubt.rule == "confident":
        return (mask & (scores > doubt.threshold)).astype(jnp.float32)
    raise ValueError(f"doubt {doubt.rule!r}: use one of {DOUBTS}")


def _top(scores: jax.Array, mask: jax.Array, count: jax.Array) -> jax.Array:
    """1 for the `count` highest scores; those that tie for the last share its rest."""
    kept = jnp.where(mask, scores, -jnp.inf)
    ranked = jnp.sort(kept, axis=None, descending=True)
    last = ranked[jnp.maximum(count - 1, 0)]
    above, tied = mask & (kept > last), mask & (kept == last)
    rest = (count - jnp.sum(above)) / jnp.maximum(jnp.sum(tied), 1)
    return above + rest * tied


def doubtful_energy(
    points_yx: jax.Array,
    scores: jax.Array,
    mask: jax.Array,
    *,
    doubt: Doubt = DOUBT,
    form: str = "auto",
) -> jax.Array:
    """Boxes Density Energy of places that may be cells, f32 [N] in [0, 1]; others 1.

    Of places [N, 2] px and scores [N]; Li et al. 2021, Eq. 8, of those that are
    `doubtful`, where "weighted" weighs each pair by its scores: in the paper all boxes
    count, but they are the best of a first stage. No gradient.
    """
    taken = doubtful(scores, mask, doubt)
    points_yx = jax.lax.stop_gradient(points_yx)
    return density.box_energy(points_yx, taken > 0, weights=taken, form=form)


def bde_weights(energy: jax.Array, positive: jax.Array) -> jax.Array:
    """Weights of Eq. 9 to 11, f32 [N]: detached `energy` [N] for negatives, or 1."""
    chex.assert_equal_shape([energy, positive])
    energy = jax.lax.stop_gradient(energy).astype(jnp.float32)
    return jnp.where(positive, 1.0, energy)


def weighted_cross_entropy(
    logits: jax.Array, labels: jax.Array, weights: jax.Array
) -> jax.Array:
    """Cross entropy f32 [N] of boxes, logits [N, C], labels [N], times weights [N].

    Li et al. 2021, Eq. 9; "u_k = 0" is read as the background class. As printed
    background boxes cost nothing: they weigh 0.
    """
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
    return -weights * jnp.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]


def label_smoothing(
    logits: jax.Array, labels: jax.Array, *, epsilon: float = 0.1
) -> jax.Array:
    """Cross entropy against (1 - epsilon) one-hot + epsilon / C; f32 [N], not reduced.

    Of logits [N, C] and labels [N]; 0 <= epsilon < 1, 0.1 is usual.
    """
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
    picked = jnp.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]
    return -(1.0 - epsilon) * picked - epsilon * jnp.mean(log_p, axis=1)


def confidence_penalty(
    logits: jax.Array, labels: jax.Array, *, epsilon: float = 0.1
) -> jax.Array:
    """Cross entropy against (1 - epsilon) one-hot - epsilon p, as `label_smoothing`."""
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
    picked = jnp.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]
    entropy = -jnp.sum(jnp.exp(log_p) * log_p, axis=1)
    return -(1.0 - epsilon) * picked - epsilon * entropy


class ProSelfLC(NamedTuple):
    """Schedule of ProSelfLC. The BDE paper names none of these: they are ours."""

    total_steps: int = 10_000
    """T: steps over which trust in the model grows."""
    steepness: float = 16.0
    """B of the global trust."""
    midpoint: float = 0.5
    """rho: share of T at which global trust is 1/2."""
    detach: bool = False
    """Stop the gradient through the corrected target; the public code does not."""


PROSELFLC = ProSelfLC()


def proselflc_trust(
    logits: jax.Array, step: jax.Array, options: ProSelfLC = PROSELFLC
) -> jax.Array:
    """How far each label is replaced by the model's own prediction: f32 [N] in [0, 1].

    epsilon = g(t) l(p), g(t) = 1 / (1 + exp(-B (t/T - rho))), l(p) = 1 - H(p) / log C,
    t = `step` + 1 (Wang et al. 2021, Eq. 8-10). No gradient flows.
    """
    p = jax.nn.softmax(logits.astype(jnp.float32))
    entropy = -jnp.sum(p * jnp.log(p + 1e-12), axis=1)
    local_trust = 1.0 - entropy / jnp.log(float(logits.shape[1]))
    progress = (step + 1.0) / options.total_steps
    global_trust = jax.nn.sigmoid(options.steepness * (progress - options.midpoint))
    return jax.lax.stop_gradient(global_trust * jnp.clip(local_trust, 0.0, 1.0))


def proselflc(
    logits: jax.Array,
    labels: jax.Array,
    step: jax.Array,
    options: ProSelfLC = PROSELFLC,
) -> jax.Array:
    """Progressive self label correction, f32 [N]: -sum (1 - e) q log p + e p log p.

    Wang et al. 2021; e is `proselflc_trust`; the log of p + 1e-6, as in the public
    code.
    """
    p = jax.nn.softmax(logits.astype(jnp.float32))
    trust = proselflc_trust(logits, step, options)[:, None]
    one_hot = jax.nn.one_hot(labels, logits.shape[1])
    corrected = jax.lax.stop_gradient(p) if options.detach else p
    target = (1.0 - trust) * one_hot + trust * corrected
    return -jnp.sum(target * jnp.log(p + 1e-6), axis=1)


class Calibration(NamedTuple):
    """A choice of the above."""

    name: str = "plain"
    """One of `CALIBRATIONS`."""
    epsilon: float = 0.1
    """Of label smoothing and the confidence penalty."""
    proselflc: ProSelfLC = PROSELFLC


def calibrated_cross_entropy(
    logits: jax.Array, labels: jax.Array, step: jax.Array, options: Calibration
) -> jax.Array:
    """Cross entropy f32 [N] against the targets of a calibration, not reduced.

    Of logits [N, C], background last, and labels [N]; `step` (done so far) is for
    ProSelfLC. The weights of `WEIGHTED` are the caller's. A ValueError for unknown
    names.
    """
    if options.name not in CALIBRATIONS:
        raise ValueError(f"calibration {options.name!r}: use one of {CALIBRATIONS}")
    if options.name == "label_smoothing":
        return label_smoothing(logits, labels, epsilon=options.epsilon)
    if options.name == "confidence_penalty":
        return confidence_penalty(logits, labels, epsilon=options.epsilon)
    if options.name == "proselflc":
        return proselflc(logits, labels, step, options.proselflc)
    return weighted_cross_entropy(logits, labels, jnp.ones(len(labels)))
