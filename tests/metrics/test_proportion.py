import json

import numpy as np
import pytest

from cellrec_jax.metrics import counting, proportion, samples

TPS = proportion.ScoreDefinition("TPS", (0,), (0, 2))


@pytest.mark.parametrize(
    ("class_names", "expected"),
    [
        (
            ["positive tumor", "negative tumor", "positive non-tumor", "negative non"],
            ("TPS", (0,), (0, 1)),
        ),
        (
            ["NonTumorNegative", "TumourNegative", "TumourPositive", "NonTumorPos"],
            ("TPS", (2,), (1, 2)),
        ),
        (["tumour_positive", "tumour_negative"], ("TPS", (0,), (0, 1))),
        # Lymphocytes are named after the tumour but are none of its cells.
        (
            ["negative tumor", "tumor-infiltrating lymphocyte", "positive tumor"],
            ("TPS", (2,), (0, 2)),
        ),
        (
            ["weakly positive tumour", "strongly positive tumour", "negative tumour"],
            ("TPS", (0, 1), (0, 1, 2)),
        ),
        (["Negative", "Positive"], ("positive_index", (1,), (0, 1))),
        (["Ki67-positive", "Ki67-negative"], ("positive_index", (0,), (0, 1))),
        (["immunopositive", "immunonegative"], ("positive_index", (0,), (0, 1))),
        (["tumor_pos", "tumor_neg", "other_pos"], ("TPS", (0,), (0, 1))),
        (["NegTumour", "non-tumour neg", "PosTumour"], ("TPS", (2,), (0, 2))),
        (["pos. tumor", "Tumor-NEG", "non pos tumor"], ("TPS", (0,), (0, 1))),
        (["Ki67Pos", "Ki67Neg"], ("positive_index", (0,), (0, 1))),
        (["NEG", "pos"], ("positive_index", (1,), (0, 1))),
        (["position", "negligible"], None),
        (["pos", "not neg"], None),
        (["positive", "negative", "stroma"], ("positive_index", (0,), (0, 1))),
        (["other", "neg", "pos", "non-tumour"], ("positive_index", (2,), (1, 2))),
        (["positive", "negative", "immune positive"], None),
        (["positive", "not positive"], None),
        (["positive tumour", "negative stroma"], None),
        (["positive tumour", "tumour"], None),
        (["positive or negative", "negative"], None),
        (["positive", "weakly positive"], None),
        (["tumour", "stroma"], None),
        (["positive"], None),
        (["cell"], None),
        ([], None),
    ],
)
def test_score_definition(class_names, expected):
    found = proportion.score_definition(class_names)
    assert found == (expected and proportion.ScoreDefinition(*expected))


def make_counts(predicted, truth):
    predicted, truth = np.array(predicted), np.array(truth)
    return counting.PointCounts(np.zeros_like(truth), predicted, truth)


# Three images, classes: positive tumour, other, negative tumour. The second image has
# no tumour cell annotated.
COUNTS = make_counts(
    [[3, 9, 1], [1, 0, 1], [2, 5, 2]], [[2, 9, 2], [0, 1, 0], [4, 0, 1]]
)


def test_image_scores_by_hand():
    scores = proportion.image_scores(TPS, COUNTS)
    np.testing.assert_allclose(scores.predicted, [0.75, 0.5, 0.5])
    np.testing.assert_allclose(scores.annotated, [0.5, np.nan, 0.8])


def test_one_image_with_interval_by_hand():
    """Wilson of 3 of 4: (3 + z^2 / 2 -+ z sqrt(3 / 4 + z^2 / 4)) / (4 + z^2)."""
    found = proportion.with_interval(TPS, [3, 9, 1])
    z = 1.959964
    middle, half = 3 + z**2 / 2, z * (3 / 4 + z**2 / 4) ** 0.5
    assert found == pytest.approx(
        {
            "TPS": 0.75,
            "TPS_low": (middle - half) / (4 + z**2),
            "TPS_high": (middle + half) / (4 + z**2),
        }
    )
    assert set(proportion.with_interval(TPS, [0, 9, 0]).values()) == {None}


def test_entries_by_hand():
    found = proportion.entries(TPS, COUNTS, samples.draw(3, 0, 0))
    assert {name: entry["value"] for name, entry in found.items()} == pytest.approx(
        {
            "TPS_predicted": 6 / 10,
            "TPS_annotated": 6 / 9,
            "TPS_error": 6 / 9 - 6 / 10,
            "TPS_mae": (0.25 + 0.3) / 2,
        }
    )
    assert found["TPS_error"]["num_images"] == 3
    assert found["TPS_mae"]["num_images"] == 2
    assert found["TPS_mae"]["num_predicted"] == 10
    assert found["TPS_mae"]["num_truth"] == 9


def test_intervals_equal_measuring_the_drawn_sets():
    rng = np.random.default_rng(4)
    counts = make_counts(rng.integers(0, 3, (6, 3)), rng.integers(0, 3, (6, 3)))
    weights = samples.draw(6, 25, seed=8)
    found = proportion.entries(TPS, counts, weights)
    drawn = []
    for row in weights[1:]:
        chosen = np.repeat(np.arange(6), row)
        part = counting.PointCounts(*(values[chosen] for values in counts))
        alone = proportion.entries(TPS, part, np.ones((1, 6), int))
        drawn.append({name: entry["value"] for name, entry in alone.items()})
    for name, entry in found.items():
        values = [one[name] for one in drawn if one[name] is not None]
        expected = np.quantile(values, [0.025, 0.975])
        np.testing.assert_allclose([entry["low"], entry["high"]], expected)


@pytest.mark.parametrize("num_images", [0, 1, 3])
def test_without_cells_nothing_is_defined(num_images):
    zeros = np.zeros((num_images, 3), int)
    found = proportion.entries(
        TPS, make_counts(zeros, zeros), samples.draw(num_images, 5, 0)
    )
    assert {entry["value"] for entry in found.values()} == {None}
    json.dumps(found, allow_nan=False)


def test_image_columns():
    names = ["positive tumour", "other", "negative tumour"]
    columns = proportion.image_columns(names, COUNTS)
    assert list(columns) == ["TPS_predicted", "TPS_annotated", "TPS_error"]
    np.testing.assert_allclose(columns["TPS_error"], [0.25, np.nan, 0.3])
    assert proportion.image_columns(["a", "b", "c"], COUNTS) == {}
