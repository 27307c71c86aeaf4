import dataclasses
import functools

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.losses import pu
from cellrec_jax.methods.refine_options import RefineOptions
from cellrec_jax.rounds import labels as round_labels
from cellrec_jax.rounds.candidates import (
    POSITIVE,
    REMOVED,
    UNLABELED,
    Candidates,
    carry_over,
    divide,
    prior_of,
)


def peaks(*rows):
    """Candidates from (image, y, x); the n-th has height n / 8."""
    table = np.array(rows, np.float32).reshape(-1, 3)
    heights = np.arange(len(table), dtype=np.float32) / 8
    return Candidates(table[:, 0].astype(np.int32), table[:, 1:], heights)


def marked(positive=(), negative=()):
    """Labels of an image from (y, x)."""
    points_yx = np.array([*positive, *negative], np.float32).reshape(-1, 2)
    origins = [round_labels.POSITIVE] * len(positive)
    origins += [round_labels.NEGATIVE] * len(negative)
    return round_labels.given(points_yx)._replace(origins=tuple(origins))


def test_what_was_not_found_again_stays():
    new = peaks((0, 10, 50), (2, 5, 8))
    previous = peaks(
        (0, 10, 65),  # 15 px from a new peak: found again
        (0, 10, 66),
        (1, 10, 50),  # an image without new peaks
        (2, 14, 20),  # sqrt(81 + 144) = 15
        (2, 14, 21),
    )
    both = carry_over(new, previous, 15.0)
    assert both.image.tolist() == [0, 2, 0, 1, 2]
    assert both.points_yx[2:].tolist() == [[10, 66], [10, 50], [14, 21]]
    assert both.heights.tolist() == [0, 0.125, 0.125, 0.25, 0.5]
    for field, wanted in zip(both, new, strict=True):
        assert field.dtype == wanted.dtype


def test_new_peaks_of_another_image_take_nothing_away():
    both = carry_over(peaks((0, 10, 50), (1, 5, 8)), peaks((0, 5, 9)), 15.0)
    assert both.image.tolist() == [0, 1, 0]


@pytest.mark.parametrize("num", [0, 2])
def test_carrying_over_nothing_and_to_nothing(num):
    some, none = peaks(*[(0, 3, 7), (1, 3, 9)][:num]), peaks()
    for found in (carry_over(some, none, 15.0), carry_over(none, some, 15.0)):
        for field, wanted in zip(found, some, strict=True):
            np.testing.assert_array_equal(field, wanted)


def test_kinds():
    found = peaks(
        (0, 10, 50),  # at a label
        (0, 10, 57),  # a second peak at the same cell
        (0, 40, 50),  # 15 px from a label
        (0, 70, 50),  # 15.1 px from one
        (1, 10, 50),  # the other image has a label here
        (1, 31, 52),  # at known background
    )
    given = round_labels.given([[11, 50], [55, 50], [85.1, 50]])
    kinds = divide(found, [given, marked(negative=[[30, 50]])], 15.0)
    assert kinds.dtype == np.int8
    wanted = [POSITIVE, UNLABELED, POSITIVE, UNLABELED, UNLABELED, REMOVED]
    assert kinds.tolist() == wanted


def test_the_nearer_label_decides():
    found = peaks((0, 10, 50), (0, 10, 61), (1, 10, 60))
    # Image 0: a cell, and background 12 px aside. The cell's peak is within 15 px of
    # both; one peak each is found. Image 1: only one peak, nearer to the background.
    both = marked([[10, 50]], [[10, 62]])
    assert divide(found, [both, both], 15.0).tolist() == [POSITIVE, REMOVED, REMOVED]
    assert divide(peaks((0, 10, 50)), [both], 15.0).tolist() == [POSITIVE]


def test_a_cell_wins_where_both_labels_are_as_near():
    labels = marked([[10, 44]], [[10, 56]])
    assert divide(peaks((0, 10, 50)), [labels], 15.0).tolist() == [POSITIVE]


def test_a_peak_that_lost_a_cell_is_removed_at_background():
    found = peaks((0, 10, 50), (0, 10, 56))
    labels = marked([[10, 50]], [[10, 64]])
    assert divide(found, [labels], 15.0).tolist() == [POSITIVE, REMOVED]


def test_no_peaks_and_no_labels():
    none = round_labels.given([])
    assert divide(peaks(), [none], 15.0).shape == (0,)
    assert divide(peaks((0, 1, 2), (1, 3, 4)), [none, none], 15.0).tolist() == [0, 0]


@hypothesis.given(st.integers(0, 10_000))
def test_order_of_peaks_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    table = np.column_stack([rng.integers(0, 2, 9), rng.uniform(0, 60, (9, 2))])
    labels = [
        marked(rng.uniform(0, 60, (3, 2)), rng.uniform(0, 60, (2, 2))) for _ in "ab"
    ]
    order = rng.permutation(9)
    kinds = divide(peaks(*table), labels, 15.0)
    np.testing.assert_array_equal(
        divide(peaks(*table[order]), labels, 15.0), kinds[order]
    )
    for image in (0, 1):  # one to one
        here = kinds[table[:, 0] == image]
        assert (here == POSITIVE).sum() <= 3
        assert (here == REMOVED).sum() <= 2


def _patches_of_two_places(num_positive, num_unlabeled, num_hidden):
    """Cells lie at 3, background at 0; the first unlabelled ones are cells."""
    num = num_positive + num_unlabeled
    patches = np.random.default_rng(0).normal(0, 0.1, (num, 2, 1, 1))
    patches[: num_positive + num_hidden] += 3.0
    kinds = [POSITIVE] * num_positive + [UNLABELED] * num_unlabeled
    return patches, np.array(kinds, np.int8)


def test_the_prior_can_be_fixed_counted_or_estimated():
    """A quarter of the unlabelled ones are cells: 0.25, but 75 / 120 = 0.625 of all."""
    patches, kinds = _patches_of_two_places(60, 60, 15)
    for change, low, high in (
        ({"prior": 0.3}, 0.3, 0.3),
        ({"unlabeled_share": 0.25}, 75 / 120, 75 / 120),
        ({"prior_rule": "penl1"}, 0.15, 0.35),
    ):
        config = dataclasses.replace(RefineOptions(), **change)
        prior, notes = prior_of(patches, kinds, config, 0)
        assert low <= prior <= high
        assert notes == ()


def test_the_estimated_prior_makes_the_risk_unbiased():
    """Of a classifier that is right, the risk is 0 by the share of the unlabelled."""
    kinds = np.array([POSITIVE] * 60 + [UNLABELED] * 60)
    scores = jnp.where(np.arange(120) < 75, 9.0, -9.0)
    masks = jnp.asarray(kinds == POSITIVE), jnp.asarray(kinds == UNLABELED)
    form = functools.partial(pu.pu_risk, estimator="unbiased", surrogate="zero_one")
    risk = jax.jit(form)
    np.testing.assert_allclose(risk(scores, *masks, 15 / 60).risk, 0.0, atol=1e-6)
    np.testing.assert_allclose(
        risk(scores, *masks, 75 / 120).risk, 0.25 - 0.625, atol=1e-6
    )


@pytest.mark.parametrize(
    ("num_positive", "spread", "reason"),
    [(3, 1.0, "too few for 5 folds"), (10, 0.0, "no kernel width fits")],
)
def test_a_prior_that_cannot_be_estimated_is_counted(num_positive, spread, reason):
    patches, kinds = _patches_of_two_places(num_positive, 30, 0)
    config = dataclasses.replace(
        RefineOptions(), prior_rule="penl1", unlabeled_share=0.5
    )
    prior, (note,) = prior_of(spread * patches, kinds, config, 0)
    assert prior == pytest.approx((num_positive + 15) / (num_positive + 30))
    for part in (reason, "refine.prior_rule=penl1", "--config.refine.prior "):
        assert part in note
