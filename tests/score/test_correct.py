"""Mistakes by hand, counts solved back, and what cannot be corrected."""

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.metrics import recognition
from cellrec_jax.metrics.results import ImageResult
from cellrec_jax.score import correct
from tests.score import simulated


def result(predicted, annotated, ignored=()):
    """An image of ((y, x), class) lists."""
    points_yx = np.array([place for place, _ in predicted], float).reshape(-1, 2)
    labels = np.array([label for _, label in predicted], int)
    true_yx = np.array([place for place, _ in annotated], float).reshape(-1, 2)
    true = np.array([label for _, label in annotated], int)
    out = np.isin(np.arange(len(labels)), ignored)
    return ImageResult(
        "a", "", points_yx, np.ones(len(labels)), labels, None, out, true_yx, true, None
    )


def test_mistakes_of_one_field_by_hand():
    """Found, taken for another, missed, false; one that is ignored; by square."""
    one = result(
        [((10, 10), 0), ((10, 41), 1), ((90, 90), 1), ((60, 60), 0)],
        [((11, 10), 0), ((10, 40), 0), ((80, 10), 1)],
        ignored=[3],
    )
    found = correct.measure([one], [(100, 100)], 2, 5.0)
    assert found.counts.shape == (16, 3, 3)
    assert (found.num_fields, found.what) == (1, "16 squares of 1 fields")
    total = [[1, 1, 0], [0, 0, 1], [0, 1, 0]]
    assert found.counts.sum(axis=0).tolist() == total
    assert found.counts[0, 0, 0] == 1
    assert found.counts[1, 0, 1] == 1
    assert found.counts[12, 1, 2] == 1
    assert found.counts[15, 2, 1] == 1


def test_fields_are_the_parts_where_there_are_enough(rng):
    fields = [
        simulated.field(rng, simulated.LABORATORY, 0.3, name=str(i)) for i in range(6)
    ]
    found = correct.measure(fields, [(320, 320)] * 6, 2, simulated.RADIUS_PX)
    expected = recognition.confusion_matrices(fields, np.zeros(2), simulated.RADIUS_PX)
    np.testing.assert_array_equal(found.counts, expected)
    assert found.what == "6 fields"
    few = correct.measure(fields[:2], [(320, 320)] * 2, 2, simulated.RADIUS_PX)
    np.testing.assert_array_equal(few.counts.sum(axis=0), expected[:2].sum(axis=0))
    assert len(few.counts) == 18


def test_counts_are_solved_back():
    """Of three classes, from what a detector of these shares finds on average."""
    shares = np.array([[0.6, 0.2, 0.0], [0.1, 0.7, 0.1], [0.0, 0.05, 0.9]])
    fields = np.zeros((1, 4, 4))
    cells = np.array([500.0, 300.0, 200.0])
    fields[0, :3, :3] = cells[:, None] * shares
    fields[0, :3, 3] = cells * (1 - shares.sum(axis=1))
    # A tenth, a half and none of what is found of a class are no cells.
    false = np.array([0.1, 0.5, 0.0])
    fields[0, 3, :3] = cells @ shares * false / (1 - false)
    slide = np.array([40.0, 900.0, 10.0])
    predicted = slide @ shares / (1 - false)
    by = correct.solver(fields)
    np.testing.assert_allclose(correct.corrected(predicted[None], by), slide[None])
    twice = correct.corrected(np.stack([predicted, 2 * predicted]), by)
    np.testing.assert_allclose(twice, np.stack([slide, 2 * slide]))


def test_no_count_is_negative():
    """More false positive cells than were found: none are left."""
    fields = np.array([[[80.0, 10, 10], [30, 60, 10], [0, 0, 0]]])
    found = correct.corrected(np.array([[10.0, 100.0]]), correct.solver(fields))
    # Least squares of n0 = 0: 0.3 n1 = 10 and 0.6 n1 = 100.
    np.testing.assert_allclose(found, [[0.0, (0.3 * 10 + 0.6 * 100) / 0.45]])


def test_a_draw_without_a_class_is_undefined():
    fields = np.array([[[80.0, 10, 10], [0, 0, 0], [0, 0, 0]]])
    found = correct.corrected(np.array([[10.0, 100.0]]), correct.solver(fields))
    assert np.isnan(found).all()


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (
            [[45.0, 3, 1], [1, 90, 9], [0, 0, 0]],
            "49 annotated cells of positive, fewer",
        ),
        (
            [[10.0, 9, 80], [1, 90, 9], [0, 0, 0]],
            "99 annotated .* positive 19 are found",
        ),
        ([[42.0, 48, 10], [38, 52, 10], [0, 0, 0]], "hardly tells the classes apart"),
    ],
)
def test_what_cannot_be_corrected_is_refused(counts, message):
    with pytest.raises(errors.DataError, match=message):
        correct.refuse(correct.Mistakes(np.array([counts]), 1, ""), simulated.NAMES)


def test_few_cells_that_are_found_are_no_reason_to_refuse():
    counts = np.array([[[30.0, 5, 200], [2, 150, 90], [9, 9, 0]]])
    correct.refuse(correct.Mistakes(counts, 1, ""), simulated.NAMES)


def test_units_of_two_sources():
    """One that does not vary does not count; two alike count twice."""
    wide, narrow = np.array([0.0, 2.0]), np.array([1.0, 1.0])
    assert correct.num_units((wide, narrow), (9, 3)) == pytest.approx(9)
    assert correct.num_units((wide, wide), (9, 9)) == pytest.approx(17)
    assert correct.num_units((narrow, narrow), (9, 3)) == 3
