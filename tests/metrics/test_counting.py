from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from cellrec_jax.metrics import counting
from cellrec_jax.metrics import results as results_lib


def line_result(pred_x, scores, true_x, pred_labels=None, true_labels=None):
    """Points on the line y = 7; no boxes."""

    def on_line(x):
        return np.stack([np.full(len(x), 7.0), np.asarray(x, float)], axis=1)

    return results_lib.ImageResult(
        image_id="a",
        group="",
        pred_points_yx=on_line(pred_x),
        pred_scores=np.asarray(scores, np.float32),
        pred_labels=np.asarray(pred_labels or [0] * len(pred_x)),
        pred_boxes_yxyx=None,
        pred_ignored=np.zeros(len(pred_x), bool),
        true_points_yx=on_line(true_x),
        true_labels=np.asarray(true_labels or [0] * len(true_x)),
        true_boxes_yxyx=None,
    )


def test_point_counts_by_hand():
    results = [
        line_result([0, 10, 50], [0.9, 0.4, 0.6], [1, 12], [0, 0, 1], [0, 0]),
        line_result([], [], [5], [], [1]),
    ]
    counts = counting.point_counts(results, np.array([0.5, 0.6]), 3.0)
    assert counts.num_matched.tolist() == [[1, 0], [0, 0]]
    assert counts.num_predicted.tolist() == [[1, 1], [0, 0]]
    assert counts.num_truth.tolist() == [[2, 0], [0, 1]]


def test_ignored_predictions_do_not_count():
    result = line_result([0, 10], [0.9, 0.9], [0, 10])
    result = result._replace(pred_ignored=np.array([True, False]))
    counts = counting.point_counts([result], np.array([0.5]), 3.0)
    assert [int(part[0, 0]) for part in counts] == [1, 1, 2]


@pytest.mark.parametrize(
    ("scores", "is_tp", "num_truth", "expected"),
    [
        # F1 at the cuts: 2/4, 4/5, 4/6: keep two.
        ([0.75, 0.5, 0.25], [1, 1, 0], 3, 0.375),
        # 2/3, 2/4, 4/5: keep all; half way to 0.
        ([0.75, 0.625, 0.5], [1, 0, 1], 2, 0.25),
        # 2/3 twice (2/(1+2), 4/(4+2)): the higher cut.
        ([0.875, 0.75, 0.5, 0.25], [1, 0, 0, 1], 2, 0.8125),
        # The tie cannot be cut between its true and its false half.
        ([0.75, 0.75, 0.5], [1, 0, 1], 2, 0.25),
        # Inside the tie F1 would be 1; at its ends it is 2/3 and 4/6.
        ([0.875, 0.75, 0.75, 0.75], [1, 1, 0, 0], 2, 0.8125),
        ([0.75, 0.5], [0, 0], 2, counting.DEFAULT_THRESHOLD),
        ([], [], 2, counting.DEFAULT_THRESHOLD),
        ([0.75], [0], 0, counting.DEFAULT_THRESHOLD),
    ],
)
def test_best_threshold_by_hand(scores, is_tp, num_truth, expected):
    found = counting.best_threshold(np.array(scores), np.array(is_tp, bool), num_truth)
    assert found == expected


def test_threshold_between_neighbouring_floats():
    low = np.float32(0.7)
    high = np.nextafter(low, np.float32(1))
    found = counting.best_threshold(np.array([high, low]), np.array([True, False]), 1)
    assert np.float32(found) == high


@given(seed=st.integers(0, 999), num=st.integers(1, 20))
def test_best_threshold_beats_every_other(seed, num):
    rng = np.random.default_rng(seed)
    scores = (rng.integers(0, 10, num) / 10).astype(np.float32)
    is_tp = rng.random(num) < 0.5
    num_truth = int(is_tp.sum() + rng.integers(0, 5))

    def f1(threshold):
        kept = scores >= np.float32(threshold)
        return 2 * is_tp[kept].sum() / max(kept.sum() + num_truth, 1)

    found = counting.best_threshold(scores, is_tp, num_truth)
    assert (
        f1(found) == max(f1(t) for t in np.arange(-0.05, 1.05, 0.1)) or not is_tp.any()
    )


def test_fit_thresholds_per_class():
    results = [
        # Class 0: 0.9 and 0.7 are right, 0.2 is not. Class 1 has no right one.
        line_result(
            [0, 20, 40, 60], [0.9, 0.7, 0.2, 0.8], [1, 21, 99], [0, 0, 0, 1], [0, 0, 1]
        )
    ]
    thresholds, num_labels = counting.fit_thresholds(results, 5.0, ["a", "b", "c"])
    assert thresholds.dtype == np.float32
    np.testing.assert_allclose(thresholds, [0.45, 0.5, 0.5], rtol=1e-6)
    assert num_labels.tolist() == [2, 1, 0]


def test_one_threshold_of_all_classes_is_that_of_detection():
    """0.9, 0.8 and 0.7 lie on cells, 0.8 on one of the other class; 0.2 on none."""
    labels = [0, 0, 1, 1], [0, 1, 1]
    results = [line_result([0, 20, 40, 60], [0.9, 0.8, 0.7, 0.2], [1, 21, 41], *labels)]
    own, _ = counting.fit_thresholds(results, 5.0, ["a", "b"])
    np.testing.assert_allclose(own, [0.85, 0.45], rtol=1e-6)
    shared, num = counting.fit_thresholds(results, 5.0, ["a", "b"], shared=True)
    np.testing.assert_allclose(shared, [0.45, 0.45], rtol=1e-6)
    assert num.tolist() == [3, 3]
    many = results * 50  # 100 labels of b, 50 of a
    found = counting.fit_operating_point(many, 5.0, ["a", "b"], [0.0], shared=True)
    np.testing.assert_array_equal(found.thresholds, shared)


@pytest.mark.parametrize(
    ("number", "scope", "thresholds"),
    [
        (50, "own", [0.85, 0.45]),  # 50 labels of a, 100 of b
        (49, "shared", [0.45, 0.45]),
        (7, "shared", [0.45, 0.45]),  # 21 labels
        (6, "default", [0.5, 0.5]),
    ],
)
def test_few_labels_choose_one_threshold_and_fewer_none(number, scope, thresholds):
    labels = [0, 0, 1, 1], [0, 1, 1]
    result = line_result([0, 20, 40, 60], [0.9, 0.8, 0.7, 0.2], [1, 21, 41], *labels)
    found = counting.fit_operating_point([result] * number, 5.0, ["a", "b"], [0.0])
    assert found.scope == scope
    np.testing.assert_allclose(found.thresholds, thresholds, rtol=1e-6)
    assert found.num_labels.tolist() == [number, 2 * number]


def test_fit_thresholds_without_images():
    thresholds, num_labels = counting.fit_thresholds([], 5.0, ["a", "b"])
    assert thresholds.tolist() == [counting.DEFAULT_THRESHOLD] * 2
    assert num_labels.tolist() == [0, 0]


def test_the_sweep_counts_augmenting_paths():
    # 0.9 sits on the only cell that 0.5 can reach, but can move to the other one.
    results = [line_result([10, 0], [0.9, 0.5], [10, 20])]
    thresholds, _ = counting.fit_thresholds(results, 12.0, ["a"])
    counts = counting.point_counts(results, thresholds, 12.0)
    assert [int(part[0, 0]) for part in counts] == [2, 2, 2]


def test_protocols_count_differently():
    # Best score first, 0.9 takes the only cell that 0.5 can reach.
    results = [line_result([10, 0], [0.9, 0.5], [10, 20])]
    found = {
        protocol: int(
            counting.point_counts(
                results, np.array([0.4]), 12.0, protocol=protocol
            ).num_matched.sum()
        )
        for protocol in ("max", "greedy_score", "nearest")
    }
    assert found == {"max": 2, "greedy_score": 1, "nearest": 1}


def test_errors_of_two_classes_cancel_in_the_number_of_cells():
    predicted, truth = np.array([[3, 1]]), np.array([[1, 4]])
    counts = counting.PointCounts(np.array([[1, 1]]), predicted, truth)
    found = counting.count_samples(counts, np.ones((1, 1), int), 3.0)["count_mae"]
    assert [part.tolist() for part in found] == [[1.0], [[2.0, 3.0]]]


def test_pool_and_ratios_by_hand():
    counts = counting.PointCounts(
        np.array([[1, 0], [2, 0]]),
        np.array([[2, 0], [2, 0]]),
        np.array([[3, 0], [2, 4]]),
    )
    pooled = counting.pool(counts, np.array([[1, 1], [2, 0]]))
    assert pooled.num_matched.tolist() == [[3, 0], [2, 0]]
    found = counting.ratios(pooled)
    np.testing.assert_allclose(found["F1"], [[6 / 9, 0], [4 / 10, np.nan]])
    np.testing.assert_allclose(found["precision"], [[3 / 4, np.nan], [1 / 2, np.nan]])
    np.testing.assert_allclose(found["recall"], [[3 / 5, 0], [1 / 3, np.nan]])


# Each cell is found twice, 4 px apart, and so is a false third: 8 px thin this out,
# 25 px thin out cells. Ten images have labels enough to choose by.
DOUBLED = [
    line_result(
        [0, 4, 20, 24, 60, 64], [0.9, 0.8, 0.7, 0.6, 0.3, 0.2], [0, 20], None, None
    )
] * 10


@pytest.mark.parametrize(
    ("distances", "chosen", "f1"),
    [
        ([0.0], 0.0, 0.8),  # 0.9, 0.8, 0.7: two of three right
        ([25.0, 8.0, 0.0], 8.0, 1.0),
        ([9.0, 8.0, 10.0], 8.0, 1.0),  # equal: the smallest
        ([25.0], 25.0, 2 / 3),
    ],
)
def test_fit_operating_point(distances, chosen, f1):
    found = counting.fit_operating_point(DOUBLED, 5.0, ["cell"], distances)
    assert found.min_distance == chosen
    assert found.value == pytest.approx(f1)
    assert found.num_labels.tolist() == [20]


def test_the_distance_fits_a_fixed_threshold():
    """Above 0.85 there is one prediction: nothing to thin, so the smallest distance."""
    for threshold, chosen, f1 in ((0.85, 0.0, 2 / 3), (0.65, 8.0, 1.0)):
        found = counting.fit_operating_point(
            DOUBLED, 5.0, ["cell"], [8.0, 0.0], threshold=threshold
        )
        assert found.min_distance == chosen
        assert found.value == pytest.approx(f1)
        assert found.thresholds == pytest.approx([threshold])
        assert found.num_labels.tolist() == [0]


@pytest.mark.parametrize("results", [DOUBLED, []])
def test_one_distance_of_zero_is_fit_thresholds(results):
    found = counting.fit_operating_point(results, 5.0, ["a"], [0.0])
    thresholds, num_labels = counting.fit_thresholds(results, 5.0, ["a"])
    np.testing.assert_array_equal(found.thresholds, thresholds)
    np.testing.assert_array_equal(found.num_labels, num_labels)
    assert found.min_distance == 0.0


def test_strict_thresholds_find_nothing_at_exactly_the_radius():
    """No match: the default threshold, and an F1 of 0 there."""
    for strict, threshold, f1 in ((False, 0.4, 1.0), (True, 0.5, 0.0)):
        results = [line_result([5], [0.8], [0])] * 20
        found = counting.fit_operating_point(results, 5.0, ["a"], [0.0], strict=strict)
        assert found.thresholds == pytest.approx([threshold])
        assert found.value == f1


def test_without_images_the_smallest_distance():
    found = counting.fit_operating_point([], 5.0, ["a"], [6.0, 3.0])
    assert (found.min_distance, found.value) == (3.0, None)
