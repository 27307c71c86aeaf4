"""Scores by hand, and the names that allow them."""

import numpy as np
import pytest

from cellrec_jax.metrics import proportion
from cellrec_jax.score import definitions

PDL1 = ("Tumor: Positive", "Tumor: Negative", "Immune cells: Positive", "Other")
GRADES = ("Negative", "1+", "2+", "3+")


def of(name, class_names):
    (score,) = (one for one in definitions.find(class_names) if one.name == name)
    return score


def value(score, counts, area_mm2=np.nan):
    return float(score.value(np.array([counts], float), np.array([area_mm2]))[0])


@pytest.mark.parametrize(
    ("name", "class_names", "counts", "expected"),
    [
        ("positive_index", ("positive", "negative", "stroma"), (30, 90, 7), 0.25),
        ("TPS", PDL1, (20, 60, 50, 9), 0.25),
        ("CPS", PDL1, (20, 60, 10, 9), 100 * (20 + 10) / 80),
        ("CPS", PDL1, (20, 60, 90, 9), 100.0),
        # 100 x (1 x 20 + 2 x 30 + 3 x 10) / 100.
        ("H_score", GRADES, (40, 20, 30, 10), 110.0),
        ("positive_index", GRADES, (40, 20, 30, 10), 0.6),
        ("H_score", ("strong", "weak", "moderate", "0"), (10, 20, 30, 40), 110.0),
        ("H_score", GRADES, (0, 0, 0, 5), 300.0),
        ("positive_index", ("Tumor 1+", "Tumor 0", "Stroma 1+"), (1, 3, 9), 0.25),
        ("positive_index", ("pos", "weakly positive", "neg"), (20, 10, 90), 0.25),
        ("positive_index", ("positive", "negative"), (0, 0), np.nan),
    ],
)
def test_values_by_hand(name, class_names, counts, expected):
    np.testing.assert_allclose(value(of(name, class_names), counts), expected)


def test_densities():
    names = ("mitosis", "non-mitotic", "mitosis-like", "hard negative mitosis")
    score = of("mitoses_per_mm2", names)
    assert (score.above, score.is_density) == ((1, 0, 0, 0), True)
    assert value(score, (7, 100, 3, 2), 2.0) == 3.5
    assert value(of("per_mm2/non-mitotic", names), (7, 100, 3, 2), 2.0) == 50
    assert np.isnan(value(score, (7, 0, 0, 0)))
    assert np.isnan(value(score, (7, 0, 0, 0), 0.0))


@pytest.mark.parametrize(
    ("class_names", "expected"),
    [
        (("cell",), set()),
        (("positive", "negative"), {"positive_index"}),
        (("POSITIVE", "Negative"), {"positive_index"}),
        (PDL1, {"TPS", "CPS"}),
        # Which cells beside the tumour's are immune cells is not said.
        (("tumor_pos", "tumor_neg", "non-tumor_pos", "non-tumor_neg"), {"TPS"}),
        (("tumor_pos", "tumor_neg", "lymphocyte_neg"), {"TPS"}),
        (("tumor_pos", "tumor_neg", "tumor lymphocyte_pos"), {"TPS", "CPS"}),
        (GRADES, {"positive_index", "H_score"}),
        (("negative", "1+", "3+"), {"positive_index"}),
        (("1+", "2+", "3+"), set()),
        (("Tumor: 0", "Tumor: 1+", "Tumor: 2+", "Tumor: 3+", "negative"),
         {"positive_index", "H_score"}),
        (("tumor_strong", "tumor_weak", "lookalike", "stroma"), set()),
        (("mitotic figure", "nucleus"), {"mitoses_per_mm2"}),
        (("imposter", "non mitosis"), set()),
        (("grade 10", "2.0", "11+"), set()),
    ],
)  # fmt: skip
def test_names_allow(class_names, expected):
    found = definitions.find(class_names)
    names = [score.name for score in found]
    densities = [f"per_mm2/{name}" for name in class_names]
    assert names[len(names) - len(densities) :] == densities
    assert set(names) == expected | set(densities)


def test_grades_of_the_tumour_leave_other_cells_out():
    names = ("Tumor: 0", "Tumor: 1+", "Tumor: 2+", "Tumor: 3+", "negative")
    assert value(of("H_score", names), (1, 1, 1, 1, 96)) == 150.0


@pytest.mark.parametrize(
    "class_names",
    [("positive", "negative"), ("tumor_neg", "stroma", "tumor_pos"), ("a", "b")],
)
def test_shares_are_those_of_predictions_tables(class_names):
    """`cellrec predict` tells them, too."""
    counts = (3, 5, 11)[: len(class_names)]
    definition = proportion.score_definition(class_names)
    shares = [one for one in definitions.find(class_names) if one.is_share]
    assert len(shares) == (definition is not None)
    for score in shares:
        told = proportion.with_interval(definition, counts)
        np.testing.assert_allclose(value(score, counts), told[score.name])
