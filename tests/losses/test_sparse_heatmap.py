"""Losses of heat maps with few labels: hand-worked pixels, masks and gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.losses import density, sparse_heatmap
from cellrec_jax.losses.calibration import Doubt
from cellrec_jax.losses.sparse_heatmap import Painted

SIZE_HW = (40, 56)
POINTS = np.array([[10.5, 12.5], [10.5, 40.5], [30.5, 20.5], [5.0, 5.0]], np.float32)
CELL = np.array([True, False, False, False])
BACKGROUND = np.array([False, True, False, False])
FORMS = {
    **{
        f"{form.__name__}_{rule}": functools.partial(form, doubt=Doubt(rule))
        for form in (sparse_heatmap.energy_weighted, sparse_heatmap.recalibrated)
        for rule in ("top", "confident")
    },
    "masked": sparse_heatmap.masked,
    "plain": sparse_heatmap.plain,
    "constant": sparse_heatmap.constant,
    "bde": sparse_heatmap.energy_weighted,
    "recalibrated": sparse_heatmap.recalibrated,
    "mean_teacher": lambda pred, painted, valid: sparse_heatmap.mean_teacher(
        pred, jnp.zeros(SIZE_HW), painted, valid
    ),
}


def paint(points_yx=POINTS) -> Painted:
    return sparse_heatmap.paint(
        points_yx, CELL, BACKGROUND, SIZE_HW, sigma_px=2.0, radius_px=4.0
    )


def bumps(*places_yx, height=0.9, sigma=2.0) -> np.ndarray:
    """A map with a bump at each place."""
    y, x = np.meshgrid(*(np.arange(n) + 0.5 for n in SIZE_HW), indexing="ij")
    maps = [
        height * np.exp(-((y - py) ** 2 + (x - px) ** 2) / (2 * sigma**2))
        for py, px in places_yx
    ]
    return np.max(maps, axis=0).astype(np.float32)


VALID = np.ones(SIZE_HW, bool)
SURE, BEST, ALL = Doubt("confident"), Doubt("top", share=0.5), Doubt("weighted")


def test_cells_are_bumps_and_both_kinds_are_known():
    target, known = paint()
    assert target[10, 12] == 1.0
    assert target[10, 40] == 0.0  # known background
    assert target[30, 20] == 0.0  # neither
    assert not known[30, 20]
    np.testing.assert_allclose(target[10, 14], np.exp(-4 / 8), rtol=1e-6)
    # Pixels whose centre is within 4 px: 49 in a disc of that radius.
    assert int(known.sum()) == 2 * 49


def test_points_that_are_neither_change_nothing():
    other = POINTS.copy()
    other[2:] = np.nan
    for a, b in zip(paint(), paint(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_masked_counts_discs_alone():
    painted = paint()
    pred = np.full(SIZE_HW, 0.25, np.float32)
    loss = sparse_heatmap.masked(pred, painted, VALID)
    assert float(loss.weights.sum()) == 2 * 49
    assert loss.costs[10, 40] == pytest.approx(0.0625)
    assert loss.costs[10, 12] == pytest.approx(0.75**2)
    assert loss.costs[30, 20] == 0.0


def test_plain_takes_the_unlabelled_for_background():
    pred = bumps((30.5, 20.5))
    loss = sparse_heatmap.plain(pred, paint(), VALID)
    assert float(loss.weights.sum()) == np.prod(SIZE_HW)
    assert loss.costs[30, 20] == pytest.approx(0.81)


def test_pixels_away_from_labels_weigh_a_constant():
    loss = sparse_heatmap.constant(bumps((30.5, 20.5)), paint(), VALID, weight=0.3)
    assert loss.costs[30, 20] == pytest.approx(0.81)
    assert loss.weights[30, 20] == pytest.approx(0.3)
    assert loss.weights[10, 12] == loss.weights[10, 40] == 1.0
    np.testing.assert_allclose(
        loss.weights.sum(), 98 + 0.3 * (np.prod(SIZE_HW) - 98), rtol=1e-5
    )


def test_energy_weighs_discs_around_unlabelled_peaks():
    places = ((10.5, 12.5), (30.5, 20.5), (30.5, 48.5))  # the first is labelled
    pred = bumps(*places)
    loss = sparse_heatmap.energy_weighted(
        pred, paint(), VALID, window_px=2, radius_px=4.0, doubt=SURE
    )
    energy = density.box_energy(jnp.array(places), jnp.ones(3, bool))
    assert loss.weights[10, 12] == 1.0
    np.testing.assert_allclose(loss.weights[30, 20], energy[1], rtol=1e-6)
    np.testing.assert_allclose(loss.weights[33, 48], energy[2], rtol=1e-6)
    assert loss.weights[36, 48] == 1.0  # out of every disc
    # 20 + 8 px to the first peak, 28 to the third; these two lie 20 + 36 px apart.
    distances = np.array([28.0, 0.0, 28.0])
    np.testing.assert_allclose(energy[1], distances.mean() / 56.0, rtol=1e-6)


def test_a_peak_at_a_label_keeps_its_weight_beyond_the_label_s_disc():
    pred = bumps((10.5, 15.5), (30.5, 48.5))  # the label is 3 px left of the first
    loss = sparse_heatmap.energy_weighted(
        pred, paint(), VALID, window_px=2, radius_px=4.0, doubt=SURE
    )
    assert loss.weights[10, 18] == 1.0  # 3 px from the peak, 6 px from the label
    assert loss.weights[30, 48] == 0.5


def test_recalibrated_pulls_doubtful_pixels_up():
    pred = bumps((30.5, 20.5), (10.5, 40.5))
    loss = sparse_heatmap.recalibrated(pred, paint(), VALID, doubt=SURE, weight=0.1)
    assert loss.costs[30, 20] == pytest.approx(0.01, rel=1e-4)
    assert loss.weights[30, 20] == pytest.approx(0.1)
    assert loss.costs[10, 40] == pytest.approx(0.81)  # known background stays so
    assert loss.weights[10, 40] == 1.0

    def total(pred):
        part = sparse_heatmap.recalibrated(pred, paint(), VALID, doubt=SURE)
        return jnp.sum(part.costs * part.weights)

    slope = jax.grad(total)(jnp.asarray(pred))
    assert slope[30, 20] == pytest.approx(-2 * 0.1 * 0.1, rel=1e-4)
    assert slope[10, 40] == pytest.approx(1.8)


LOW = ((10.5, 12.5, 0.2), (30.5, 20.5, 0.1), (30.5, 48.5, 0.05))
"""Peaks as low as those of sparse training; the first is at the label."""


def low_map() -> np.ndarray:
    return np.max([bumps((y, x), height=h) for y, x, h in LOW], axis=0)


def test_energy_of_low_peaks_is_weighted_by_their_heights():
    """The first is 28 px from each other one, which lie 28 px apart."""
    pred = low_map()
    call = functools.partial(sparse_heatmap.energy_weighted, window_px=2, radius_px=4.0)
    loss = call(pred, paint(), VALID, doubt=ALL)
    total = 0.2 + 0.1 + 0.05
    second = (0.2 * 28 + 0.05 * 28) / total / 56
    third = (0.2 * 56 + 0.1 * 28) / total / 56
    np.testing.assert_allclose(loss.weights[30, 20], second, rtol=1e-5)
    np.testing.assert_allclose(loss.weights[33, 48], third, rtol=1e-5)
    assert loss.weights[10, 12] == 1.0
    assert loss.weights[36, 48] == 1.0
    # The best two of three, each half a largest distance from both.
    best = call(pred, paint(), VALID, doubt=BEST)
    np.testing.assert_allclose(best.weights[30, 20], 0.5, rtol=1e-6)
    assert best.weights[30, 48] == 1.0
    np.testing.assert_array_equal(call(pred, paint(), VALID, doubt=SURE).weights, 1)
    # Below 0 there is nothing that could be a cell.
    np.testing.assert_array_equal(call(-1 + pred, paint(), VALID).weights, 1)


def slow_recalibrated(pred, painted, doubtful, weight):
    """Costs times weights of all pixels, and the weights, in loops, float64."""
    costs, weights = np.zeros(SIZE_HW), np.zeros(SIZE_HW)
    for at in np.ndindex(SIZE_HW):
        h, d = float(pred[at]), float(doubtful[at])
        costs[at] = (1 - d) * (h - float(painted.target[at])) ** 2
        costs[at] += weight * d * (1 - h) ** 2
        weights[at] = 1 - d + weight * d
    return costs, weights


@pytest.mark.parametrize("weight", [0.1, 0.0])
@pytest.mark.parametrize("rule", ["weighted", "top"])
def test_recalibrated_pulls_low_pixels_up_as_far_as_they_are_doubtful(rule, weight):
    pred, painted = low_map() - 0.01, paint()
    free = ~np.asarray(painted.known)
    doubtful = np.where(free, np.clip(pred, 0, 1), 0)
    doubt = Doubt(rule, share=0.02)
    if rule == "top":
        count = int(np.ceil(0.02 * free.sum()))
        last = np.sort(pred[free])[::-1][count - 1]
        above, tied = free & (pred > last), free & (pred == last)
        doubtful = above + tied * (count - above.sum()) / tied.sum()
        assert above.any()
    loss = sparse_heatmap.recalibrated(pred, painted, VALID, doubt=doubt, weight=weight)
    costs, weights = slow_recalibrated(pred, painted, doubtful, weight)
    np.testing.assert_allclose(loss.weights, weights, rtol=1e-5)
    np.testing.assert_allclose(loss.costs * loss.weights, costs, rtol=1e-4, atol=1e-8)


def test_teacher_adds_sure_peaks_and_hides_unsure_pixels():
    teacher = np.maximum(bumps((30.5, 20.5)), bumps((30.5, 48.5), height=0.4))
    teacher = np.maximum(teacher, bumps((10.5, 40.5)))  # known to be background
    loss = sparse_heatmap.mean_teacher(
        np.zeros(SIZE_HW, np.float32),
        teacher,
        paint(),
        VALID,
        sigma_px=2.0,
        window_px=2,
        threshold=0.5,
    )
    assert loss.costs[30, 20] == pytest.approx(1.0)  # a label now
    assert loss.weights[30, 48] == 0.0  # between half the threshold and it
    assert (loss.costs[10, 40], loss.weights[10, 40]) == (0.0, 1.0)
    assert (loss.costs[20, 30], loss.weights[20, 30]) == (0.0, 1.0)


@pytest.mark.parametrize("name", FORMS)
def test_garbage_outside_changes_nothing(name):
    form = FORMS[name]
    rng = np.random.default_rng(0)
    pred = rng.random(SIZE_HW, np.float32)
    valid = rng.random(SIZE_HW) < 0.5
    broken = np.where(valid, pred, np.nan)

    def total(pred):
        loss = form(pred, paint(), valid)
        return jnp.sum(jnp.where(loss.weights > 0, loss.costs * loss.weights, 0.0))

    value, slope = jax.value_and_grad(total)(jnp.asarray(pred))
    other, other_slope = jax.value_and_grad(total)(jnp.asarray(broken))
    assert value == other
    np.testing.assert_array_equal(slope, other_slope)
    assert not np.asarray(slope)[~valid].any()


@pytest.mark.parametrize("name", FORMS)
def test_without_labels_and_without_pixels_all_is_finite(name):
    none = np.zeros(4, bool)
    painted = sparse_heatmap.paint(POINTS, none, none, SIZE_HW)
    for valid in (VALID, ~VALID):
        loss = FORMS[name](jnp.full(SIZE_HW, 0.3), painted, valid)
        assert np.isfinite(loss.costs).all()
        assert np.isfinite(loss.weights).all()
        assert not np.asarray(loss.weights)[~valid].any()


def test_batch_equals_loop():
    preds = np.stack([bumps((30.5, 20.5)), bumps((12.5, 30.5))])
    painted = jax.tree.map(lambda x: jnp.stack([x, x[::-1]]), paint())
    valid = np.stack([VALID, VALID])
    both = jax.vmap(sparse_heatmap.energy_weighted)(preds, painted, valid)
    for i in range(2):
        one = sparse_heatmap.energy_weighted(
            preds[i], Painted(*(part[i] for part in painted)), VALID
        )
        np.testing.assert_allclose(both.weights[i], one.weights, rtol=1e-6)
        np.testing.assert_allclose(both.costs[i], one.costs, rtol=1e-6)


def test_only_heights_that_no_target_has_are_outside_the_range():
    pred = jnp.array([[-0.5, 0.0, 0.3], [1.0, 1.5, jnp.nan]])
    valid = jnp.array([[True, True, True], [True, True, False]])
    cost = sparse_heatmap.outside_range(pred, valid)
    np.testing.assert_allclose(cost, [[0.25, 0, 0], [0, 0.25, 0]])
    slope = jax.grad(lambda x: sparse_heatmap.outside_range(x, valid).sum())(pred)
    np.testing.assert_allclose(slope, [[-1.0, 0, 0], [0, 1.0, 0]])
