import json

import numpy as np
import pytest

from cellrec_jax.metrics import curves, report
from cellrec_jax.metrics.report import ImageResult

HALF_BOX = np.array([-8.0, -10.0, 8.0, 10.0])


def make_result(
    pred_yx, scores, true_yx, *, pred_labels=None, true_labels=None, **more
):
    pred_yx = np.reshape(np.asarray(pred_yx, np.float32), (-1, 2))
    true_yx = np.reshape(np.asarray(true_yx, np.float32), (-1, 2))
    result = ImageResult(
        image_id="a",
        group="slide",
        pred_points_yx=pred_yx,
        pred_scores=np.asarray(scores, np.float32),
        pred_labels=np.asarray(pred_labels or [0] * len(pred_yx)),
        pred_boxes_yxyx=pred_yx[:, [0, 1, 0, 1]] + HALF_BOX,
        pred_ignored=np.zeros(len(pred_yx), bool),
        true_points_yx=true_yx,
        true_labels=np.asarray(true_labels or [0] * len(true_yx)),
        true_boxes_yxyx=true_yx[:, [0, 1, 0, 1]] + HALF_BOX,
    )
    return result._replace(**more)


def random_results(seed, num_images, num_classes=1):
    rng = np.random.default_rng(seed)
    results = []
    for index in range(num_images):
        num_true, num_pred = rng.integers(0, 12), rng.integers(0, 15)
        pred_yx = rng.uniform(0, 1, (num_pred, 2)) * np.array([60, 90])
        true_yx = rng.uniform(0, 1, (num_true, 2)) * np.array([60, 90])
        near = min(num_pred, num_true)
        pred_yx[:near] = true_yx[:near] + rng.normal(0, 3, (near, 2))
        results.append(
            make_result(
                pred_yx,
                rng.random(num_pred),
                true_yx,
                pred_labels=rng.integers(0, num_classes, num_pred).tolist(),
                true_labels=rng.integers(0, num_classes, num_true).tolist(),
                image_id=f"image{index}",
            )
        )
    return results


# Two images: three cells, four detections; in score order right, right, wrong, wrong.
HAND = [
    make_result([[20, 30], [50, 10]], [0.9, 0.3], [[21, 30], [50, 70]]),
    make_result([[10, 80], [40, 20]], [0.8, 0.6], [[10, 79]]),
]


def values(metrics):
    return {name: entry["value"] for name, entry in metrics.items()}


def test_one_class_by_hand():
    metrics = report.evaluate(
        HAND, ["cell"], radius_px=12.0, thresholds=np.array([0.5]), num_bootstrap=0
    )
    # Recall 1/3, 2/3 at precision 1: thresholds 0 to 0.6 of 11.
    assert values(metrics) == pytest.approx(
        {
            "AP11": 7 / 11,
            "AP": 2 / 3,
            "recall": 2 / 3,
            "F1@12px": 2 * 2 / (3 + 3),
            "precision@12px": 2 / 3,
            "recall@12px": 2 / 3,
            "count_mae": (1 + 1) / 2,
            "mean_F1@12px": (2 / (1 + 2) + 2 / (2 + 1)) / 2,
        }
    )
    assert metrics["AP"]["num_predicted"] == 4
    assert metrics["F1@12px"]["num_predicted"] == 3
    assert metrics["F1@12px"]["thresholds"] == {"cell": 0.5}
    for entry in metrics.values():
        assert entry["num_images"] == 2
        assert entry["num_truth"] == 3
        assert entry["low"] is entry["high"] is None


def test_two_classes_by_hand():
    results = [
        make_result(
            [[20, 30], [50, 10]],
            [0.9, 0.8],
            [[20, 30], [50, 10], [30, 60]],
            pred_labels=[0, 0],
            true_labels=[0, 1, 1],
        )
    ]
    metrics = report.evaluate(
        results,
        ["a", "b"],
        radius_px=7.5,
        thresholds=np.array([0.5, 0.4]),
        num_threshold_labels=np.array([3, 0]),
    )
    found = values(metrics)
    assert found["AP/a"] == 1.0
    assert found["AP/b"] == 0.0
    assert found["AP"] == 0.5
    # The prediction on the cell of class b is of class a: wrong.
    assert found["F1@7.5px"] == pytest.approx(2 * 1 / (2 + 3))
    assert found["F1@7.5px/a"] == pytest.approx(2 / 3)
    assert found["F1@7.5px/b"] == 0.0
    assert found["precision@7.5px/b"] is None
    assert found["count_mae"] == 1.0
    assert found["count_mae/b"] == 2.0
    entry = metrics["F1@7.5px"]
    assert entry["num_threshold_labels"] == {"a": 3, "b": 0}
    assert entry["low"] is None  # one image says nothing about images


def test_mean_of_images_without_those_that_have_nothing():
    """Class a: F1 1 and 0 of two images; b: 2/3 of one, and nothing in the other."""
    results = [
        make_result(
            [[20, 30], [50, 10]],
            [0.9, 0.8],
            [[20, 30], [50, 10], [30, 60]],
            pred_labels=[0, 1],
            true_labels=[0, 1, 1],
        ),
        make_result([[20, 30]], [0.9], [[50, 60]]),
        make_result([], [], []),
    ]
    options = {"radius_px": 12.0, "thresholds": np.array([0.5, 0.5])}
    found = report.evaluate(results, ["a", "b"], **options)
    for name, value, number in (
        ("mean_F1@12px", (4 / 5 + 0) / 2, 2),
        ("mean_F1@12px/a", (1 + 0) / 2, 2),
        ("mean_F1@12px/b", 2 / 3, 1),
    ):
        assert found[name]["value"] == pytest.approx(value)
        assert found[name]["num_images"] == number
        assert found[name]["num_skipped"] == 3 - number
    assert (found["mean_F1@12px/a"]["low"], found["mean_F1@12px/a"]["high"]) == (0, 1)
    as_one = report.evaluate(results, ["a", "b"], **options, empty_is_one=True)
    assert as_one["mean_F1@12px/b"]["value"] == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert as_one["mean_F1@12px/b"]["num_skipped"] == 0
    assert as_one["F1@12px/b"]["value"] == pytest.approx(2 / 3)


def test_detection_apart_from_classes():
    """The cell of class b that is called a is detected, but no match of its class."""
    results = [
        make_result(
            [[20, 30], [50, 10]],
            [0.9, 0.8],
            [[20, 30], [50, 10], [30, 60]],
            pred_labels=[0, 0],
            true_labels=[0, 1, 1],
        )
    ]
    options = {"radius_px": 12.0, "thresholds": np.array([0.5, 0.5])}
    metrics = report.evaluate(results, ["a", "b"], **options)
    found = values(metrics)
    assert found["detection_precision@12px"] == 1.0
    assert found["detection_recall@12px"] == pytest.approx(2 / 3)
    assert found["detection_F1@12px"] == pytest.approx(0.8)
    assert found["class_precision@12px"] == pytest.approx((1 / 2 + 0) / 2)
    assert found["class_recall@12px"] == pytest.approx((1 + 0) / 2)
    assert found["class_F1@12px"] == pytest.approx((2 / 3 + 0) / 2)
    entry = metrics["detection_F1@12px"]
    assert entry["thresholds"] == {"a": 0.5, "b": 0.5}
    assert entry["protocol"] == "max"


def test_the_score_that_the_names_define():
    names = ["positive", "negative"]
    options = {"radius_px": 12.0, "thresholds": np.array([0.5, 0.5])}
    found = values(report.evaluate(random_results(3, 4, 2), names, **options))
    assert found["positive_index_error"] == pytest.approx(
        abs(found["positive_index_predicted"] - found["positive_index_annotated"])
    )
    rows = report.per_image_rows(random_results(3, 4, 2), names, **options)
    errors = [row["positive_index_error"] for row in rows]
    defined = [error for error in errors if error is not None]
    assert found["positive_index_mae"] == pytest.approx(np.mean(defined))
    other = values(report.evaluate(random_results(3, 4, 2), ["a", "b"], **options))
    assert not any("index" in name for name in other)


def test_protocols_reach_every_metric_at_the_thresholds():
    # Best score first, 0.9 takes the only cell that 0.6 can reach.
    results = [make_result([[5, 10], [5, 0]], [0.9, 0.6], [[5, 10], [5, 20]])]
    options = {"radius_px": 12.0, "thresholds": np.array([0.5])}
    for protocol, expected in {"max": 1.0, "greedy_score": 0.5}.items():
        metrics = report.evaluate(results, ["a"], protocol=protocol, **options)
        assert metrics["F1@12px"]["value"] == expected
        assert metrics["F1@12px"]["protocol"] == protocol
        rows = report.per_image_rows(results, ["a"], protocol=protocol, **options)
        assert rows[0]["F1"] == expected
        tables = report.tables(results, ["a"], protocol=protocol, **options)
        assert tables["confusion"]["counts"][0][0] == 2 * expected


def test_a_second_protocol_beside_the_first():
    """Both predictions want the cell between them; the other cell is second choice."""
    results = [make_result([[5, 8], [5, 13]], [0.9, 0.6], [[5, 10], [5, 22]])]
    options = {"radius_px": 15.0, "thresholds": np.array([0.5]), "num_bootstrap": 0}
    alone = report.evaluate(results, ["a@b"], **options)
    both = report.evaluate(results, ["a@b"], beside="nearest", **options)
    assert {name: both[name] for name in alone} == alone
    assert both.keys() - alone.keys() == {
        f"{name}(nearest)@15px" for name in ("F1", "mean_F1", "precision", "recall")
    }
    assert both["F1@15px"]["value"] == 1.0
    assert both["F1(nearest)@15px"]["value"] == 0.5
    assert both["F1(nearest)@15px"]["protocol"] == "nearest"
    two = report.evaluate(
        results, ["a@b", "c"], beside="nearest", **options | {"thresholds": [0.5] * 2}
    )
    names = {name for name in two if "(nearest)" in name}
    assert {"F1(nearest)@15px/a@b", "detection_F1(nearest)@15px"} < names
    # F1, precision, recall: 3 of classes, 2 others; mean F1: 3
    assert len(names) == 3 * (3 + 2) + 3


def test_strict_reaches_every_metric_at_the_thresholds():
    """A prediction at exactly the radius."""
    results = [make_result([[5, 25]], [0.9], [[5, 10]])]
    options = {"radius_px": 15.0, "thresholds": np.array([0.5])}
    for strict, expected in {False: 1.0, True: 0.0}.items():
        metrics = report.evaluate(
            results, ["a"], strict=strict, beside="nearest", **options
        )
        assert metrics["F1@15px"]["value"] == expected
        assert metrics["F1(nearest)@15px"]["value"] == expected
        assert metrics["F1@15px"]["strict"] is strict
        rows = report.per_image_rows(results, ["a"], strict=strict, **options)
        assert rows[0]["F1"] == expected
        tables = report.tables(results, ["a"], strict=strict, **options)
        assert tables["confusion"]["counts"][0][0] == expected
        curve = tables["threshold_curves"]["curves"]["a"]["F1"]
        assert curve[50] == expected


def test_tables_are_json():
    options = {"radius_px": 12.0, "thresholds": np.array([0.5, 0.5])}
    names = ["tumour positive", "tumour negative"]
    tables = report.tables(random_results(3, 4, 2), names, **options)
    assert tables["score"] == {
        "name": "TPS",
        "numerator": ["tumour positive"],
        "denominator": names,
    }
    assert list(tables["threshold_curves"]["curves"]) == ["all classes", *names]
    assert np.shape(tables["confusion"]["counts"]) == (3, 3)
    json.dumps(tables, allow_nan=False)
    assert report.tables([], ["a", "b"], **options)["score"] is None


def test_classes_without_cells_are_left_out_of_the_mean():
    metrics = report.evaluate(
        HAND, ["a", "b"], radius_px=12.0, thresholds=np.array([0.5, 0.5])
    )
    assert metrics["AP/b"]["value"] is None
    assert metrics["AP/b"]["low"] is None
    assert metrics["AP"]["value"] == pytest.approx(2 / 3)


def test_ignored_predictions_are_no_false_positives():
    results = [HAND[0], HAND[1]._replace(pred_ignored=np.array([False, True]))]
    metrics = report.evaluate(
        results, ["cell"], radius_px=12.0, thresholds=np.array([0.5])
    )
    assert metrics["precision@12px"]["value"] == 1.0
    assert metrics["count_mae"]["value"] == 0.5


@pytest.mark.parametrize(
    "results",
    [[], [make_result([], [], [])], [make_result([], [], [])] * 3],
    ids=["no images", "one empty image", "three empty images"],
)
def test_nothing_at_all_is_undefined_but_json(results):
    metrics = report.evaluate(
        results, ["cell"], radius_px=12.0, thresholds=np.array([0.5])
    )
    found = values(metrics)
    assert found.pop("count_mae") == (0.0 if results else None)
    assert set(found.values()) == {None}
    json.dumps(metrics, allow_nan=False)


def test_one_sided_sets():
    missed = report.evaluate(
        [make_result([], [], [[5, 9]])],
        ["cell"],
        radius_px=12.0,
        thresholds=np.array([0.5]),
    )
    expected = {"AP11": 0, "AP": 0, "recall": 0, "F1@12px": 0, "recall@12px": 0}
    expected |= {"precision@12px": None, "count_mae": 1, "mean_F1@12px": 0}
    assert values(missed) == expected
    invented = report.evaluate(
        [make_result([[5, 9]], [0.9], [])],
        ["cell"],
        radius_px=12.0,
        thresholds=np.array([0.5]),
    )
    expected = {"AP11": None, "AP": None, "recall": None, "F1@12px": 0}
    expected |= {"recall@12px": None, "precision@12px": 0, "count_mae": 1}
    expected |= {"mean_F1@12px": 0}
    assert values(invented) == expected


def test_methods_without_boxes_have_no_ap():
    results = [result._replace(pred_boxes_yxyx=None) for result in HAND]
    metrics = report.evaluate(
        results, ["cell"], radius_px=12.0, thresholds=np.array([0.5])
    )
    assert metrics["AP11"]["value"] is metrics["AP11"]["low"] is None
    assert metrics["F1@12px"]["value"] == pytest.approx(2 / 3)


def test_scores_equal_to_the_threshold_count():
    metrics = report.evaluate(
        HAND, ["cell"], radius_px=12.0, thresholds=np.array([0.6], np.float32)
    )
    assert metrics["F1@12px"]["num_predicted"] == 3


@pytest.mark.parametrize("num_classes", [1, 2])
def test_intervals_equal_evaluating_the_drawn_sets(num_classes):
    """The fast resampling against repeating images and starting from nothing."""
    results = random_results(5, 6, num_classes)
    names = ["positive", "negative"][:num_classes]
    options = {"radius_px": 6.0, "thresholds": np.full(num_classes, 0.4), "iou": 0.4}
    metrics = report.evaluate(results, names, num_bootstrap=30, seed=9, **options)
    rng = np.random.default_rng(9)
    drawn = []
    for counts in rng.multinomial(6, np.full(6, 1 / 6), 30):
        chosen = [r for r, n in zip(results, counts, strict=True) for _ in range(n)]
        drawn.append(values(report.evaluate(chosen, names, num_bootstrap=0, **options)))
    for name, entry in metrics.items():
        samples = [one[name] for one in drawn if one[name] is not None]
        expected = np.quantile(samples, [0.025, 0.975])
        np.testing.assert_allclose([entry["low"], entry["high"]], expected)
        assert entry["low"] <= entry["value"] <= entry["high"]


def test_ap_equals_the_curve_of_all_images():
    results = random_results(2, 5)
    metrics = report.evaluate(
        results, ["cell"], radius_px=6.0, thresholds=np.array([0.4]), num_bootstrap=0
    )
    flags = [
        curves.match_boxes(r.pred_boxes_yxyx, r.pred_scores, r.true_boxes_yxyx)
        for r in results
    ]
    recall, precision = curves.precision_recall(
        np.concatenate([r.pred_scores for r in results]),
        np.concatenate(flags),
        sum(len(r.true_points_yx) for r in results),
    )
    assert metrics["AP11"]["value"] == pytest.approx(
        curves.average_precision(recall, precision, 11)
    )
    assert metrics["recall"]["value"] == pytest.approx(recall[-1])


def test_per_image_rows_by_hand():
    rows = report.per_image_rows(
        HAND, ["cell"], radius_px=12.0, thresholds=np.array([0.5])
    )
    assert rows[1] == {
        "image": "a",
        "group": "slide",
        "num_truth": 1,
        "num_predicted": 2,
        "num_matched": 1,
        "precision": 0.5,
        "recall": 1.0,
        "F1": pytest.approx(2 / 3),
        "count_error": 1,
    }
    assert rows[0]["count_error"] == -1


def test_per_image_rows_with_classes_and_without_cells():
    rows = report.per_image_rows(
        [make_result([], [], [])],
        ["a", "b"],
        radius_px=12.0,
        thresholds=np.array([0.5, 0.5]),
    )
    assert rows[0]["F1"] is None
    assert rows[0]["num_truth/b"] == 0
