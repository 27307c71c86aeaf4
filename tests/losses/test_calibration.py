import functools
import math

import jax
import jax.numpy as jnp
from jax.test_util import check_grads
import numpy as np
import pytest

from cellrec_jax.losses import calibration, density

# C = 3: two classes and the background, last.
LABELS = np.array([0, 2, 1, 2, 0], np.int32)
HALFWAY = calibration.ProSelfLC(total_steps=100, steepness=16.0)
STEP = 59  # progress 0.6
LOSSES = {
    "label_smoothing": calibration.label_smoothing,
    "confidence_penalty": calibration.confidence_penalty,
    "proselflc": functools.partial(calibration.proselflc, step=STEP, options=HALFWAY),
    "plain": functools.partial(
        calibration.weighted_cross_entropy, weights=np.ones(5, np.float32)
    ),
}


@pytest.fixture
def logits(rng) -> np.ndarray:
    return rng.normal(size=(5, 3), scale=2.0).astype(np.float32)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = np.asarray(logits, np.float64)
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def cross_entropy(logits: np.ndarray) -> np.ndarray:
    return -log_softmax(logits)[np.arange(len(LABELS)), LABELS]


def numpy_trust(logits: np.ndarray, step: int, options: calibration.ProSelfLC):
    """Global times local trust, float64, written from the paper's equations."""
    p = np.exp(log_softmax(logits))
    time = (step + 1) / options.total_steps - options.midpoint
    global_trust = 1 / (1 + np.exp(-options.steepness * time))
    entropy = -(p * np.log(p + 1e-12)).sum(axis=1)
    return global_trust * (1 - entropy / np.log(p.shape[1]))


def numpy_proselflc(logits: np.ndarray, trust: np.ndarray, frozen_p=None) -> np.ndarray:
    """-sum ((1 - e) q + e p) log(p + 1e-6); `frozen_p` for the detached target."""
    p = np.exp(log_softmax(logits))
    corrected = p if frozen_p is None else frozen_p
    target = (1 - trust[:, None]) * np.eye(3)[LABELS] + trust[:, None] * corrected
    return -(target * np.log(p + 1e-6)).sum(axis=1)


def differences(function, logits: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Gradient of the sum of `function` by central differences in float64."""
    logits = np.asarray(logits, np.float64)
    gradient = np.zeros_like(logits)
    for index in np.ndindex(*logits.shape):
        shift = np.zeros_like(logits)
        shift[index] = step
        both = function(logits + shift).sum(), function(logits - shift).sum()
        gradient[index] = (both[0] - both[1]) / (2 * step)
    return gradient


def test_bde_weights_by_hand():
    energy = jnp.array([0.2, 0.4, 1.0])
    weights = calibration.bde_weights(energy, jnp.array([True, False, False]))
    np.testing.assert_allclose(weights, [1.0, 0.4, 1.0])
    with pytest.raises(AssertionError):
        calibration.bde_weights(energy, jnp.array([True]))


def test_boxes_do_not_move_to_lower_their_energy(logits, rng):
    points = rng.uniform(0, 50, (5, 2)).astype(np.float32)
    positive = LABELS != 2

    def loss(points_yx):
        energy = density.box_energy(points_yx, jnp.ones(5, bool), form="dense")
        weights = calibration.bde_weights(energy, positive)
        return calibration.weighted_cross_entropy(logits, LABELS, weights).sum()

    assert (np.asarray(jax.jit(jax.grad(loss))(points)) == 0).all()


def test_weighted_cross_entropy(logits):
    weights = np.array([1.0, 0.5, 1.0, 0.0, 2.0], np.float32)
    expected = weights * cross_entropy(logits)
    result = calibration.weighted_cross_entropy(logits, LABELS, weights)
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_weighted_cross_entropy_by_hand():
    logits = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    weights = calibration.bde_weights(jnp.array([0.3, 0.3]), jnp.array([True, False]))
    result = calibration.weighted_cross_entropy(logits, jnp.array([0, 2]), weights)
    np.testing.assert_allclose(result, [np.log(2), -0.3 * np.log(0.8)], rtol=1e-5)


def test_energy_one_collapses_to_plain(logits):
    weights = calibration.bde_weights(jnp.ones(5), LABELS != 2)
    result = calibration.weighted_cross_entropy(logits, LABELS, weights)
    np.testing.assert_allclose(result, cross_entropy(logits), rtol=1e-5)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.125, 0.25, 0.5])
def test_label_smoothing_grid(logits, epsilon):
    target = (1 - epsilon) * np.eye(3)[LABELS] + epsilon / 3
    expected = -(target * log_softmax(logits)).sum(axis=1)
    result = calibration.label_smoothing(logits, LABELS, epsilon=epsilon)
    np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
def test_confidence_penalty_grid(logits, epsilon):
    log_p = log_softmax(logits)
    target = (1 - epsilon) * np.eye(3)[LABELS] - epsilon * np.exp(log_p)
    expected = -(target * log_p).sum(axis=1)
    result = calibration.confidence_penalty(logits, LABELS, epsilon=epsilon)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["label_smoothing", "confidence_penalty"])
def test_epsilon_zero_collapses_to_plain(logits, name):
    result = LOSSES[name](logits, LABELS, epsilon=0.0)
    np.testing.assert_allclose(result, cross_entropy(logits), rtol=1e-5)


def test_trust_by_hand():
    logits = jnp.log(jnp.array([[0.5, 0.5], [0.999999, 1e-6], [0.9, 0.1]]))
    half = calibration.proselflc_trust(
        logits, jnp.array(49), calibration.ProSelfLC(total_steps=100)
    )
    # Halfway global trust is 1/2; an undecided box gets none of it, a sure one all.
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    expected = [0.0, 0.5, 0.5 * (1 - entropy / np.log(2))]
    np.testing.assert_allclose(half, expected, atol=2e-5)


@pytest.mark.parametrize("step", [0, 24, 49, 80, 99])
@pytest.mark.parametrize("detach", [False, True])
def test_proselflc_against_numpy(logits, step, detach):
    options = HALFWAY._replace(detach=detach, midpoint=0.3)
    trust = numpy_trust(logits, step, options)
    result = calibration.proselflc_trust(logits, jnp.array(step), options)
    np.testing.assert_allclose(result, trust, atol=1e-6)
    loss = calibration.proselflc(logits, LABELS, jnp.array(step), options)
    np.testing.assert_allclose(loss, numpy_proselflc(logits, trust), rtol=1e-4)


def test_proselflc_gradient_with_and_without_detached_target(logits):
    trust = numpy_trust(logits, STEP, HALFWAY)
    p = np.exp(log_softmax(logits))
    expected = {
        False: differences(lambda z: numpy_proselflc(z, trust), logits),
        True: differences(lambda z: numpy_proselflc(z, trust, frozen_p=p), logits),
    }
    for detach, reference in expected.items():
        options = HALFWAY._replace(detach=detach)
        gradient = jax.jit(
            jax.grad(
                lambda z, o=options: calibration.proselflc(z, LABELS, STEP, o).sum()
            )
        )(logits)
        np.testing.assert_allclose(gradient, reference, atol=1e-4)
    assert np.abs(expected[True] - expected[False]).max() > 1e-2


def test_proselflc_without_trust_collapses_to_plain(logits):
    late = HALFWAY._replace(steepness=1e4)  # before the midpoint, trust is 0
    loss = calibration.proselflc(logits, LABELS, jnp.array(0), late)
    np.testing.assert_allclose(loss, cross_entropy(logits), rtol=1e-3)


def test_trust_has_no_gradient(logits):
    gradient = jax.grad(lambda z: calibration.proselflc_trust(z, STEP, HALFWAY).sum())
    assert (gradient(logits) == 0).all()


POINTS = np.array([[0, 0], [0, 4], [9, 9], [2, 7], [5, 5]], np.float32)
UNSURE = np.array([0.02, 0.2, 0.1, 0.05, 0.15], np.float32)
REAL = np.array([True, True, True, True, False])
RULES = {
    "weighted": calibration.Doubt(),
    "top": calibration.Doubt("top", share=0.5),
    "confident": calibration.Doubt("confident"),
}


def loop_energy(points_yx, scores, mask, rule, share) -> np.ndarray:
    """Energies of places that may be cells, float64, written from Eq. 5 to 8."""
    best = sorted(np.flatnonzero(mask), key=lambda i: -scores[i])
    best = best[: math.ceil(share * len(best))]
    members = {
        "weighted": np.flatnonzero(mask & (scores > 0)),
        "top": np.array(best, int),
        "confident": np.flatnonzero(mask & (scores > 0.5)),
    }[rule]
    weight = np.ones(len(mask))
    if rule == "weighted":
        weight = np.clip(scores.astype(np.float64), 0, 1)
    at, energy = np.asarray(points_yx, np.float64), np.ones(len(mask))
    apart = np.abs(at[:, None] - at[None]).sum(axis=-1)
    largest = max((apart[i, j] for i in members for j in members), default=0)
    for i in members if largest else ():
        total = sum(weight[j] for j in members)
        energy[i] = sum(weight[j] * apart[i, j] for j in members) / total / largest
    return energy


@pytest.mark.parametrize("rule", RULES)
def test_energy_of_the_doubtful_against_loops(rule, rng):
    for scale in (0.2, 1.3):  # none above 0.5, and some above 1
        points = rng.uniform(0, 50, (30, 2)).astype(np.float32)
        scores = (scale * rng.uniform(-0.2, 1, 30)).astype(np.float32)
        mask = rng.random(30) < 0.8
        found = calibration.doubtful_energy(points, scores, mask, doubt=RULES[rule])
        expected = loop_energy(points, scores, mask, rule, RULES[rule].share)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        assert (np.all(expected == 1)) == (rule == "confident" and scale < 0.5)


def test_who_is_doubtful_by_hand():
    expected = {
        "weighted": [0.02, 0.2, 0.1, 0.05, 0],
        "top": [0, 1, 1, 0, 0],  # half of four
        "confident": [0, 0, 0, 0, 0],
    }
    for rule, doubt in RULES.items():
        found = calibration.doubtful(UNSURE, REAL, doubt)
        np.testing.assert_allclose(found, expected[rule], rtol=1e-6)
    sure = calibration.doubtful(5 * UNSURE, REAL, RULES["confident"])
    assert sure.tolist() == [0, 1, 0, 0, 0]  # 0.5 is not above 0.5
    with pytest.raises(ValueError, match="likely"):
        calibration.doubtful(UNSURE, REAL, calibration.Doubt("likely"))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.3, 0.1, 0.1, 0.1, 0.9], [1, 1 / 3, 1 / 3, 1 / 3, 0]),  # two of four
        ([0.1, 0.1, 0.1, 0.1, 0.9], [0.5, 0.5, 0.5, 0.5, 0]),
        ([0.3, 0.2, 0.2, 0.1, 0.2], [1, 0.5, 0.5, 0, 0]),
    ],
)
def test_places_that_tie_share_the_rest_of_the_top(scores, expected):
    mask = jnp.array([True, True, True, True, False])
    doubt = calibration.Doubt("top", share=0.5)
    found = calibration.doubtful(jnp.array(scores), mask, doubt)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    none = calibration.doubtful(jnp.array(scores), jnp.zeros(5, bool), doubt)
    assert none.tolist() == [0] * 5


@pytest.mark.parametrize("rule", RULES)
def test_garbage_where_nothing_is_changes_no_energy(rule):
    clean = calibration.doubtful_energy(POINTS, UNSURE, REAL, doubt=RULES[rule])
    for garbage in (np.float32(1e6), np.float32(np.nan)):
        points = np.where(REAL[:, None], POINTS, garbage)
        scores = np.where(REAL, UNSURE, garbage)
        found = calibration.doubtful_energy(points, scores, REAL, doubt=RULES[rule])
        np.testing.assert_array_equal(found, clean)


@pytest.mark.parametrize("rule", RULES)
def test_doubt_has_no_gradient(rule):
    def total(points_yx, scores):
        energy = calibration.doubtful_energy(points_yx, scores, REAL, doubt=RULES[rule])
        return jnp.sum(energy * jnp.arange(5.0))

    for slope in jax.grad(total, (0, 1))(jnp.asarray(POINTS), jnp.asarray(UNSURE)):
        assert not np.any(slope)


@pytest.mark.parametrize("name", LOSSES)
def test_a_calibration_is_chosen_by_its_name(logits, name):
    chosen = calibration.Calibration(name, proselflc=HALFWAY)
    cost = calibration.calibrated_cross_entropy(logits, LABELS, STEP, chosen)
    np.testing.assert_array_equal(cost, LOSSES[name](logits, LABELS))


@pytest.mark.parametrize("name", calibration.WEIGHTED)
def test_weights_leave_the_targets_as_they_are(logits, name):
    chosen = calibration.Calibration(name)
    cost = calibration.calibrated_cross_entropy(logits, LABELS, STEP, chosen)
    np.testing.assert_allclose(cost, cross_entropy(logits), rtol=1e-5)


def test_an_epsilon_of_its_own(logits):
    chosen = calibration.Calibration("label_smoothing", epsilon=0.0)
    cost = calibration.calibrated_cross_entropy(logits, LABELS, STEP, chosen)
    np.testing.assert_allclose(cost, cross_entropy(logits), rtol=1e-5)


@pytest.mark.parametrize("name", ["label_smoothing", "confidence_penalty", "plain"])
def test_gradients(logits, name):
    total = jax.jit(lambda z: LOSSES[name](z, LABELS).sum())
    check_grads(total, (logits,), order=1, modes=("rev",), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("name", LOSSES)
def test_eager_jit_and_vmap_agree(logits, name):
    eager = LOSSES[name](jnp.asarray(logits), jnp.asarray(LABELS))
    compiled = jax.jit(LOSSES[name])(logits, LABELS)
    np.testing.assert_allclose(compiled, eager, rtol=1e-5, atol=1e-6)
    images = np.stack([logits, logits[::-1]])
    mapped = jax.vmap(LOSSES[name], in_axes=(0, None))(images, LABELS)
    np.testing.assert_allclose(mapped[0], eager, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_gives_float32(logits, name):
    half = jnp.asarray(logits, jnp.bfloat16)
    result = LOSSES[name](half, LABELS)
    assert result.dtype == jnp.float32
    expected = LOSSES[name](half.astype(jnp.float32), LABELS)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_finite_for_extreme_logits(name):
    extreme = jnp.tile(jnp.array([[100.0, -100.0, 0.0]]), (5, 1))
    value, gradient = jax.value_and_grad(lambda z: LOSSES[name](z, LABELS).sum())(
        extreme
    )
    assert jnp.isfinite(value)
    assert jnp.isfinite(gradient).all()
