"""Weights and costs of boxes without an annotation, by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.losses import calibration, unmatched

ENERGY = np.array([0.5, 0.1, 0.9, 0.3, 0.7, 0.2], np.float32)
AMONG = np.array([True, True, False, True, True, False])


def test_the_densest_box_gets_the_largest_weight():
    found = unmatched.reordered(ENERGY, AMONG, "inverse")
    # Of 0.5, 0.1, 0.3, 0.7: ranks 3, 1, 2, 4 become 2, 4, 3, 1.
    np.testing.assert_array_equal(found, np.float32([0.3, 0.7, 0.9, 0.5, 0.1, 0.2]))


def test_permuted_energies_are_the_same_ones_elsewhere():
    keys = jax.random.split(jax.random.key(0), 60)
    draw = functools.partial(
        unmatched.reordered, jnp.asarray(ENERGY), jnp.asarray(AMONG), "permuted"
    )
    found = np.asarray(jax.jit(jax.vmap(draw))(keys))
    for one in found:
        assert sorted(one[AMONG]) == sorted(ENERGY[AMONG])
    np.testing.assert_array_equal(found[:, ~AMONG], np.tile(ENERGY[~AMONG], (60, 1)))
    # Any of the four may have each of the four.
    assert [len(set(column)) for column in found.T] == [4, 4, 1, 4, 4, 1]
    again = unmatched.reordered(ENERGY, AMONG, "permuted", keys[3])
    np.testing.assert_array_equal(again, found[3])


@pytest.mark.parametrize("order", unmatched.ORDERS)
def test_where_none_or_all_change_places(order):
    key = jax.random.key(1)
    none = unmatched.reordered(ENERGY, np.zeros(6, bool), order, key)
    np.testing.assert_array_equal(none, ENERGY)
    every = unmatched.reordered(ENERGY, np.ones(6, bool), order, key)
    np.testing.assert_array_equal(np.sort(every), np.sort(ENERGY))


def test_orders_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="order 'random'"):
        unmatched.reordered(ENERGY, AMONG, "random")
    with pytest.raises(ValueError, match="with a key"):
        unmatched.reordered(ENERGY, AMONG, "permuted")


def test_weights_warm_up():
    weights = jnp.array([0.0, 0.4, 1.0])
    np.testing.assert_allclose(unmatched.warmed(weights, 0.0), [1, 1, 1])
    np.testing.assert_allclose(unmatched.warmed(weights, 0.25), [0.75, 0.85, 1])
    np.testing.assert_allclose(unmatched.warmed(weights, 7.0), weights)


def test_soft_sampling_by_hand():
    """exp(-50 exp(-4)) = 0.4002, exp(-50 exp(-10)) = 0.99773."""
    found = unmatched.soft_sampling(jnp.array([0.0, 0.2, 0.5]))
    np.testing.assert_allclose(found, [0.25, 0.55013, 0.99830], atol=1e-4)
    found = unmatched.soft_sampling(jnp.array([0.0, 0.2]), unmatched.Gompertz(0, 1, 0))
    np.testing.assert_allclose(found, [np.exp(-1)] * 2, rtol=1e-6)
    slope = jax.grad(lambda near: unmatched.soft_sampling(near).sum())
    assert not np.any(slope(jnp.array([0.0, 0.2])))


def test_nearness_is_that_of_the_nearest_by_its_own_side():
    """(3, 4) is 5 px away, of 2 sides of 10 px a quarter."""
    points = np.array([[3, 4], [50, 50], [900, 900]], np.float32)
    truth = np.array([[0, 0], [40, 50], [3, 4]], np.float32)
    sides, mask = np.array([10, 100, 5], np.float32), np.array([True, True, False])
    found = unmatched.nearness_by_distance(points, truth, sides, mask)
    far = np.hypot(37, 46)
    np.testing.assert_allclose(found, [max(0.75, 1 - far / 200), 0.95, 0], rtol=1e-5)
    none = unmatched.nearness_by_distance(points, truth, sides, np.zeros(3, bool))
    assert none.tolist() == [0, 0, 0]
    empty = unmatched.nearness_by_distance(points, truth[:0], sides[:0], mask[:0])
    assert empty.tolist() == [0, 0, 0]


PROBS = np.array(
    [[0.3, 0.4, 0.3], [0.3, 0.4, 0.3], [0.1, 0.1, 0.8], [0.1, 0.6, 0.3]], np.float32
)
LABELS = np.array([2, 2, 2, 1])
CONFUSED = np.array([True, False, True, False])


def test_boxes_taken_for_cells_are_pulled_up():
    found = unmatched.recalibrated(np.log(PROBS), LABELS, CONFUSED, weight=0.1)
    assert found.mirrored.tolist() == [True, False, False, False]
    expected = [-0.1 * np.log(0.7), -np.log(0.3), -np.log(0.8), -np.log(0.6)]
    np.testing.assert_allclose(found.costs, expected, rtol=1e-5)
    np.testing.assert_allclose(found.weights, [0.1, 1, 1, 1], rtol=1e-6)


def test_recalibration_begins_as_cross_entropy():
    def costs(progress):
        return unmatched.recalibrated(
            np.log(PROBS), LABELS, CONFUSED, progress=progress
        )

    plain = -np.log(PROBS[np.arange(4), LABELS])
    np.testing.assert_allclose(costs(0.0).costs, plain, rtol=1e-5)
    half = 0.5 * (costs(0.0).costs + costs(1.0).costs)
    np.testing.assert_allclose(costs(0.5).costs, half, rtol=1e-5)


def test_recalibration_turns_the_gradient_round():
    """By hand: of background's logit p_b - 1, mirrored p_b (1 as 0.3 / 0.7 of 0.7)."""

    def total(logits):
        return unmatched.recalibrated(logits, LABELS, CONFUSED, weight=1.0).costs.sum()

    slope = np.asarray(jax.grad(total)(jnp.log(PROBS)))
    np.testing.assert_allclose(slope[0, 2], 0.3, rtol=1e-5)
    np.testing.assert_allclose(slope[1, 2], 0.3 - 1, rtol=1e-5)
    # Cells share the pull as they share the probability: no class is told.
    np.testing.assert_allclose(slope[0, :2], [-0.3 * 3 / 7, -0.3 * 4 / 7], rtol=1e-5)


def test_margin_and_class_make_up_the_cross_entropy(rng):
    logits = rng.normal(size=(6, 4)).astype(np.float32)
    labels = np.array([0, 1, 2, 3, 3, 1])
    positive = labels < 3
    margin = unmatched.foreground_margin(logits)
    classes = unmatched.class_cross_entropy(logits, labels, positive)
    found = classes + jax.nn.softplus(jnp.where(positive, -margin, margin))
    plain = calibration.weighted_cross_entropy(logits, labels, jnp.ones(6))
    np.testing.assert_allclose(found, plain, rtol=1e-5)
    np.testing.assert_allclose(
        unmatched.foreground(logits), jax.nn.sigmoid(margin), rtol=1e-5
    )
    assert np.all(np.asarray(classes)[~positive] == 0)


def test_one_class_is_told_by_its_margin_alone():
    logits = jnp.array([[1.0, 0.0], [3.0, -2.0]])

    def total(logits):
        return unmatched.class_cross_entropy(
            logits, jnp.zeros(2, int), jnp.ones(2, bool)
        ).sum()

    value, slope = jax.value_and_grad(total)(logits)
    assert value == 0
    assert not np.any(slope)
