"""Rules and estimates from a part of the labels, against all labels."""

import numpy as np
import pytest

from cellrec_jax.metrics import counting, partial
from cellrec_jax.metrics.results import ImageResult, Pooled

NUM_IMAGES, NUM_CELLS, NUM_FALSE = 8, 120, 200
RADIUS = 5.0


def simulate(seed):
    """Images whose cells score higher than false detections; a tenth are not found."""
    rng = np.random.default_rng(seed)
    results = []
    for index in range(NUM_IMAGES):
        number = NUM_CELLS + NUM_FALSE
        places = np.stack(np.divmod(rng.permutation(24 * 24)[:number], 24), 1) * 20.0
        cells, false = places[:NUM_CELLS], places[NUM_CELLS:]
        found = cells[rng.random(NUM_CELLS) < 0.9]
        scores = np.r_[rng.beta(3, 3, len(found)), rng.beta(1, 4, NUM_FALSE)]
        points = np.r_[found + rng.uniform(-2, 2, found.shape), false]
        results.append(
            ImageResult(
                str(index),
                "",
                points,
                scores.astype(np.float32),
                np.zeros(number - NUM_CELLS + len(found), int),
                None,
                np.zeros(len(points), bool),
                cells,
                np.zeros(NUM_CELLS, int),
                None,
            )
        )
    return results


def thin(results, share, rng):
    """The same with each label kept at a chance, the rest unknown."""
    thinned = []
    for one in results:
        kept = rng.random(len(one.true_labels)) < share
        thinned.append(
            one._replace(
                true_points_yx=one.true_points_yx[kept],
                true_labels=one.true_labels[kept],
            )
        )
    return thinned


def f1_at(results, threshold):
    """Of all labels."""
    counts = counting.point_counts(results, np.array([threshold]), RADIUS)
    return float(counting.f1_of(*(part.sum() for part in counts)))


def test_rules_by_hand():
    """8 of 10 labels match, of 100 detections; 100 cells if labels are a tenth."""
    counts = np.array([8]), np.array([100]), 10
    assert partial.rule_of("f1")(*counts) == pytest.approx(16 / 110)
    assert partial.rule_of("lee_liu")(*counts) == pytest.approx(0.8**2 * 10 / 100)
    assert partial.rule_of("known_share", 0.1)(*counts) == pytest.approx(160 / 200)
    for name in partial.RULES:
        assert np.isnan(partial.rule_of(name, 0.5)(np.array([0]), np.array([0]), 0))


@pytest.mark.parametrize("seed", range(5))
def test_a_share_of_one_is_f1(seed):
    rng = np.random.default_rng(seed)
    scores, right = rng.random(40), rng.random(40) < 0.4
    whole = partial.rule_of("known_share", 1.0)
    plain = counting.best_threshold(scores, right, 30)
    assert counting.best_threshold(scores, right, 30, whole) == plain


@pytest.mark.parametrize(("share", "most"), [(0.1, 0.03), (0.3, 0.01)])
def test_a_part_of_the_labels_chooses_nearly_as_all_do(share, most):
    """Drawn 10 times, of 960: F1 of all labels at what each rule chooses of a part."""
    results = simulate(0)
    ((best,), _) = counting.fit_thresholds(results, RADIUS, ["a"])
    lost = dict.fromkeys(partial.RULES, 0.0)
    rng = np.random.default_rng(1)
    for _ in range(10):
        few = thin(results, share, rng)
        for name in lost:
            rule = partial.rule_of(name, share)
            ((cut,), _) = counting.fit_thresholds(few, RADIUS, ["a"], rule=rule)
            lost[name] += (f1_at(results, best) - f1_at(results, cut)) / 10
    assert 0 <= lost["known_share"] < most
    assert 0 <= lost["lee_liu"] < most
    assert lost["f1"] > 0.04


def test_values_of_a_part_are_those_of_all_on_average():
    """F1 itself by the known share, and precision times recall by Lee and Liu."""
    results, share = simulate(2), 0.2
    rng = np.random.default_rng(3)
    parts = [thin(results, share, rng) for _ in range(40)]
    for cut in (0.15, 0.3, 0.5):
        matched, predicted, truth = (
            part.sum()
            for part in counting.point_counts(results, np.array([cut]), RADIUS)
        )
        found = {"known_share": [], "lee_liu": []}
        for few in parts:
            counts = counting.point_counts(few, np.array([cut]), RADIUS)
            for name, values in found.items():
                rule = partial.rule_of(name, share)
                values.append(float(rule(*(part.sum() for part in counts))))
        f1 = 2 * matched / (predicted + truth)
        assert np.mean(found["known_share"]) == pytest.approx(f1, rel=0.03)
        both = matched / predicted * matched / truth
        assert np.mean(found["lee_liu"]) == pytest.approx(share * both, rel=0.06)


def test_labels_drawn_anew_match_as_often_and_vary_as_a_share_does():
    """30 of 40 labels match: 40 x 3/4 x 1/4 = 7.5 is the variance."""
    right = np.arange(60) % 2 == 0
    pooled = Pooled(
        np.linspace(1, 0, 60), right, np.zeros(60, int), num_truth=np.array([40])
    )
    rng = np.random.default_rng(0)
    drawn = [partial._draw_labels(pooled, rng) for _ in range(4000)]
    hits = np.array([matched for matched, _, _ in drawn])
    np.testing.assert_allclose(hits.mean(axis=0), np.cumsum(right), atol=0.25)
    assert hits[:, -1].var() == pytest.approx(7.5, rel=0.1)
    assert {(predicted[-1], total) for _, predicted, total in drawn} == {(60, 40)}


def test_images_drawn_anew_take_all_that_is_theirs():
    """Of two images: 2 matches, 3 detections and 4 labels, or 1, 2 and 1."""
    pooled = Pooled(
        np.linspace(1, 0.5, 5),
        np.array([True, True, False, True, False]),
        np.array([0, 1, 0, 0, 1]),
        np.array([4, 1]),
    )
    rng = np.random.default_rng(0)
    drawn = [partial._draw_images(pooled, rng) for _ in range(50)]
    ends = {(int(m[-1]), int(n[-1]), int(total)) for m, n, total in drawn}
    assert ends == {(4, 6, 8), (3, 5, 5), (2, 4, 2)}


def test_intervals_hold_the_threshold_and_shrink_with_labels():
    rule, rng = partial.rule_of("lee_liu"), np.random.default_rng(0)
    widths = []
    for share in (0.05, 0.8):
        few = thin(simulate(4), share, rng)
        ((cut,), _) = counting.fit_thresholds(few, RADIUS, ["a"], rule=rule)
        ((low, high),) = partial.threshold_intervals(few, RADIUS, 1, rule)
        assert low <= cut <= high
        widths.append(high - low)
    assert widths[0] > 1.5 * widths[1] > 0


def test_intervals_of_what_cannot_vary_and_of_nothing():
    result = simulate(5)[0]
    sure = result._replace(pred_scores=np.full_like(result.pred_scores, 0.8))
    rule = partial.rule_of("known_share", 0.5)
    for options in ({}, {"by_image": True}):
        found = partial.threshold_intervals([sure] * 2, RADIUS, 2, rule, **options)
        np.testing.assert_allclose(found[0], [0.4, 0.4])
        assert np.isnan(found[1]).all()  # no label of this class
    shared = partial.threshold_intervals([sure] * 2, RADIUS, 2, rule, shared=True)
    np.testing.assert_allclose(shared, [[0.4, 0.4]] * 2)
    one = partial.threshold_intervals([sure], RADIUS, 1, rule, by_image=True)
    assert np.isnan(one).all()
