"""Scores of images: by hand, in fields, and how often their intervals hold."""

import numpy as np
import pytest

from cellrec_jax.metrics import samples
from cellrec_jax.score import correct, definitions, estimate, intervals, measure
from cellrec_jax.score.sheets import Results, Sheet
from tests.score import simulated

SCORES = definitions.find(simulated.NAMES)


def image(name, num_positive, num_negative, mpp=0.5, size_hw=(200, 300)):
    """Cells scattered over an image."""
    total = num_positive + num_negative
    points_yx = np.random.default_rng(total).uniform(0, size_hw, (total, 2))
    labels = np.arange(total) >= num_positive
    area = float(np.prod(size_hw)) * mpp**2 / 1e6 if mpp else None
    source = "the image file" if mpp else ""
    return Sheet(name, points_yx, labels.astype(int), size_hw, area, mpp, source)


def results(*sheets, what="images"):
    return Results(tuple(sheets), simulated.NAMES, what, {}, {})


def mistakes(counts, num=8):
    """The same in each of some fields."""
    return correct.Mistakes(np.stack([np.array(counts, float)] * num), num, "fields")


def test_all_together_then_each():
    found = measure.rows(results(image("a", 10, 30), image("b", 30, 30)), SCORES)
    assert [(row.image, row.score.name) for row in found[:4]] == [
        ("", "positive_index"),
        ("", "per_mm2/positive"),
        ("", "per_mm2/negative"),
        ("a", "positive_index"),
    ]
    whole, dense = found[0], found[1]
    assert (whole.plain.value, whole.plain.numerator) == (0.4, 40)
    assert whole.plain.denominator == 100
    assert dense.plain.value == pytest.approx(40 / 0.03)
    assert (whole.area_mm2, whole.mpp) == (pytest.approx(0.03), 0.5)
    low, high = samples.wilson(40, 100)
    assert whole.plain.low <= low < 0.4 < high <= whole.plain.high
    assert [row.plain.value for row in found if row.score is SCORES[0]] == [
        0.4,
        0.25,
        0.5,
    ]
    assert not any(row.corrected or row.field for row in found)


def test_without_a_pixel_size_there_are_counts_alone():
    found = measure.rows(results(image("a", 10, 30, mpp=0.0)), SCORES)
    index, dense, _ = found
    assert index.plain.value == 0.25
    assert dense.plain == estimate.Measured(None, None, None, 10.0, None)
    assert (dense.area_mm2, dense.mpp) == (None, 0.0)


def test_one_unknown_pixel_size_leaves_no_density_of_all():
    sheets = image("a", 10, 30), image("b", 30, 30, mpp=0.0)
    found = measure.rows(results(*sheets), SCORES)
    assert found[1].plain.value is None
    assert found[0].plain.value == 0.4


def test_images_without_cells_are_looked_at_too():
    found = measure.rows(results(image("a", 10, 30), image("b", 0, 0)), SCORES)
    assert found[1].plain.value == pytest.approx(10 / 0.03)
    assert found[3 + 3].plain.value is None
    assert found[3 + 3 + 1].plain.value == 0
    assert found[3 + 3 + 1].plain.high == pytest.approx(3.6889 / 0.015, rel=1e-3)


@pytest.mark.parametrize(
    ("class_names", "counts", "expected"),
    [
        (
            ("positive", "negative"),
            (100, 399),
            ["499 cells, fewer than the 500 of a Ki"],
        ),
        (("positive", "negative"), (100, 400), []),
        (
            ("tumor positive", "tumor negative"),
            (9, 90),
            ["99 cells, fewer than the 100 of a TPS", "99 cells, fewer than the 500"],
        ),
        (("mitosis", "nucleus"), (9, 90), ["0.015 mm2, less than the 2 mm2"]),
    ],
)
def test_warnings_below_usual_numbers(class_names, counts, expected):
    scores = definitions.find(class_names)
    found = measure.rows(results(image("a", *counts)), scores)
    assert len(found[0].warnings) == len(expected)
    for warning, begin in zip(found[0].warnings, expected, strict=True):
        assert warning.startswith(begin)
    assert not found[-1].warnings


def test_corrected_counts_by_hand():
    """Half of the positive cells are found, and a tenth of them as negative."""
    by = estimate.correction(mistakes([[50, 10, 40], [0, 100, 0], [0, 0, 0]]))
    found = measure.rows(results(image("a", 100, 420)), SCORES, by=by)
    index, positive, negative = (row.corrected for row in found)
    # 100 = n0 / 2 and 420 = n0 / 10 + n1.
    assert (index.numerator, index.denominator) == pytest.approx((200, 600))
    assert index.value == pytest.approx(1 / 3)
    assert positive.value == pytest.approx(200 / 0.015)
    assert negative.value == pytest.approx(400 / 0.015)
    assert index.low < 1 / 3 < index.high
    assert found[0].plain.value == pytest.approx(100 / 520)


def test_no_positive_cell_may_be_few():
    """Draws of squares without one say nothing; cells do."""
    by = estimate.correction(mistakes([[50, 10, 40], [0, 100, 0], [0, 0, 0]]))
    row = measure.rows(results(image("a", 0, 100)), SCORES, by=by)[0]
    assert row.plain.high == samples.wilson(0, 100)[1]
    assert row.corrected.value == pytest.approx(0, abs=1e-12)
    share = row.plain.high
    positive, negative = 100 * share / 0.5, 100 * (1 - share) - 100 * share / 0.5 / 10
    assert row.corrected.high == pytest.approx(positive / (positive + negative))


def test_a_hot_spot_and_the_rest_of_a_slide():
    """600 cells at (2.5, 3.5) mm, half of them positive; 4 x 5 mm of 5 % around."""
    rng = np.random.default_rng(0)
    ground = rng.uniform((0, 0), (4, 5), (6000, 2))
    spot = rng.uniform((2.0, 3.0), (3.0, 4.0), (600, 2))
    points_yx = np.concatenate([ground, spot]) * 1000 / 0.25
    chance = np.repeat([0.05, 0.5], [6000, 600])
    labels = (rng.random(6600) >= chance).astype(int)
    slide = Sheet("s", points_yx, labels, None, 20.0, 0.25, "--mpp", 2)
    by = estimate.correction(mistakes([[50, 0, 50], [0, 100, 0], [0, 0, 0]]))
    found = measure.rows(results(slide, what="slides"), SCORES, by=by)
    (field,) = (row for row in found if row.where == measure.HOT_SPOT)
    assert np.abs(np.array(field.field.corner_yx) - (2.0, 3.0)).max() < 0.15
    assert 0.33 < field.plain.value < 0.42
    assert field.plain.low < field.plain.value < field.plain.high
    twice = 2 * field.plain.numerator
    rest = field.plain.denominator - field.plain.numerator
    assert field.corrected.value == pytest.approx(twice / (twice + rest))
    assert (found[0].tiles_left_out, found[0].where) == (2, measure.ALL)
    small = measure.rows(results(slide._replace(area_mm2=0.9)), SCORES)
    assert all(row.field is None for row in small)
    # A table by itself: the frame of its cells is large enough.
    alone = measure.rows(results(slide._replace(area_mm2=None)), SCORES)
    (again,) = (row for row in alone if row.where == measure.HOT_SPOT)
    assert again.field.corner_yx == field.field.corner_yx
    assert again.plain.value == field.plain.value


def test_most_mitoses_of_2_mm2():
    points_yx = np.concatenate(
        [np.random.default_rng(0).uniform(0, 6, (30, 2)), np.full((9, 2), 3.05)]
    )
    slide = Sheet("s", points_yx * 2000, np.zeros(39, int), None, 36.0, 0.5)
    scores = definitions.find(("mitosis", "other"))
    found = measure.rows(results(slide), scores)
    (field,) = (row for row in found if row.where == measure.MOST)
    assert (field.plain.denominator, field.score.name) == (2.0, "mitoses_per_mm2")
    assert field.plain.numerator >= 9
    assert field.plain.value == field.plain.numerator / 2
    low, high = intervals.poisson(field.plain.numerator)
    assert field.plain.low <= low / 2
    assert field.plain.high >= high / 2
    assert found[0].plain.value == pytest.approx(39 / 36)


def _held(num_slides, num_fields, index, seed):
    """Shares of slides whose intervals hold: plain, corrected; and mean values."""
    by, score = simulated.LABORATORY, SCORES[:1]
    truth = simulated.expected_index(index)
    expected = simulated.plain_index(by, truth)
    held, values = np.zeros((num_slides, 2)), np.zeros((num_slides, 2))
    for i in range(num_slides):
        rng = np.random.default_rng([seed, i])
        slide = simulated.slide(rng, by, index)
        # Fields of other tumours, of more positive cells.
        fields = [simulated.field(rng, by, 0.35) for _ in range(num_fields)]
        side = round(16 * simulated.SITE_PX)
        sizes = [(side, side)] * num_fields
        seen = correct.measure(fields, sizes, 2, simulated.RADIUS_PX)
        row = measure.rows(results(slide), score, by=estimate.correction(seen))[0]
        held[i] = (
            row.plain.low <= expected <= row.plain.high,
            row.corrected.low <= truth <= row.corrected.high,
        )
        values[i] = row.plain.value, row.corrected.value
    return held.mean(axis=0), values.mean(axis=0), (expected, truth)


def test_a_simulated_detectors_index_is_corrected_on_average():
    _, values, expected = _held(12, 8, 0.2, seed=1)
    assert expected == pytest.approx((0.162, 0.239), abs=0.001)
    np.testing.assert_allclose(values, expected, atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("index", "num_fields"), [(0.2, 8), (0.05, 20)])
def test_intervals_hold_in_90_to_99_of_100_simulated_slides(index, num_fields):
    """The plain one its own expected index, the corrected one the truth."""
    held, values, expected = _held(200, num_fields, index, seed=0)
    assert (held >= 0.9).all(), held
    assert (held <= 0.99).all(), held
    np.testing.assert_allclose(values, expected, atol=0.01)
