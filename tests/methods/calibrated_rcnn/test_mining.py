"""What is mined, by hand and by slow references."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special

from cellrec_jax.methods.calibrated_rcnn import mining, stages
from cellrec_jax.methods.calibrated_rcnn.options import LossOptions

SURE = jnp.array(True)
_counts_of = jax.jit(mining.counts, static_argnames="classed")
_threshold = jax.jit(mining.threshold, static_argnums=(1, 2))


def _found(boxes, scores, labels=None, mask=None):
    number = len(boxes)
    return mining.Found(
        jnp.asarray(boxes, jnp.float32).reshape(number, 4),
        jnp.asarray([0] * number if labels is None else labels, jnp.int32),
        jnp.asarray(scores, jnp.float32),
        jnp.asarray([True] * number if mask is None else mask),
    )


def _truth(boxes, labels=None, mask=None):
    number = len(boxes)
    return stages.Truth(
        jnp.asarray(boxes, jnp.float32).reshape(number, 4),
        jnp.asarray([0] * number if labels is None else labels, jnp.int32),
        jnp.asarray([True] * number if mask is None else mask),
        jnp.ones((100, 200), bool),
    )


def _square(y, x, side=20):
    return [y, x, y + side, x + side]


def test_flips_boxes_left_to_right():
    boxes = jnp.array([[1.0, 2.0, 3.0, 6.0]])
    assert mining.flip(boxes, 10).tolist() == [[1, 4, 3, 8]]
    assert mining.flip(mining.flip(boxes, 10), 10).tolist() == boxes.tolist()


def test_one_box_a_place_whatever_its_class_best_first():
    boxes = [_square(0, 0), _square(0, 2), _square(50, 50), _square(50, 100)]
    found = _found(boxes, [0.3, 0.6, 0.5, 0.9], [0, 1, 0, 1], [True] * 3 + [False])
    best = jax.jit(mining.best, static_argnums=1)(found, 3)
    assert best.scores.tolist() == pytest.approx([0.6, 0.5, 0.0])
    assert best.mask.tolist() == [True, True, False]
    assert best.boxes_yxyx[:2].tolist() == [boxes[1], boxes[2]]
    assert best.labels[:2].tolist() == [1, 0]
    assert jax.jit(mining.best, static_argnums=1)(found, 1).boxes_yxyx.tolist() == [
        boxes[1]
    ]


def test_views_agree_by_the_lesser_score_where_boxes_overlap():
    """Shifts of 4 and 10 of 20 px overlap by 2/3 and 1/3."""
    own = _found([_square(0, 0), _square(0, 50), _square(50, 0)], [0.9, 0.4, 0.8])
    other = _found(
        [_square(0, 4), _square(0, 46), _square(50, 10), _square(50, 0)],
        [0.5, 0.7, 0.9, 0.9],
        mask=[True, True, True, False],
    )
    assert jax.jit(mining.agreed)(own, other).scores.tolist() == pytest.approx(
        [0.5, 0.4, 0.0]
    )


def test_a_place_is_the_same_by_overlap_or_by_centre():
    truth = _truth([_square(40, 40), _square(40, 40)], mask=[True, False])
    boxes = [
        _square(40, 48),  # IoU 3/7
        _square(40, 49),  # IoU 11/29, 9 px away: half of the side is 10
        _square(40, 51),  # 11 px
        [20, 20, 80, 80],  # same centre, IoU 1/9
        _square(40, 40),
    ]
    found = _found(boxes, [0.5] * 5, mask=[True] * 4 + [False])
    place = np.asarray(jax.jit(mining.same_place)(found, truth))
    assert place[:, 0].tolist() == [True, True, False, True, False]
    assert not place[:, 1].any()


def test_counts_of_cells_detections_and_right_boxes():
    cells = [_square(0, 0), _square(0, 50), _square(0, 100), _square(0, 150)]
    truth = _truth(cells, [0, 0, 1, 0], [True, True, True, False])
    boxes = [_square(0, 1), _square(0, 56), _square(0, 100), _square(60, 60)]
    found = _found(
        [*boxes, _square(0, 50)], [0.9, 0.6, 0.3, 0.2, 0.99], mask=[1] * 4 + [0]
    )
    found = found._replace(mask=found.mask.astype(bool))
    counted = np.asarray(_counts_of(found, truth))
    bins = np.floor((scipy.special.logit([0.9, 0.6, 0.3, 0.2]) + 8) * 10).astype(int)
    assert counted.sum(axis=1).tolist() == [3, 4, 3, 1]
    assert counted[mining.CELLS][bins[:3]].tolist() == [1, 1, 1]
    assert counted[mining.DETECTIONS][bins].tolist() == [1] * 4
    # The second is shifted by 6 px (IoU 0.54), the third is of another class.
    assert counted[mining.RIGHT][bins].tolist() == [1, 0, 0, 0]
    any_class = _counts_of(found, truth, classed=False)
    assert any_class[mining.RIGHT][bins].tolist() == [1, 0, 1, 0]


def test_a_cell_that_is_not_found_is_in_the_lowest_bin():
    counted = _counts_of(_found([_square(60, 60)], [0.9]), _truth([_square(0, 0)]))
    assert counted[mining.CELLS][0] == 1
    assert counted[mining.NEAR].sum() == 0


def _binned(scores):
    logits = np.clip(scipy.special.logit(np.clip(scores, 1e-6, 1 - 1e-6)), -8, 7.99)
    return np.histogram(logits, np.linspace(-8, 8, mining.BINS + 1))[0]


def _counts(cells=(), detections=(), near=(), right=()):
    rows = [_binned(np.asarray(row)) for row in (cells, detections, near, right)]
    return jnp.asarray(np.stack(rows), jnp.float32)


def test_recall_takes_the_highest_score_that_finds_its_share():
    """Within a bin (a tenth of a logit) of the score of the worst cell it needs."""
    scores = np.array([0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.0, 0.0])
    for at, worst in ((0.1, 0.9), (0.3, 0.5), (0.75, 0.02), (0.8, 0.02)):
        least = float(_threshold(_counts(scores), "recall", at))
        assert least <= worst
        gap = scipy.special.logit(worst) - scipy.special.logit(least)
        assert gap <= 0.1 + 1e-4
    assert _threshold(_counts(scores), "recall", 0.85) == 1


def test_nothing_is_taken_before_anything_was_counted():
    for rule in ("recall", "lee_liu", "precision"):
        assert _threshold(_counts(), rule, 0.5) == 1
    assert _threshold(_counts(), "score", 0.25) == 0.25


def test_lee_liu_is_the_best_of_all_thresholds():
    rng = np.random.default_rng(0)
    cells = rng.beta(2, 3, 40)
    detections = np.concatenate([cells, rng.beta(2, 3, 300), rng.beta(1, 12, 900)])
    least = float(_threshold(_counts(cells, detections), "lee_liu", 0.8))

    def worth(cut):
        return (cells >= cut).mean() ** 2 / max((detections >= cut).mean(), 1e-9)

    edges = scipy.special.expit(np.linspace(-8, 8, mining.BINS + 1)[1:-1])
    assert worth(least) == pytest.approx(max(map(worth, edges)), rel=1e-4)
    assert 0.1 < least < 0.6


def test_logistic_calibration_is_that_of_a_slow_search():
    rng = np.random.default_rng(1)
    logits = rng.normal(-1, 2, 4000)
    right = rng.random(4000) < scipy.special.expit(0.5 * logits + 1.0)
    scores = scipy.special.expit(logits)
    counted = _counts(near=scores, right=scores[right])
    slope, offset = jax.jit(mining.logistic)(
        counted[mining.NEAR], counted[mining.RIGHT]
    )
    middle = np.linspace(-8, 8, mining.BINS + 1)[:-1] + 0.05
    near, hits = (np.asarray(counted[row]) / 4000 for row in (2, 3))

    def cost(weights):
        inputs = weights[0] * middle + weights[1]
        loss = near * np.logaddexp(0, inputs) - hits * inputs
        return loss.sum() + 0.005 * ((weights[0] - 1) ** 2 + weights[1] ** 2)

    slow = scipy.optimize.minimize(cost, [1.0, 0.0]).x
    np.testing.assert_allclose([slope, offset], slow, atol=1e-3)
    np.testing.assert_allclose(slow, [0.5, 1.0], atol=0.15)
    least = _threshold(counted, "precision", 0.7)
    calibrated = slope * jax.scipy.special.logit(least) + offset
    np.testing.assert_allclose(jax.nn.sigmoid(calibrated), 0.7, atol=1e-4)


def test_scores_that_tell_the_contrary_take_nothing():
    scores = np.linspace(0.01, 0.99, 200)
    counted = _counts(near=scores, right=scores[scores < 0.3])
    counted = counted * 100.0
    assert _threshold(counted, "precision", 0.5) == 1


def test_what_is_remembered_of_parts_is_what_the_whole_gives():
    rng = np.random.default_rng(2)
    before, *parts = jnp.asarray(rng.random((3, 4, mining.BINS)), jnp.float32)
    whole = mining.remember(before, sum(parts) / 2, SURE)
    halves = [mining.remember(before, part, SURE) for part in parts]
    np.testing.assert_allclose(sum(halves) / 2, whole, rtol=1e-6)
    np.testing.assert_allclose(whole, 0.95 * before + 0.025 * sum(parts), rtol=1e-5)
    assert mining.remember(before, parts[0], ~SURE).tolist() == before.tolist()


FOUND = _found(
    [_square(0, 0), _square(0, 50), _square(0, 100), _square(60, 60), _square(60, 0)],
    [0.95, 0.8, 0.4, 0.1, 0.9],
    [1, 1, 0, 0, 0],
    [True, True, True, True, False],
)
TRUTH = _truth([_square(0, 3), _square(80, 80)], [0, 0], [True, False])


def _mine(least=0.4, sure=SURE, in_valid=(True,) * 5):
    return jax.jit(mining.mine)(
        FOUND, TRUTH, jnp.float32(least), sure, jnp.array(in_valid)
    )


def test_annotated_cells_win_over_surer_boxes():
    mined = _mine()
    assert mined.taken.tolist() == [False, True, True, False, False]
    assert mined.doubt.tolist() == pytest.approx([0, 0, 0, 0.25, 0])


def test_nothing_is_taken_in_burn_in_or_outside_of_the_region():
    burning = _mine(sure=~SURE)
    assert not burning.taken.any()
    assert not burning.doubt.any()
    outside = _mine(in_valid=(True, False, True, False, True))
    assert outside.taken.tolist() == [False, False, True, False, False]
    assert not outside.doubt.any()


def test_known_background_is_not_mined():
    """What somebody deleted neither is a pseudo label nor is doubted."""
    boxes = jnp.array([_square(0, 3), _square(0, 52)], jnp.float32)
    truth = TRUTH._replace(boxes_yxyx=boxes, background=jnp.array([False, True]))
    mined = mining.mine(FOUND, truth, jnp.float32(0.4), SURE, jnp.ones(5, bool))
    assert mined.taken.tolist() == [False, False, True, False, False]
    doubted = mining.mine(FOUND, truth, jnp.float32(0.9), SURE, jnp.ones(5, bool))
    np.testing.assert_allclose(
        doubted.doubt, [0, 0, 0.4 / 0.9, 0.1 / 0.9, 0], rtol=1e-5
    )


def test_pseudo_labels_come_after_the_annotations():
    loss = LossOptions(mining="teacher", mining_weight=0.5)
    truth = mining.extended(TRUTH, FOUND, _mine(), loss)
    assert truth.mask.tolist() == [True, False, False, True, True, False, False]
    assert truth.labels[3:5].tolist() == [1, 0]
    assert truth.boxes_yxyx[3].tolist() == _square(0, 50)
    assert truth.trust.tolist() == [1, 1, 0.5, 0.5, 0.5, 0.5, 0.5]


def test_pseudo_positives_are_no_labels_but_spared():
    loss = LossOptions(mining="pseudo_positive")
    truth = mining.extended(TRUTH, FOUND, _mine(), loss)
    assert truth.mask.tolist() == TRUTH.mask.tolist()
    assert truth.trust is None
    boxes = jnp.array([_square(0, 54), _square(0, 60), _square(60, 60), _square(0, 3)])
    spared = mining.spared(boxes.astype(jnp.float32), truth)
    assert spared.tolist() == [True, False, False, False]  # IoU 2/3, 1/3; not taken


def test_factors_of_positives_and_negatives():
    truth = mining.extended(TRUTH, FOUND, _mine(), LossOptions(mining="teacher"))
    boxes = jnp.array([_square(0, 3), _square(60, 64), _square(30, 150)], jnp.float32)
    positive = jnp.array([True, False, False])
    trust = jnp.array([0.5, 9.0, 9.0])
    factor = {
        name: mining.loss_factor(boxes, positive, trust, truth, name).tolist()
        for name in ("as_is", "doubted", "focal_iou")
    }
    assert factor["as_is"] == [0.5, 1, 1]
    # It overlaps by 2/3 what reached a quarter of the threshold.
    assert factor["doubted"] == pytest.approx([0.5, 1 - 2 / 3 / 4, 1])
    assert factor["focal_iou"] == pytest.approx([0.5, 0.5, 0.5], abs=1e-5)


def test_focal_weight_of_overlaps():
    """Overlaps of 0, 0.5 and 0.9, by hand."""
    expected = [0.5, 0.5 + 1.5 * 0.0625 * np.log(2), 0.5 + 1.5 * 0.2025 * np.log(10)]
    found = mining.focal_iou(jnp.array([0.0, 0.5, 0.9]))
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_no_gradient_through_boxes_that_are_weighed():
    truth = mining.extended(TRUTH, FOUND, _mine(), LossOptions(mining="teacher"))

    def total(boxes):
        factor = mining.loss_factor(
            boxes, jnp.zeros(1, bool), jnp.ones(1), truth, "doubted"
        )
        return jnp.sum(factor)

    boxes = jnp.array([_square(60, 64)], jnp.float32)
    assert not jax.grad(total)(boxes).any()
