"""Each equation against a loop in float64, its gradient against differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.losses import multitask

SHAPE = (4, 5, 2)
FORMS = ("dice", "product", "log")


@pytest.fixture
def maps(rng):
    """Logits of two maps, circles of 0 and 1, and weights, 0 at seven of 20 pixels."""
    logits = rng.normal(size=SHAPE).astype(np.float32)
    other = rng.normal(size=SHAPE).astype(np.float32)
    circles = (rng.random(SHAPE) < 0.4).astype(np.float32)
    weights = np.ones(SHAPE[:2], np.float32)
    weights.flat[::3] = 0
    return logits, other, circles, weights


def sigmoid(logits) -> np.ndarray:
    return 1 / (1 + np.exp(-np.asarray(logits, np.float64)))


def pixels(weights, num_maps=2):
    """Indices (i, j, l) of what counts."""
    for i, j in np.ndindex(weights.shape):
        for k in range(num_maps):
            if weights[i, j]:
                yield i, j, k


def loop_main(logits, circles, weights, form, literal):
    """Eq. 1 to 3, one pixel after the other."""
    p, places = sigmoid(logits), list(pixels(weights))
    entropy = 0.0
    for at in places:
        entropy -= circles[at] * np.log(p[at])
        entropy -= 0.0 if literal else (1 - circles[at]) * np.log(1 - p[at])
    overlaps = []
    for k in range(2):
        both = true = found = 0.0
        for at in (at for at in places if at[2] == k):
            both += circles[at] * p[at]
            true += circles[at]
            found += p[at]
        share = (both + 1) / (true + found - both + 1)
        overlaps.append(
            {
                "literal": both / (true + found),
                "dice": 1 - (2 * both + 1) / (true + found + 1),
                "product": 1 - share,
                "log": -np.log(share),
            }["literal" if literal else form]
        )
    return 0.8 * entropy / len(places) + 0.2 * np.mean(overlaps)


def loop_error(probs, targets, weights, power):
    """Eq. 4 and 5, one pixel after the other; also the sum of Eq. 6."""
    places = list(pixels(weights, probs.shape[2]))
    total = sum(abs(float(probs[at]) - float(targets[at])) ** power for at in places)
    return total / len(places), total


def along(call, value, rng):
    """Slopes along one direction: of the gradient, and of central differences."""
    direction = rng.normal(size=value.shape).astype(np.float32)
    slope = np.sum(np.asarray(jax.jit(jax.grad(call))(value)) * direction)
    step = np.float32(1e-2)
    up, down = (float(call(value + sign * step * direction)) for sign in (1, -1))
    return slope, (up - down) / (2 * step)


@pytest.mark.parametrize("form", [*FORMS, "literal"])
def test_main_loss_against_a_loop(maps, form, rng):
    logits, _, circles, weights = maps
    literal = form == "literal"
    options = {"literal": True} if literal else {"form": form}
    call = jax.jit(functools.partial(multitask.main_loss, **options))
    expected = loop_main(logits, circles, weights, form, literal)
    assert call(logits, circles, weights) == pytest.approx(expected, rel=1e-5)
    found, wanted = along(lambda x: call(x, circles, weights), logits, rng)
    assert found == pytest.approx(wanted, rel=0.01, abs=1e-4)


@pytest.mark.parametrize(("norm", "power"), [("squared", 2), ("absolute", 1)])
def test_errors_against_a_loop(maps, norm, power, rng):
    logits, other, circles, weights = maps
    p, q = sigmoid(logits).astype(np.float32), sigmoid(other).astype(np.float32)
    call = jax.jit(functools.partial(multitask.map_error, norm=norm))
    for targets in (circles, q):  # Eq. 4, Eq. 5
        mean, _ = loop_error(p, targets, weights, power)
        assert call(p, targets, weights) == pytest.approx(mean, rel=1e-5)
    for index in (0, 1):  # Eq. 5 teaches both decoders
        pair = [p, q]
        found, wanted = along(
            lambda x, i=index, pair=pair: call(*pair[:i], x, *pair[i + 1 :], weights),
            pair[index],
            rng,
        )
        assert found == pytest.approx(wanted, rel=0.02, abs=1e-4)
        assert abs(found) > 1e-4
    mean, total = loop_error(p[..., :1], q[..., :1], weights, power)
    prior = functools.partial(multitask.prior_error, p[..., :1], q[..., :1], weights)
    assert prior(norm=norm) == pytest.approx(mean, rel=1e-5)
    assert prior(norm=norm, literal=True) == pytest.approx(total, rel=1e-5)


def test_as_printed_all_ones_win_and_overlap_costs(maps):
    """Why `literal` is an option only."""
    _, _, circles, weights = maps
    loss = jax.jit(multitask.main_loss, static_argnames=("literal", "iou_weight"))
    right = np.where(circles > 0, 9.0, -9.0).astype(np.float32)
    ones = np.full(SHAPE, 9.0, np.float32)
    entropy = functools.partial(loss, iou_weight=0.0)
    assert entropy(ones, circles, weights, literal=True) <= entropy(
        right, circles, weights, literal=True
    )
    assert entropy(ones, circles, weights) > 1 > entropy(right, circles, weights)
    overlap = jax.jit(multitask.printed_overlap)
    assert (overlap(right, circles, weights) > 0.49).all()
    assert (overlap(-right, circles, weights) < 0.01).all()
    assert not overlap(right, circles, 0 * weights).any()


def test_unknown_norms_are_refused():
    one = jnp.ones((2, 2, 1))
    with pytest.raises(ValueError, match="squared or absolute"):
        multitask.map_error(one, one, one[..., 0], norm="l3")
