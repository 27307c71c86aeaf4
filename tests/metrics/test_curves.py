from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from cellrec_jax.metrics import curves


def slow_iou(box, other, extra):
    def length(low, high):
        return max(0.0, high - low + extra)

    shared = length(max(box[0], other[0]), min(box[2], other[2])) * length(
        max(box[1], other[1]), min(box[3], other[3])
    )
    areas = [length(b[0], b[2]) * length(b[1], b[3]) for b in (box, other)]
    union = sum(areas) - shared
    return shared / union if union > 0 else 0.0


def slow_match(boxes, scores, truths, iou):
    """The VOC rule as a loop over detections."""
    taken = [False] * len(truths)
    is_tp = [False] * len(boxes)
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        overlaps = [slow_iou(boxes[i], truth, 0.0) for truth in truths]
        if overlaps and max(overlaps) > iou:
            best = overlaps.index(max(overlaps))
            is_tp[i] = not taken[best]
            taken[best] = True
    return is_tp


def slow_average_precision(scores, is_tp, num_truth, points):
    """Precision at each recall by definition, from counts at every cut."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    at_cut = []
    for k in range(1, len(order) + 1):
        hits = sum(is_tp[i] for i in order[:k])
        at_cut.append((hits / num_truth, hits / k))
    if points is not None:
        grid = [k / (points - 1) for k in range(points)]
        best = [max([p for r, p in at_cut if r >= t - 1e-9] or [0]) for t in grid]
        return sum(best) / points
    area = 0.0
    for hits in range(1, num_truth + 1):
        recall = hits / num_truth
        area += max([p for r, p in at_cut if r >= recall - 1e-9] or [0]) / num_truth
    return area


def random_boxes(rng, num):
    start = rng.integers(0, 20, (num, 2)) * np.array([1.0, 2.0])
    return np.concatenate([start, start + rng.integers(1, 15, (num, 2))], axis=1)


def test_iou_by_hand():
    box = np.array([[0.0, 0.0, 10.0, 20.0]])  # 10 high, 20 wide
    other = np.array([[5.0, 10.0, 10.0, 30.0]])  # 5 high, 20 wide; shares 5 x 10
    assert curves.pairwise_iou(box, other)[0, 0] == pytest.approx(50 / 250)
    # 11 x 21 and 6 x 21 share 6 x 11.
    plus_one = curves.pairwise_iou(box, other, voc_plus_one=True)[0, 0]
    assert plus_one == pytest.approx(66 / (231 + 126 - 66))


def test_iou_of_apart_touching_and_empty_boxes():
    boxes = np.array([[0.0, 0.0, 4.0, 6.0], [2.0, 3.0, 2.0, 3.0]])
    others = np.array([[4.0, 0.0, 8.0, 6.0], [9.0, 9.0, 9.0, 9.0]])
    assert (curves.pairwise_iou(boxes, others) == 0).all()
    assert curves.pairwise_iou(boxes[:0], others).shape == (0, 2)


def test_an_overlap_of_exactly_the_threshold_is_not_enough():
    truth = np.array([[0.0, 0.0, 10.0, 20.0]])
    half = np.array([[0.0, 0.0, 10.0, 10.0]])  # IoU 0.5
    assert not curves.match_boxes(half, np.ones(1), truth).any()
    assert curves.match_boxes(half, np.ones(1), truth, iou=0.49).all()
    # With +1 px: 11 * 11 / (11 * 21) = 0.524.
    assert curves.match_boxes(half, np.ones(1), truth, voc_plus_one=True).all()


def test_duplicates_are_false_even_if_another_box_would_do():
    truths = np.array([[0.0, 0.0, 10.0, 20.0], [1.0, 0.0, 11.0, 20.0]])
    preds = np.array([[0.0, 0.0, 10.0, 20.0], [0.0, 0.0, 10.0, 20.0]])
    # Both overlap the first box most (1.0, against 0.82 with the second).
    is_tp = curves.match_boxes(preds, np.array([0.3, 0.8]), truths)
    assert is_tp.tolist() == [False, True]


def test_ties_keep_the_order_given():
    truths = np.array([[0.0, 0.0, 10.0, 20.0]])
    preds = np.repeat(truths, 3, axis=0)
    is_tp = curves.match_boxes(preds, np.array([0.1, 0.7, 0.7]), truths)
    assert is_tp.tolist() == [False, True, False]


def test_ignored_detections_take_no_box():
    truths = np.array([[0.0, 0.0, 10.0, 20.0]])
    preds = np.repeat(truths, 2, axis=0)
    is_tp = curves.match_boxes(
        preds, np.array([0.9, 0.7]), truths, ignored=np.array([True, False])
    )
    assert is_tp.tolist() == [False, True]


def test_curve_by_hand():
    scores = np.array([0.2, 0.9, 0.6, 0.8])
    is_tp = np.array([True, True, True, False])
    recall, precision = curves.precision_recall(scores, is_tp, 5)
    # In order 0.9 T, 0.8 F, 0.6 T, 0.2 T.
    np.testing.assert_allclose(recall, [0.2, 0.2, 0.4, 0.6])
    np.testing.assert_allclose(precision, [1, 1 / 2, 2 / 3, 3 / 4])
    # Best precision from recall t on: 1 up to 0.2, 0.75 up to 0.6, then 0.
    expected = (3 * 1.0 + 4 * 0.75) / 11
    assert curves.average_precision(recall, precision, 11) == pytest.approx(expected)
    expected = 0.2 * 1.0 + 0.4 * 0.75
    assert curves.average_precision(recall, precision) == pytest.approx(expected)


def test_recall_thresholds_survive_rounding():
    # Recall 0.1 * 3 is 0.30000000000000004 and 3 / 10 is 0.3 or less: the third
    # threshold must be reached by three of ten.
    recall, precision = curves.precision_recall(np.ones(3), np.ones(3, bool), 10)
    assert curves.average_precision(recall, precision, 11) == pytest.approx(4 / 11)
    lower = recall - 1e-12
    assert curves.average_precision(lower, precision, 11) == pytest.approx(4 / 11)


def test_empty_curves():
    recall, precision = curves.precision_recall(np.zeros(0), np.zeros(0, bool), 3)
    assert recall.shape == precision.shape == (0,)
    assert curves.average_precision(recall, precision, 11) == 0.0
    assert curves.average_precision(recall, precision) == 0.0
    recall, precision = curves.precision_recall(np.ones(2), np.zeros(2, bool), 0)
    assert recall.tolist() == precision.tolist() == [0.0, 0.0]
    assert curves.match_boxes(np.zeros((2, 4)), np.ones(2), np.zeros((0, 4))).sum() == 0


def test_everything_found_gives_one():
    recall, precision = curves.precision_recall(np.ones(7), np.ones(7, bool), 7)
    assert curves.average_precision(recall, precision, 11) == pytest.approx(1.0)
    assert curves.average_precision(recall, precision) == pytest.approx(1.0)


@given(
    seed=st.integers(0, 999), num_pred=st.integers(0, 12), num_true=st.integers(0, 8)
)
def test_matching_equals_the_loop(seed, num_pred, num_true):
    rng = np.random.default_rng(seed)
    preds, truths = random_boxes(rng, num_pred), random_boxes(rng, num_true)
    scores = rng.integers(0, 5, num_pred) / 5
    overlaps = curves.pairwise_iou(preds, truths)
    expected = [[slow_iou(box, other, 0.0) for other in truths] for box in preds]
    np.testing.assert_allclose(overlaps, np.reshape(expected, (num_pred, num_true)))
    is_tp = curves.match_boxes(preds, scores, truths, iou=0.2)
    assert is_tp.tolist() == slow_match(preds, scores, truths, 0.2)


@given(
    seed=st.integers(0, 999), num=st.integers(1, 30), points=st.sampled_from([11, None])
)
def test_average_precision_equals_the_definition(seed, num, points):
    rng = np.random.default_rng(seed)
    scores, is_tp = rng.random(num), rng.random(num) < 0.6
    num_truth = int(is_tp.sum() + rng.integers(1, 10))
    recall, precision = curves.precision_recall(scores, is_tp, num_truth)
    found = curves.average_precision(recall, precision, points)
    expected = slow_average_precision(scores, is_tp, num_truth, points)
    assert found == pytest.approx(expected)


@given(
    seed=st.integers(0, 999), num=st.integers(1, 20), points=st.sampled_from([11, None])
)
def test_weights_equal_repeated_detections(seed, num, points):
    rng = np.random.default_rng(seed)
    scores, is_tp = rng.random(num), rng.random(num) < 0.6
    weights = rng.integers(0, 4, num)
    num_truth = int((is_tp * weights).sum()) + 3
    weighted = curves.precision_recall(scores, is_tp, num_truth, weights=weights)
    repeated = curves.precision_recall(
        np.repeat(scores, weights), np.repeat(is_tp, weights), num_truth
    )
    assert curves.average_precision(*weighted, points) == pytest.approx(
        curves.average_precision(*repeated, points)
    )
