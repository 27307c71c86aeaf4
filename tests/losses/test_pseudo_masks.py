import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.losses import pseudo_masks
from cellrec_jax.losses.pseudo_masks import IGNORE

SHAPE = (5, 7, 3)
SIZE = (9, 9)
CRF = {"sigma_px": 1.5, "sigma_rgb": 0.3}

detection_error = jax.jit(pseudo_masks.detection_error)
label_cost = jax.jit(pseudo_masks.label_cost)


@functools.partial(jax.jit, static_argnames=("window_px", "stride"))
def dense_crf(probs, image, weights, window_px=2, stride=1):
    return pseudo_masks.dense_crf(
        probs, image, weights, window_px=window_px, stride=stride, **CRF
    )


crf_with_slope = jax.jit(
    jax.value_and_grad(dense_crf), static_argnames=("window_px", "stride")
)


@pytest.fixture
def weights(rng) -> np.ndarray:
    """Uneven, 0 at a third of the pixels."""
    weights = rng.uniform(0.5, 2, SHAPE[:2]).astype(np.float32)
    weights.flat[::3] = 0
    return weights


def test_detection_error_against_a_loop(rng, weights):
    probs, targets = rng.random((2, *SHAPE)).astype(np.float32)
    targets[rng.random(SHAPE) < 0.6] = 0
    total = 0.0
    for place in np.ndindex(SHAPE):
        factor = 10.0 if targets[place] > 0 else 1.0
        error = float(probs[place]) - float(targets[place])
        total += weights[place[:2]] * factor * error**2
    expected = total / (3 * weights.astype(np.float64).sum())
    assert detection_error(probs, targets, weights) == pytest.approx(expected, rel=1e-5)


def test_detection_error_by_hand():
    """Errors of 1/2 at a cell and at two pixels that are none: 12 / 4 over three."""
    probs = np.full((1, 4, 1), 0.5, np.float32)
    targets = np.array([1.0, 0.0, 0.0, 1.0], np.float32).reshape(1, 4, 1)
    weights = np.array([[True, True, True, False]])
    assert detection_error(probs, targets, weights) == pytest.approx(1.0)
    one = detection_error(probs, targets, weights, cell_weight=1.0)
    assert one == pytest.approx(0.25)


def test_label_cost_against_a_loop(rng, weights):
    logits = rng.normal(size=SHAPE).astype(np.float32)
    labels = rng.choice([0, 1, 2, IGNORE], SHAPE[:2]).astype(np.uint8)
    total = count = 0.0
    for place in np.ndindex(SHAPE[:2]):
        if labels[place] == IGNORE:
            continue
        row = logits[place].astype(np.float64)
        cost = np.log(np.exp(row).sum()) - row[labels[place]]
        total += weights[place] * cost
        count += weights[place]
    result = label_cost(logits, labels, weights)
    assert result == pytest.approx(total / count, rel=1e-5)


def test_label_cost_takes_integers_of_any_kind(rng, weights):
    logits = rng.normal(size=SHAPE).astype(np.float32)
    labels = rng.choice([0, 2, IGNORE], SHAPE[:2])
    small = label_cost(logits, labels.astype(np.uint8), weights)
    assert label_cost(logits, labels.astype(np.int32), weights) == small
    labels[weights == 0] = 77  # no class, but it does not count
    assert label_cost(logits, labels.astype(np.uint8), weights) == small


def slow_crf(probs, image, counted, window_px, stride) -> tuple[float, np.ndarray]:
    """One ordered pair after the other, in float64, and the gradient to `probs`."""
    total, slope = 0.0, np.zeros(probs.shape)
    probs, image = probs.astype(np.float64), image.astype(np.float64)
    for i in np.ndindex(SIZE):
        for j in np.ndindex(SIZE):
            step = np.subtract(i, j)
            if i == j or abs(step).max() > window_px or (step % stride).any():
                continue
            if not (counted[i] and counted[j]):
                continue
            apart = (step**2).sum() / (2 * CRF["sigma_px"] ** 2)
            unlike = ((image[i] - image[j]) ** 2).sum() / (2 * CRF["sigma_rgb"] ** 2)
            weight = np.exp(-apart - unlike)
            total += weight * (probs[i] * (1 - probs[j])).sum()
            slope[i] += weight * (1 - probs[j])
            slope[j] -= weight * probs[i]
    return total / counted.sum(), slope / counted.sum()


@pytest.mark.parametrize(("window_px", "stride"), [(1, 1), (3, 1), (5, 2), (20, 3)])
def test_crf_against_a_loop(rng, window_px, stride):
    probs = rng.random((*SIZE, 3)).astype(np.float32)
    image = rng.random((*SIZE, 3)).astype(np.float32)
    weights = rng.uniform(0.5, 2, SIZE) * (rng.random(SIZE) < 0.8)
    value, slope = slow_crf(probs, image, weights > 0, window_px, stride)
    result, gradient = crf_with_slope(
        probs, image, weights.astype(np.float32), window_px, stride
    )
    assert result == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(gradient, slope, atol=1e-6)


def test_crf_by_hand():
    """Two pixels, a step of 1 and colours 0.3 apart; a third of another class."""
    probs = np.array([[[1, 0], [0, 1], [0, 1]]], np.float32)
    image = np.array([0.0, 0.3, 0.3], np.float32).reshape(1, 3, 1)
    weights = np.ones((1, 3), np.float32)
    weight = np.exp(-1 / 4.5 - 0.5)
    one = dense_crf(probs, image, weights, window_px=1)
    assert one == pytest.approx(4 * weight / 2 / 3, rel=1e-6)  # 2 classes, (0, 1)
    weights[0, 1] = 0
    assert dense_crf(probs, image, weights, window_px=1) == 0
    farther = np.exp(-4 / 4.5 - 0.5)
    two = dense_crf(probs, image, weights, window_px=2)
    assert two == pytest.approx(2 * farther / 2, rel=1e-6)  # two pixels count


def test_crf_of_one_class_is_nothing(rng):
    image = rng.random((*SIZE, 3)).astype(np.float32)
    sure = np.zeros((*SIZE, 3), np.float32)
    sure[..., 1] = 1
    weights = np.ones(SIZE, np.float32)
    gradient = jax.jit(jax.grad(dense_crf, argnums=(0, 1)), static_argnums=3)
    assert dense_crf(sure, image, weights, window_px=3) == 0
    to_probs, to_image = gradient(np.full_like(sure, 0.4), image, weights, 3)
    assert np.all(to_probs > 0)  # 1 - 2 S, times weights
    assert not np.any(to_image)


@jax.jit
def slopes_of_nothing(maps):
    nothing = jnp.zeros(SHAPE[:2])
    costs = (
        lambda m: pseudo_masks.detection_error(m, m + 1, nothing),
        lambda m: pseudo_masks.label_cost(m, nothing.astype(jnp.uint8), nothing),
        lambda m: pseudo_masks.label_cost(
            m, jnp.uint8(IGNORE + 0 * nothing), m[..., 0]
        ),
        lambda m: pseudo_masks.dense_crf(m, m, nothing, window_px=1),
    )
    return [jax.value_and_grad(cost)(maps) for cost in costs]


def test_nothing_counts():
    for value, gradient in slopes_of_nothing(jnp.full(SHAPE, 0.5)):
        assert value == 0
        assert not np.any(gradient)
