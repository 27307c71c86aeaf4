import json

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from cellrec_jax.metrics import counting, matching, recognition, samples
from cellrec_jax.metrics import results as results_lib


def make_result(pred_yx, scores, pred_labels, true_yx, true_labels):
    return results_lib.ImageResult(
        image_id="a",
        group="",
        pred_points_yx=np.reshape(np.asarray(pred_yx, float), (-1, 2)),
        pred_scores=np.asarray(scores, np.float32),
        pred_labels=np.asarray(pred_labels, int),
        pred_boxes_yxyx=None,
        pred_ignored=np.zeros(len(scores), bool),
        true_points_yx=np.reshape(np.asarray(true_yx, float), (-1, 2)),
        true_labels=np.asarray(true_labels, int),
        true_boxes_yxyx=None,
    )


def random_result(seed, num_classes=3):
    rng = np.random.default_rng(seed)
    num_pred, num_true = rng.integers(0, 25, 2)
    return make_result(
        rng.uniform(0, 1, (num_pred, 2)) * np.array([50, 80]),
        rng.integers(0, 21, num_pred) / 20,
        rng.integers(0, num_classes, num_pred),
        rng.uniform(0, 1, (num_true, 2)) * np.array([50, 80]),
        rng.integers(0, num_classes, num_true),
    )


# Cells: a at (10, 20), a at (10, 60), b at (40, 20), b at (40, 60). Predicted: the
# first right, the second as b, the third not, the fourth right; a false a at (25, 90)
# and another a at (40, 25) below its threshold.
HAND = make_result(
    [[11, 20], [10, 61], [40, 63], [25, 90], [40, 25]],
    [0.9, 0.8, 0.7, 0.6, 0.4],
    [0, 1, 1, 0, 0],
    [[10, 20], [10, 60], [40, 20], [40, 60]],
    [0, 0, 1, 1],
)
THRESHOLDS = np.array([0.5, 0.5])


def test_confusion_by_hand():
    confusion = recognition.confusion_matrices([HAND], THRESHOLDS, 12.0)
    assert confusion.tolist() == [[[1, 1, 0], [0, 1, 1], [1, 0, 0]]]
    detected = recognition.detection_counts(confusion)
    assert [part.tolist() for part in detected] == [[[3]], [[4]], [[4]]]


def test_pairs_are_the_nearest_of_the_largest_matchings():
    # Both cells are within reach of both predictions: order must not decide.
    result = make_result(
        [[5, 12], [5, 2]], [0.9, 0.8], [1, 0], [[5, 1], [5, 11]], [0, 1]
    )
    confusion = recognition.confusion_matrices([result], THRESHOLDS, 12.0)
    assert confusion[0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_ignored_predictions_are_not_false_detections():
    ignored = HAND._replace(pred_ignored=np.array([0, 0, 0, 1, 1], bool))
    confusion = recognition.confusion_matrices([ignored], THRESHOLDS, 12.0)
    assert confusion[0, -1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("protocol", matching.METHODS)
@given(seed=st.integers(0, 10**6))
def test_confusion_against_loops(protocol, seed):
    result, thresholds = random_result(seed), np.array([0.2, 0.5, 0.8])
    expected = np.zeros((4, 4), int)
    sure = [
        i
        for i, label in enumerate(result.pred_labels)
        if result.pred_scores[i] >= np.float32(thresholds[label])
    ]
    pairs = matching.match_points(
        result.pred_points_yx[sure],
        result.true_points_yx,
        12.0,
        method=protocol,
        scores=result.pred_scores[sure],
    )
    owner = {int(true): sure[pred] for pred, true in pairs}
    for true, label in enumerate(result.true_labels):
        column = result.pred_labels[owner[true]] if true in owner else 3
        expected[label, column] += 1
    for pred in set(sure) - set(owner.values()):
        expected[3, result.pred_labels[pred]] += 1
    found = recognition.confusion_matrices(
        [result], thresholds, 12.0, protocol=protocol
    )
    np.testing.assert_array_equal(found, [expected])
    counts = counting.point_counts([result], thresholds, 12.0)
    np.testing.assert_array_equal(found[:, :, :3].sum(axis=1), counts.num_predicted)
    np.testing.assert_array_equal(found[:, :3].sum(axis=2), counts.num_truth)


def test_entries_by_hand():
    """Class a: one of two found, one of two right. Class b the same, of other kinds."""
    confusion = recognition.confusion_matrices([HAND], THRESHOLDS, 12.0)
    counts = counting.point_counts([HAND], THRESHOLDS, 12.0)
    found = recognition.entries(confusion, counts, samples.draw(1, 0, 0), 12.0)
    assert {name: entry["value"] for name, entry in found.items()} == {
        "detection_F1@12px": 0.75,
        "detection_precision@12px": 0.75,
        "detection_recall@12px": 0.75,
        "class_F1@12px": 0.5,
        "class_precision@12px": 0.5,
        "class_recall@12px": 0.5,
    }
    assert found["class_F1@12px"]["num_predicted"] == 4


def test_macro_means_by_hand():
    # P 1/2, 0 (never predicted), undefined; R 1, 0, undefined; F1 2/3, 0, 0.
    counts = counting.PointCounts(
        np.array([2, 0, 0]), np.array([4, 0, 3]), np.array([2, 5, 0])
    )
    found = recognition.macro_ratios(counts)
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {"F1": 1 / 3, "precision": 1 / 4, "recall": 1 / 2}
    )
    nothing = counting.PointCounts(*np.zeros((3, 2), int))
    assert all(np.isnan(value) for value in recognition.macro_ratios(nothing).values())


@pytest.mark.parametrize("num_classes", [1, 3])
def test_curves_against_matching_at_each_threshold(num_classes):
    results = [random_result(seed, num_classes) for seed in range(3)]
    names = list("abc")[:num_classes]
    thresholds = np.linspace(0, 1, 11)
    curves = recognition.threshold_curves(results, names, 12.0, thresholds)
    assert (
        list(curves) == ([recognition.ALL_CLASSES] if num_classes > 1 else []) + names
    )
    for index, threshold in enumerate(thresholds):
        cuts = np.full(num_classes, threshold)
        each = counting.pool(
            counting.point_counts(results, cuts, 12.0), np.ones((1, 3), int)
        )
        found = counting.ratios(each)
        for label, name in enumerate(names):
            at = [values[index] for values in curves[name]]
            wanted = [found[key][0, label] for key in ("F1", "precision", "recall")]
            np.testing.assert_allclose(at, wanted)
        if num_classes > 1:
            confusion = recognition.confusion_matrices(results, cuts, 12.0)
            pooled = [part.sum() for part in recognition.detection_counts(confusion)]
            wanted = counting.ratios(counting.PointCounts(*pooled))["F1"]
            np.testing.assert_allclose(
                curves[recognition.ALL_CLASSES].f1[index], wanted
            )


@pytest.mark.parametrize("results", [[], [make_result([], [], [], [], [])]])
def test_nothing_at_all_is_json(results):
    confusion = recognition.confusion_matrices(results, THRESHOLDS, 12.0)
    as_json = recognition.confusion_to_json(confusion, ["a", "b"])
    assert as_json["counts"] == [[0] * 3] * 3
    assert as_json["annotated"] == ["a", "b", "false detection"]
    assert as_json["predicted"] == ["a", "b", "missed"]
    curves = recognition.curves_to_json(
        recognition.threshold_curves(results, ["a", "b"], 12.0)
    )
    assert set(curves["curves"]["a"]["F1"]) == {None}
    assert len(curves["thresholds"]) == len(curves["curves"]["b"]["recall"]) == 101
    json.dumps(curves, allow_nan=False)
