"""What is reported where annotations are a part of the cells."""

import numpy as np
import pytest

from cellrec_jax.config import EvalConfig
from cellrec_jax.data.sets import Labels
from cellrec_jax.evaluate import estimated

DECODE = {"thresholds": [0.5], "num_labels": [0], "min_distance": 0.0}


def test_labels_are_a_part_by_their_share_or_as_they_were_drawn(results):
    assert not estimated.is_partial(results, Labels())
    assert estimated.is_partial(results, Labels(0.5))
    assert estimated.is_partial(results, Labels(0.0))
    drawn = [results[0]._replace(num_cells=3), results[1]]
    assert estimated.is_partial(drawn, Labels())


def test_estimates_stand_alone(results):
    """Two labels, both found, by three detections that count; half is labelled."""
    config = EvalConfig(bootstrap=50)
    what = results, ("cell",), config, 12.0, DECODE
    found = estimated.metrics(*what, Labels(0.5))
    assert {name: entry["value"] for name, entry in found.items()} == {
        "recall_estimated@12px": 1.0,
        "precision_estimated@12px": 1.0,
        "F1_estimated@12px": pytest.approx(3 / 3.5),
        "count_estimated": 4.0,
    }
    for entry in found.values():
        assert (entry["share"], entry["num_labels"]) == (0.5, 2)
        assert entry["thresholds"] == {"cell": 0.5}
        assert "num_truth" not in entry
        assert entry["low"] <= entry["value"] <= entry["high"]
    unknown = estimated.metrics(*what, Labels(0.0))
    assert list(unknown) == ["recall_estimated@12px"]
    assert unknown["recall_estimated@12px"]["share"] is None


def test_the_number_of_cells_is_known_where_labels_were_drawn(results):
    """Two of eight."""
    drawn = [one._replace(num_cells=4) for one in results]
    what = ("cell",), EvalConfig(bootstrap=50), 12.0, DECODE
    count = estimated.metrics(drawn, *what, Labels())["count_estimated"]
    assert (count["low"], count["value"], count["high"]) == (8, 8, 8)
    half = estimated.metrics(drawn, *what, Labels(0.5))["count_estimated"]
    assert half["value"] == 16
    assert half["low"] < 16 < half["high"]


def test_labels_that_look_chosen_are_warned_of(results, split):
    """The best 30 of 120 detections are labelled, or every fourth."""
    places = np.stack(np.divmod(np.arange(120), 12), axis=1) * 30.0 + 5
    many = results[0]._replace(
        pred_points_yx=places,
        pred_scores=np.linspace(0.95, 0.55, 120).astype(np.float32),
        pred_labels=np.zeros(120, int),
        pred_ignored=np.zeros(120, bool),
        pred_boxes_yxyx=None,
        true_labels=np.zeros(30, int),
    )
    told = {}
    for name, chosen in (("best", slice(30)), ("any", slice(None, None, 4))):
        one = many._replace(true_points_yx=places[chosen])
        part = split._replace(labels=Labels(0.25))
        lines = estimated.lines([one], part, EvalConfig(), 12.0, DECODE)
        told[name] = list(lines)
    assert len(told["any"]) == 1
    assert "25.0%" in told["any"][0]
    assert "warning" in told["best"][1]
    assert "higher scores" in told["best"][1]


def test_lightness_is_that_of_the_middle_of_a_detection(results, split):
    """Image a is black, b is white; points beyond the edge are at the edge."""
    places = np.array([[5.0, 5], [99, 99]])
    kept = [one._replace(pred_points_yx=places) for one in results]
    dark, light = estimated._lightness(kept, split, 12.0)
    assert dark.tolist() == [0, 0]
    np.testing.assert_allclose(light, [1, 1])
