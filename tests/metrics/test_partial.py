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


def counts_of(matched, predicted, labels):
    """Counts of one image."""
    return counting.PointCounts(*(np.array([x]) for x in (matched, predicted, labels)))


def test_estimates_by_hand():
    """A fifth is labelled: 100 and 50 cells; 80 of 120, 20 of 25 detections right."""
    found = partial.estimates(counts_of([16, 4], [120, 25], [20, 10]), 0.2, 12.0, num=9)
    expected = {
        "recall_estimated@12px": (20 / 30, [0.8, 0.4]),
        "precision_estimated@12px": (100 / 145, [80 / 120, 20 / 25]),
        "F1_estimated@12px": (200 / (145 + 150), [160 / 220, 40 / 75]),
        "count_estimated": (150, [100, 50]),
    }
    assert found.keys() == expected.keys()
    for name, (together, by_class) in expected.items():
        values, classes = found[name]
        assert values.shape == (10,)
        assert values[0] == pytest.approx(together)
        np.testing.assert_allclose(classes[0], by_class)


def test_no_more_than_all_is_right():
    """6 labels of a tenth, all matched by 30 detections: 60 cannot be right."""
    found = partial.estimates(counts_of([6], [30], [6]), 0.1, 12.0)
    for name in ("precision", "F1", "recall"):
        values, _ = found[f"{name}_estimated@12px"]
        assert np.nanmax(values) <= 1
    assert found["precision_estimated@12px"][0][0] == 1
    assert found["F1_estimated@12px"][0][0] == pytest.approx(60 / 90)


def test_without_a_share_only_recall_is_known():
    found = partial.estimates(counts_of([8], [99], [10]), 0.0, 12.0)
    ((values, _),) = found.values()
    assert list(found) == ["recall_estimated@12px"]
    assert values[0] == 0.8
    low, high = np.quantile(values[1:], [0.025, 0.975])
    assert low < 0.7 < 0.9 < high <= 1


def test_images_without_labels_have_no_recall():
    found = partial.estimates(counts_of([0], [5], [0]), 0.5, 12.0, num=4)
    assert np.isnan(found["recall_estimated@12px"][0][0])
    assert found["precision_estimated@12px"][0][0] == 0
    assert found["count_estimated"][0][0] == 0


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_intervals_cover_what_all_labels_say(exact, share):
    """Of 150 draws of labels of 400 cells, 90 % of them found, 80 % of 450 right."""
    rng = np.random.default_rng(5)
    truth = {"recall": 0.9, "precision": 0.8, "F1": 720 / 850, "count": 400}
    covered = dict.fromkeys(truth, 0)
    for seed in range(150):
        if exact:
            hits = int(rng.hypergeometric(360, 40, round(400 * share)))
            labels = round(400 * share)
        else:
            hits, misses = rng.binomial(360, share), rng.binomial(40, share)
            labels = hits + misses
        found = partial.estimates(
            counts_of([hits], [450], [labels]),
            share,
            12.0,
            exact=exact,
            num=200,
            seed=seed,
        )
        for name, value in truth.items():
            at = "" if name == "count" else "@12px"
            values, _ = found[f"{name}_estimated{at}"]
            low, high = np.quantile(values[1:], (0.025, 0.975))
            covered[name] += low - 1e-9 <= value <= high + 1e-9
    for name, number in covered.items():
        assert number >= 0.88 * 150
        if not (exact and name == "count"):  # which is known
            assert number < 150


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_intervals_of_classes_cover_where_as_many_labels_are_drawn_of_all(share):
    """Of 300 cells of one class 270 are found, of 100 of another 60, in 300 draws."""
    cells, hits = np.array([300, 100]), np.array([270, 60])
    predicted = np.array([340, 90])
    truth = {
        "recall": hits / cells,
        "precision": hits / predicted,
        "F1": 2 * hits / (cells + predicted),
        "count": cells,
    }
    covered = {name: np.zeros(2) for name in truth}
    rng = np.random.default_rng(7)
    for seed in range(300):
        of_each = np.r_[hits, cells - hits]
        drawn = rng.multivariate_hypergeometric(of_each, round(400 * share))
        labels = drawn[:2] + drawn[2:]
        counts = counts_of(drawn[:2], predicted, labels)
        found = partial.estimates(counts, share, 12.0, exact=True, num=200, seed=seed)
        for name, values in truth.items():
            at = "" if name == "count" else "@12px"
            _, by_class = found[f"{name}_estimated{at}"]
            low, high = np.quantile(by_class[1:], (0.025, 0.975), axis=0)
            covered[name] += (low - 1e-9 <= values) & (values <= high + 1e-9)
        assert np.ptp(found["count_estimated"][0]) == 0  # of both, which is known
    for numbers in covered.values():
        assert (numbers >= 0.91 * 300).all()
        assert (numbers < 300).all()


def detections(seed=0, number=400):
    """Scores, and which are cells: nearly all of the better half."""
    rng = np.random.default_rng(seed)
    right = np.arange(number) < 0.8 * number
    scores = np.where(right, rng.beta(6, 2, number), rng.beta(2, 5, number))
    return np.sort(scores)[::-1], right[np.argsort(-scores)]


def test_a_random_sample_seldom_looks_chosen():
    scores, right = detections()
    rng = np.random.default_rng(1)
    alarms = asked = 0
    for _ in range(200):
        labelled = right & (rng.random(len(right)) < 0.15)
        values = partial.chosen(scores, labelled, 0.15, rng.random(len(right)))
        assert len(values) in (2, 4)
        asked += len(values) == 4
        alarms += min(values.values()) * len(values) < 0.05
    assert alarms <= 0.08 * 200
    assert asked > 100


def test_nor_where_a_weak_detector_finds_as_much_else():
    """Of the better half three fifths are cells, and those score higher."""
    rng = np.random.default_rng(0)
    right = rng.random(2000) < 0.45
    scores = np.where(right, rng.beta(4, 4, 2000), rng.beta(3, 5, 2000))
    stains = rng.random(2000) + 0.5 * right
    alarms = 0
    for _ in range(200):
        labelled = right & (rng.random(2000) < 0.5)
        values = partial.chosen(scores, labelled, 0.5, stains)
        alarms += min(values.values()) * len(values) < 0.05
    assert alarms <= 0.08 * 200


@pytest.mark.parametrize(
    ("order", "name", "most"),
    [
        (slice(None, 40), "higher scores", 1e-4),
        (slice(None, 40), "too many of the best", 0.01),  # 40 of 200, 25 are expected
        (slice(-40, None), "lower scores", 1e-4),
    ],
)
def test_the_plainest_cells_look_chosen(order, name, most):
    """40 of 320 cells, by falling score the first ones or the last ones."""
    scores, right = detections()
    labelled = np.zeros(len(right), bool)
    labelled[np.flatnonzero(right)[order]] = True
    assert partial.chosen(scores, labelled, 0.125)[name] < most


def test_dark_cells_look_chosen_by_their_stain():
    scores, right = detections()
    stains = np.random.default_rng(2).random(len(right))
    labelled = right & (stains < 0.2)
    assert partial.chosen(scores, labelled, 0.0, stains)["another stain"] < 1e-4
    assert "too many of the best" not in partial.chosen(scores, labelled)


def test_nothing_found_looks_like_nothing():
    none = np.zeros(0)
    assert partial.chosen(none, none.astype(bool), 0.5) == {}
    scores = np.array([0.9, 0.8])
    assert min(partial.chosen(scores, np.zeros(2, bool)).values()) == 1
