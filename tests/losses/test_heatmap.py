import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import masking
from cellrec_jax.losses import heatmap

SHAPE = (3, 5, 2)
FORMS = heatmap.IOU_FORMS

bce_iou_loss = jax.jit(heatmap.bce_iou_loss)


@functools.partial(jax.jit, static_argnames="eps")
def soft_iou_losses(logits, targets, weights, eps=1.0) -> dict[str, jax.Array]:
    """Of all forms, which compile together."""
    maps = logits, targets, weights
    return {form: heatmap.soft_iou_loss(*maps, form=form, eps=eps) for form in FORMS}


@pytest.fixture
def maps(rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, targets and uneven weights, 0 at five of the 15 pixels."""
    logits = rng.normal(size=SHAPE).astype(np.float32)
    targets = rng.random(SHAPE).astype(np.float32)
    weights = rng.uniform(0.5, 2, SHAPE[:2]).astype(np.float32)
    weights.flat[::3] = 0
    return logits, targets, weights


def sigmoid(logits) -> np.ndarray:
    return 1 / (1 + np.exp(-np.asarray(logits, np.float64)))


def iou_by_pixels(logits, targets, weights, form, eps) -> list[float]:
    """One class and one pixel after the other."""
    losses = []
    for k in range(SHAPE[2]):
        above = below = eps
        for pixel in np.ndindex(SHAPE[:2]):
            p, g = sigmoid(logits)[(*pixel, k)], float(targets[(*pixel, k)])
            parts = {
                "product": (p * g, p + g - p * g),
                "log": (p * g, p + g - p * g),
                "dice": (2 * p * g, p + g),
                "min_max": (min(p, g), max(p, g)),
            }[form]
            above += weights[pixel] * parts[0]
            below += weights[pixel] * parts[1]
        losses.append(-np.log(above / below) if form == "log" else 1 - above / below)
    return losses


def test_cross_entropy_against_its_definition(maps):
    logits, targets, weights = maps
    p = sigmoid(logits)
    expected = -targets * np.log(p) - (1 - targets) * np.log(1 - p)
    values = np.asarray(heatmap.binary_cross_entropy(logits, targets, weights))
    np.testing.assert_allclose(values[weights > 0], expected[weights > 0], rtol=1e-5)
    assert not values[weights == 0].any()


@pytest.mark.parametrize("eps", [0.0, 1.0])
def test_soft_iou_against_a_loop(maps, eps):
    for form, losses in soft_iou_losses(*maps, eps=eps).items():
        expected = iou_by_pixels(*maps, form, eps)
        np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_soft_iou_by_hand():
    # P = 1/2 everywhere, G = 1 at 7 of 14 pixels: GP = 3.5, G + P = 14.
    logits, targets = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32)
    targets.reshape(15, 2)[:7] = 1
    weights = np.ones(SHAPE[:2], np.float32)
    weights[-1, -1] = 0
    losses = soft_iou_losses(logits, targets, weights, eps=0.0)
    assert losses["product"][0] == pytest.approx(1 - 3.5 / 10.5)
    assert losses["dice"][0] == pytest.approx(1 - 7 / 14)
    assert losses["log"][0] == pytest.approx(np.log(3))
    assert losses["min_max"][0] == pytest.approx(1 - 3.5 / 10.5)
    padded = soft_iou_losses(logits, targets, weights, eps=1.0)
    assert padded["product"][0] == pytest.approx(1 - 4.5 / 11.5)


def test_more_overlap_costs_less():
    """Similar papers print a form that rises with overlap."""
    targets = np.zeros(SHAPE, np.float32)
    targets[:2] = 1
    ones = np.ones(SHAPE[:2], np.float32)
    best = soft_iou_losses(6 * (2 * targets - 1), targets, ones)
    worst = soft_iou_losses(-6 * (2 * targets - 1), targets, ones)
    for form in FORMS:
        assert 0 <= best[form][0] < 0.02
        assert worst[form][0] > 0.85


def test_min_max_is_least_at_soft_targets():
    targets = np.linspace(0.1, 0.9, 30, dtype=np.float32).reshape(SHAPE)
    logits = np.log(targets / (1 - targets))
    losses = soft_iou_losses(logits, targets, np.ones(SHAPE[:2], np.float32))
    assert (losses["min_max"] < 1e-5).all()
    assert (losses["product"] > 0.3).all()


def test_mixture_is_its_parts(maps):
    weights = maps[2]
    per_pixel = np.asarray(heatmap.binary_cross_entropy(*maps)).mean(-1)
    entropy = (per_pixel * weights).sum()
    overlap = float(np.mean(soft_iou_losses(*maps)["product"]))
    mixed = 0.8 * entropy / weights.sum() + 0.2 * overlap
    assert float(bce_iou_loss(*maps)) == pytest.approx(mixed, rel=1e-6)
    other = bce_iou_loss(*maps, bce_weight=2.0, iou_weight=3.0)
    both = 2 * entropy / weights.sum() + 3 * overlap
    assert float(other) == pytest.approx(both, rel=1e-6)


def test_squared_error_against_a_loop(maps):
    """In float64, with its gradient; classes add up, pixels that count are averaged."""
    outputs, targets, weights = maps
    total, slopes = 0.0, np.zeros(SHAPE)
    for place in np.ndindex(SHAPE):
        weight = float(weights[place[:2]]) / float(weights.sum(dtype=np.float64))
        difference = float(outputs[place]) - 100.0 * float(targets[place])
        total += weight * difference**2
        slopes[place] = weight * 2 * difference
    value, slope = GRADED["squared"](outputs, targets, weights)
    assert float(value) == pytest.approx(total, rel=1e-5)
    np.testing.assert_allclose(slope, slopes, rtol=1e-5)


def test_an_image_ignores_those_of_other_devices(maps):
    logits, targets, weights = maps
    batch = [np.stack([logits] * 2), np.stack([targets] * 2)]
    uneven = np.stack([weights, 3.0 * (weights > 1)])
    one = jax.vmap(heatmap.bce_iou_loss)(*batch, uneven)
    mapped = jax.vmap(heatmap.bce_iou_loss, axis_name=masking.AXIS)(*batch, uneven)
    np.testing.assert_allclose(mapped, one, rtol=1e-6)


LOSSES = {
    **{form: functools.partial(heatmap.bce_iou_loss, form=form) for form in FORMS},
    "squared": heatmap.squared_error,
}
GRADED = {name: jax.jit(jax.value_and_grad(loss)) for name, loss in LOSSES.items()}


@pytest.mark.parametrize("name", LOSSES)
def test_garbage_without_weight_changes_nothing(maps, name):
    logits, targets, weights = maps
    graded = GRADED[name]
    value, slope = graded(logits, targets, weights)
    assert np.isfinite(slope).all()
    assert not np.asarray(slope)[weights == 0].any()
    for garbage in (np.nan, np.inf, -1e30):
        dirty = [np.where(weights[..., None] > 0, m, garbage) for m in maps[:2]]
        dirty_value, dirty_slope = graded(*np.float32(dirty), weights)
        assert dirty_value == value
        np.testing.assert_array_equal(dirty_slope, slope)


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_to_learn_from_is_finite(maps, name):
    logits, targets, weights = maps
    graded = GRADED[name]
    for none, counted in ((targets, 0 * weights), (0 * targets, weights)):
        for scale in (1, 100):
            value, slope = graded(scale * logits, none, counted)
            assert np.isfinite(value)
            assert np.isfinite(slope).all()
    assert graded(logits, targets, 0 * weights)[0] == 0


def test_a_class_without_cells_is_pushed_down(maps):
    logits, targets, weights = maps
    slope = np.asarray(GRADED["product"](logits, 0 * targets, weights)[1])
    assert (slope[weights > 0] > 0).all()
    # Without eps it costs 1 whatever is predicted; with no pixel at all, nothing.
    assert (soft_iou_losses(logits, 0 * targets, weights, eps=0.0)["dice"] == 1).all()
    assert not soft_iou_losses(logits, targets, 0 * weights, eps=0.0)["dice"].any()


@pytest.mark.parametrize("name", ["product", "min_max"])
def test_gradients(maps, name, rng):
    """Along one random direction, by central differences."""
    logits, targets, weights = maps
    direction = rng.normal(size=SHAPE).astype(np.float32)
    step = np.float32(1e-2)
    up, down = (
        GRADED[name](logits + s * direction, targets, weights)[0] for s in (step, -step)
    )
    along = np.sum(GRADED[name](*maps)[1] * direction)
    assert along == pytest.approx(float(up - down) / (2 * step), rel=0.01, abs=1e-4)


def test_vmap_equals_loop(maps):
    batch = [np.stack([m, 2 * m, 0.5 * m]).clip(-9, 1) for m in maps]
    together = jax.jit(jax.vmap(heatmap.bce_iou_loss))(*batch)
    alone = [bce_iou_loss(*(m[i] for m in batch)) for i in range(3)]
    np.testing.assert_allclose(together, alone, rtol=1e-6)


def test_half_precision_is_summed_in_float32():
    # In bfloat16 a sum of ones stops at 256.
    pred = jnp.ones((40, 50, 1), jnp.bfloat16)
    ones = jnp.ones((40, 50), bool)
    value = bce_iou_loss(0 * pred, pred, ones, bce_weight=1.0, iou_weight=0.0)
    assert value.dtype == jnp.float32
    assert float(value) == pytest.approx(np.log(2), rel=1e-5)
    overlap = bce_iou_loss(0 * pred, pred, ones, bce_weight=0.0)
    assert overlap.dtype == jnp.float32
    assert float(overlap) == pytest.approx(0.2 * (1 - 1001 / 2001))
