import numpy as np
import pytest

from cellrec_jax.metrics import matching
from cellrec_jax.metrics import results as results_lib


def make_result(seed, num_pred=20, num_true=15, image_id="a"):
    rng = np.random.default_rng(seed)
    pred_yx = rng.uniform(0, 1, (num_pred, 2)) * np.array([60, 90])
    true_yx = rng.uniform(0, 1, (num_true, 2)) * np.array([60, 90])
    half = np.array([-8.0, -10.0, 8.0, 10.0])
    return results_lib.ImageResult(
        image_id=image_id,
        group="",
        pred_points_yx=pred_yx,
        pred_scores=rng.integers(0, 10, num_pred).astype(np.float32) / 10,
        pred_labels=rng.integers(0, 2, num_pred),
        pred_boxes_yxyx=pred_yx[:, [0, 1, 0, 1]] + half,
        pred_ignored=rng.random(num_pred) < 0.2,
        true_points_yx=true_yx,
        true_labels=rng.integers(0, 2, num_true),
        true_boxes_yxyx=true_yx[:, [0, 1, 0, 1]] + half,
    )


def test_class_indices_leave_ignored_predictions_out():
    result = make_result(0)._replace(
        pred_labels=np.array([0, 1, 0, 0]),
        pred_ignored=np.array([False, False, True, False]),
        true_labels=np.array([1, 0]),
    )
    pred, true = results_lib.class_indices(result, 0)
    assert pred.tolist() == [0, 3]
    assert true.tolist() == [1]


def test_pooling_sorts_by_score_and_keeps_ties_in_order():
    first = make_result(0)._replace(
        pred_scores=np.array([0.5, 0.9]),
        pred_labels=np.zeros(2, int),
        pred_ignored=np.zeros(2, bool),
        pred_points_yx=np.array([[1.0, 2.0], [30.0, 40.0]]),
        true_points_yx=np.array([[1.0, 3.0]]),
        true_labels=np.zeros(1, int),
    )
    second = first._replace(true_points_yx=np.array([[30.0, 41.0]]))
    pooled = results_lib.pool_points([first, second], 0, 4.0)
    assert pooled.image_index.tolist() == [0, 1, 0, 1]
    assert pooled.is_tp.tolist() == [False, True, True, False]
    np.testing.assert_allclose(pooled.scores, [0.9, 0.9, 0.5, 0.5])
    assert pooled.num_truth.tolist() == [1, 1]


@pytest.mark.parametrize("cut", [0.0, 0.35, 0.6, 0.95])
def test_true_points_above_a_cut_equal_the_matching_there(cut):
    results = [make_result(seed) for seed in range(4)]
    pooled = results_lib.pool_points(results, 1, 9.0)
    expected = 0
    for result in results:
        pred, true = results_lib.class_indices(result, 1)
        pred = pred[result.pred_scores[pred] >= cut]
        expected += len(
            matching.match_points(
                result.pred_points_yx[pred], result.true_points_yx[true], 9.0
            )
        )
    assert pooled.is_tp[pooled.scores >= cut].sum() == expected


def test_boxes_need_boxes_everywhere():
    results = [make_result(0), make_result(1)]
    pooled = results_lib.pool_boxes(results, 0)
    assert pooled is not None
    assert 0 < pooled.is_tp.sum() < len(pooled.is_tp)
    assert (
        results_lib.pool_boxes([*results, results[0]._replace(pred_boxes_yxyx=None)], 0)
        is None
    )
    assert (
        results_lib.pool_boxes([*results, results[0]._replace(true_boxes_yxyx=None)], 0)
        is None
    )


@pytest.mark.parametrize(
    "results", [[], [make_result(0, 0, 0)], [make_result(0, 0, 3)]]
)
def test_nothing_predicted(results):
    for pooled in (
        results_lib.pool_points(results, 0, 5.0),
        results_lib.pool_boxes(results, 0),
    ):
        assert (
            pooled.scores.shape
            == pooled.is_tp.shape
            == pooled.image_index.shape
            == (0,)
        )
        assert pooled.num_truth.shape == (len(results),)


def test_select_takes_every_array_along():
    result = make_result(0)
    kept = np.arange(20) % 3 == 0
    found = results_lib.select(result, kept)
    for name in ("points_yx", "scores", "labels", "boxes_yxyx", "ignored"):
        whole, part = getattr(result, f"pred_{name}"), getattr(found, f"pred_{name}")
        np.testing.assert_array_equal(part, whole[kept])
    assert found.true_points_yx is result.true_points_yx
    pointwise = result._replace(pred_boxes_yxyx=None)
    assert results_lib.select(pointwise, kept).pred_boxes_yxyx is None


def test_above_thresholds_by_class():
    result = make_result(0, num_pred=4)._replace(
        pred_scores=np.array([0.7, 0.7, 0.3, 0.9], np.float32),
        pred_labels=np.array([0, 1, 0, 1]),
        pred_ignored=np.array([False, False, False, True]),
    )
    (found,) = results_lib.above_thresholds([result], np.array([0.7, 0.8]))
    np.testing.assert_array_equal(found.pred_points_yx, result.pred_points_yx[:1])


def test_suppress_looks_at_points_of_all_classes():
    result = make_result(0, num_pred=3)._replace(
        pred_points_yx=np.array([[5.0, 9.0], [5.0, 12.0], [5.0, 30.0]]),
        pred_scores=np.array([0.5, 0.6, 0.1], np.float32),
        pred_labels=np.array([0, 1, 0]),
    )
    first, second = results_lib.suppress([result, result], 4.0)
    assert first.pred_labels.tolist() == second.pred_labels.tolist() == [1, 0]
    np.testing.assert_array_equal(first.pred_boxes_yxyx, result.pred_boxes_yxyx[1:])


def test_one_class():
    (found,) = results_lib.as_one_class([make_result(0)])
    assert not found.pred_labels.any()
    assert not found.true_labels.any()
    assert len(found.pred_labels) == 20
