"""How many cells are left: by hand, and against draws of labels of known truth."""

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.rounds import remaining
from cellrec_jax.rounds.candidates import POSITIVE, REMOVED, UNLABELED, Candidates
from cellrec_jax.rounds.remaining import Held, Part
from cellrec_jax.rounds.selection import Selection

CELLS = 320
"""Cells that training does not know."""


def _round(rng, num_labels, left, background, distance, **held):
    """A round of `left` cells and background at unlabelled peaks, labels drawn anew.

    Scores of cells lie `distance` standard deviations above those of background, and a
    tenth of all is chosen. Also which of these are cells, the surest first.
    """
    number = left + background
    drawn = rng.choice(CELLS, num_labels, replace=False)
    scores = rng.normal(0, 1, number) + distance * (np.arange(number) < left)
    chosen = np.argsort(-scores)[: number // 10]
    found = remaining.estimate(
        drawn[drawn < left],
        np.full(number, UNLABELED, np.int8),
        scores,
        chosen,
        Held([np.zeros((num_labels, 2))], **held),
        0.5,
    )
    return found, chosen < left


@pytest.mark.parametrize("num_labels", [16, 64])
def test_the_estimate_is_unbiased_where_the_share_is_known(num_labels):
    """Of 320 cells 100 are left, under 900 other peaks; the chosen ones are counted."""
    rng = np.random.default_rng(0)
    cells, shares, truth = [], [], []
    for _ in range(300):
        found, right = _round(
            rng, num_labels, 100, 900, 2.0, cells_each=CELLS / num_labels
        )
        assert found.withheld == num_labels
        assert found.found == found.left
        cells.append(found.cells)
        shares.append(found.cells_each * found.chosen.labels / found.chosen.peaks)
        truth.append(right.mean())
    assert np.mean(cells) == pytest.approx(100, rel=0.08)
    assert np.mean(shares) == pytest.approx(np.mean(truth), rel=0.08)


@pytest.mark.parametrize(("num_labels", "within"), [(16, 0.3), (64, 0.2)])
def test_a_pure_part_tells_what_a_label_stands_for(num_labels, within):
    """Half of the peaks are cells, which the ranking knows well."""
    rng = np.random.default_rng(0)
    ratios = [
        _round(rng, num_labels, 320, 380, 3.0)[0].cells_each / (CELLS / num_labels)
        for _ in range(200)
    ]
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.15)
    assert np.std(ratios) < within


def test_rounds_go_on_while_cells_are_left():
    """By 16 labels, those that each stands for estimated: nearly all are added."""
    rng = np.random.default_rng(0)
    shares = [
        found.added / found.chosen.peaks
        for found, _ in (_round(rng, 16, 300, 200, 2.5) for _ in range(200))
    ]
    assert np.mean(shares) > 0.9
    assert min(shares) > 0


def test_few_cells_that_are_left_shrink_a_round_and_none_end_it():
    """Of 250 chosen peaks 100 at most are cells, then 10, then none."""
    rng = np.random.default_rng(0)
    first = (Part(300, 15),)
    some, few, none = (
        [_round(rng, 16, left, 2500 - left, 2.5, earlier=first) for _ in range(100)]
        for left in (100, 10, 0)
    )
    for found, _ in some:
        assert found.chosen.peaks == 250
        assert found.added <= round(found.cells)
    added = [(right[: found.added].sum(), found.added) for found, right in some]
    good, all_added = np.sum(added, axis=0)
    by_share = np.mean([right.mean() for _, right in some])
    assert good / all_added > 0.5 > by_share
    assert np.mean([found.added for found, _ in few]) < 25
    assert np.mean([found.added == 0 for found, _ in few]) > 0.5
    assert {found.added for found, _ in none} == {0}


def test_the_longest_part_of_enough_cells_is_added(rng):
    """As a loop over all numbers says it."""
    for _ in range(200):
        marked, each = rng.random(rng.integers(1, 40)) < 0.1, rng.uniform(1, 8)
        left, least = int(rng.integers(0, 9)), rng.uniform(0.1, 0.9)
        wanted = 0
        for number in range(1, min(len(marked), round(left * each)) + 1):
            if each * (marked[:number].sum() + 1) / number >= least:
                wanted = number
        assert remaining.number_to_add(marked, left, each, least) == wanted
        assert remaining.number_to_add(marked, left, each, 0.0) == len(marked)


def test_only_labels_whose_own_peak_is_unlabelled_are_left():
    """The first is chosen already and has a second peak; the last has none near."""
    peaks_yx = np.float32([[10, 11], [10, 14], [30, 30], [50, 52], [70, 70]])
    kinds = np.int8([POSITIVE, UNLABELED, UNLABELED, REMOVED, UNLABELED])
    scores = np.float32([np.nan, 1, 3, np.nan, 2])
    candidates = Candidates(np.zeros(5, np.int32), peaks_yx, np.ones(5, np.float32))
    labels = np.float32([[10, 10], [31, 30], [50, 50], [90, 90]])
    held = Held([labels], cells_each=2.5)
    peaks = remaining.peaks_at(candidates, held.points_yx, 5.0)
    assert sorted(peaks) == [0, 2, 3]
    found = remaining.estimate(peaks, kinds, scores, np.array([2, 4]), held, 0.5)
    assert (found.withheld, found.found, found.left) == (4, 3, 1)
    assert found.purest == Part(1, 1)
    assert found.chosen == Part(2, 1)
    assert (found.cells, found.share, found.added) == (2.5, 1.0, 2)


def test_the_purest_part_of_all_rounds_counts():
    """Lower bounds of labels for each peak: 0.05, 0.6 and, of two labels, below 0."""
    parts = (Part(160, 16), Part(80, 64), Part(10, 2))
    assert remaining.cells_each(parts) == 80 / 64
    assert remaining.cells_each((parts[0], parts[2])) == 10.0
    assert remaining.cells_each((Part(8, 9),)) == 1.0  # two labels at one cell
    assert np.isnan(remaining.cells_each((Part(0, 0),)))
    told = [{}, {"remaining": {"purest": [160, 16]}}]
    assert remaining.earlier(told) == parts[:1]


def test_a_selection_without_cells_adds_no_background():
    chosen = Selection(np.array([5, 3, 1]), np.array([2, 4]), ("note",))
    first = remaining.shortened(chosen, 2, 9)
    assert first.positive_index.tolist() == [5, 3]
    assert first.negative_index.tolist() == [2, 4]
    assert remaining.shortened(chosen, 2, 1).negative_index.tolist() == [2]
    ended = remaining.shortened(chosen, 0, 9)
    assert len(ended.positive_index) == len(ended.negative_index) == 0
    background = chosen._replace(positive_index=np.zeros(0, np.int64))
    assert remaining.shortened(background, 0, 9).negative_index.tolist() == [2, 4]


@pytest.mark.parametrize(("each", "expected"), [(10.0, 20), (16.0, 2), (30.0, 0)])
def test_background_is_what_is_not_estimated_to_be_cells(each, expected):
    """Of 50 unlabelled peaks, 3 of them at withheld labels."""
    kinds = np.array([UNLABELED] * 50 + [UNLABELED + 1] * 4, np.int8)
    found = remaining.Remaining(4, 3, 3, Part(8, 1), each, Part(5, 1), 5)
    assert remaining.background_left(kinds, found) == expected
    unknown = found._replace(cells_each=float("nan"))
    assert remaining.background_left(kinds, unknown) == 50


def test_what_is_not_known_is_null():
    nothing = np.zeros(0, np.int64)
    held = Held([np.ones((3, 2), np.float32)])
    kinds, scores = np.zeros(0, np.int8), np.zeros(0, np.float32)
    found = remaining.estimate(nothing, kinds, scores, nothing, held, 0.5)
    told = remaining.to_json(found)
    assert (told["withheld"], told["found"], told["added"]) == (3, 0, 0)
    assert (told["cells_each"], told["share"], told["cells"]) == (None, None, 0.0)


def test_too_few_labels_are_refused():
    remaining.check(0.0, None)
    remaining.check(0.5, Held([np.ones((6, 2)), np.ones((4, 2))]))
    with pytest.raises(errors.ConfigError, match=r"refine.stop_below=0.5: .*share=0.5"):
        remaining.check(0.5, None)
    with pytest.raises(errors.ConfigError, match=r"here are 9: .*threshold_share"):
        remaining.check(0.5, Held([np.ones((9, 2))]))
