"""What is said of a round: hand-worked purity, lines, and figures that exist."""

import functools

import numpy as np
import pytest

from cellrec_jax.data import arrays, sets
from cellrec_jax.data.example import ExampleSpec
from cellrec_jax.rounds import labels as round_labels
from cellrec_jax.rounds import report as round_report
from cellrec_jax.rounds.candidates import Candidates
from cellrec_jax.rounds.relabel import Judged, Relabeled
from cellrec_jax.rounds.selection import Ranking, Selection

CELLS = [np.array([[10, 10], [10, 30]], np.float32), np.array([[20, 20]], np.float32)]
PEAKS = Candidates(
    np.array([0, 0, 0, 1, 1], np.int32),
    np.array([[11, 10], [12, 10], [30, 40], [20, 24], [5, 5]], np.float32),
    np.ones(5, np.float32),
)


def _eval_set(cells=CELLS) -> sets.EvalSet:
    images = [np.zeros((40, 60, 1), np.uint8)] * 2
    source = arrays.from_arrays(images, cells)
    spec = ExampleSpec(size_hw=(40, 60), max_cells=8, training=False)
    found = sets.load_eval(sets.Split(source, source.image_ids, spec))
    assert found is not None
    return found


def _purity(index, match_px, *, cells):
    return round_report.purity(PEAKS, index, CELLS, match_px, cells=cells)


def test_purity_counts_a_cell_once():
    """Two peaks at the first cell are one cell; the fourth lies 4 px off its own."""
    purity = functools.partial(_purity, cells=True)
    assert purity(np.arange(5), 3.0) == 1 / 5
    assert purity(np.arange(5), 5.0) == 2 / 5
    assert purity(np.arange(1, 3), 3.0) == 1 / 2
    assert purity(np.zeros(0, np.int64), 5.0) is None


def test_background_has_no_cell_near():
    """Both peaks at the first cell are wrong; the fourth is 4 px from its own."""
    purity = functools.partial(_purity, cells=False)
    assert purity(np.arange(5), 3.0) == 3 / 5
    assert purity(np.arange(5), 4.0) == purity(np.arange(5), 5.0) == 2 / 5
    assert purity(np.array([0, 1]), 5.0) == 0.0
    assert purity(np.array([0, 1]), 0.5) == 1.0
    assert purity(np.zeros(0, np.int64), 5.0) is None


def test_background_of_images_without_cells_is_right():
    blank = [np.zeros((0, 2), np.float32)] * 2
    index = np.arange(5)
    assert round_report.purity(PEAKS, index, blank, 5.0, cells=False) == 1.0
    assert round_report.purity(PEAKS, index, blank, 5.0, cells=True) == 0.0


def test_separation_by_hand():
    """Of the unlabelled peaks 1, 2 and 3 the first and, at 4 px, the last are on cells.

    Peak 0 is labelled. Of two pairs the first scores have one right, the others both.
    """
    unlabeled = np.array([False, True, True, True, False])
    scores = {
        "one": np.array([0, 3, 2, 1, np.nan], np.float32),
        "all": np.array([0, 3, 0, 1, np.nan], np.float32),
        "none": np.full(5, np.nan, np.float32),
    }
    separation = functools.partial(
        round_report.separation, PEAKS, scores=scores, truth_yx=CELLS
    )
    found = separation(unlabeled, match_px=4.0)
    assert found["on_cells"] == 2 / 3
    assert found["auc"] == {"one": 0.5, "all": 1.0, "none": None}
    for match_px in (0.5, 50.0):  # all of one kind
        assert set(separation(unlabeled, match_px=match_px)["auc"].values()) == {None}
    nothing = separation(np.zeros(5, bool), match_px=4.0)
    assert nothing == {"on_cells": None, "auc": dict.fromkeys(scores)}


def test_labelled_cells_are_no_finds():
    """The first image's first cell has a label, and a second peak 1 px further."""
    labels = [round_labels.given(CELLS[0][:1] + 1), round_labels.given(CELLS[1][:0])]
    free = round_report.unlabeled_cells(CELLS, labels, 3.0)
    np.testing.assert_array_equal(free[0], CELLS[0][1:])
    np.testing.assert_array_equal(free[1], CELLS[1])
    index = np.array([1, 3])
    assert round_report.purity(PEAKS, index, CELLS, 5.0, cells=True) == 1.0
    assert round_report.purity(PEAKS, index, free, 5.0, cells=True) == 0.5
    background = [one._replace(origins=("pseudo_negative",)) for one in labels[:1]]
    same = round_report.unlabeled_cells(CELLS[:1], background, 3.0)
    np.testing.assert_array_equal(same[0], CELLS[0])


@pytest.mark.parametrize("num_given", [1, 2])
def test_shares_right_need_cells_that_are_held_back(num_given):
    """Of three cells; with all of them given, finds cannot be told from mistakes."""
    given = [round_labels.given(CELLS[0][:num_given]), round_labels.given(CELLS[1])]
    labels = dict(zip(_eval_set().image_ids, given, strict=True))
    scores = np.zeros(5, np.float32)
    selection = Selection(np.array([1]), np.array([4]), ())
    following = Relabeled({}, Ranking(scores, scores, ()), selection, {})
    summary = round_report.summarize(
        0, labels, PEAKS, None, following, _eval_set(), 5.0
    )
    if num_given == 1:
        shares = {
            "positive_purity": 0.0,
            "positive_recall": 0.0,
            "negative_purity": 1.0,
        }
        assert summary["notes"] == []
    else:
        shares = {}
        assert "all annotated cells are labels" in summary["notes"][0]
    assert summary["selected"] == {"positive": 1, "negative": 1, **shares}


@pytest.mark.parametrize("more", [False, True])
def test_a_summary_has_the_notes_of_all_stages(more):
    """Also of the classifier alone, where no selection follows."""
    kinds, scores = np.ones(5, np.int8), np.full(5, np.nan, np.float32)
    features = np.zeros((5, 1))
    judged = Judged(PEAKS, kinds, None, scores, features, 0.0, {}, ("no classifier",))
    none = np.zeros(0, np.int64)
    ranking = Ranking(scores, scores, ("not ranked",))
    following = Relabeled({}, ranking, Selection(none, none, ("none",)), {})
    none_given = dict.fromkeys(_eval_set().image_ids, round_labels.given(CELLS[0][:0]))
    summary = round_report.summarize(
        0, none_given, PEAKS, judged, following if more else None, _eval_set(), 5.0
    )
    curves = ["classifier", "cells", "background"] if more else ["classifier"]
    assert summary["unlabeled"] == {"on_cells": None, "auc": dict.fromkeys(curves)}
    notes = ["no classifier", "not ranked", "none"] if more else ["no classifier"]
    assert summary["notes"] == notes
    assert round_report.lines(summary)[-len(notes) :] == [f"note: {n}" for n in notes]


def test_a_summary_without_a_classifier_has_no_notes():
    summary = round_report.summarize(0, {}, PEAKS, None, None, _eval_set(), 5.0)
    assert summary["notes"] == []


def test_lines_name_what_was_found():
    summary = {
        "round": 1,
        "peaks_unlabeled": 40,
        "train": {"precision": 0.5, "recall": 1.0, "F1": None},
        "selected": {
            "positive": 2,
            "negative": 0,
            "positive_purity": 0.5,
            "negative_purity": None,
        },
        "unlabeled": {"on_cells": 0.25, "auc": {"cells": 0.875}},
        "notes": ["too few"],
    }
    assert round_report.lines(summary) == [
        "round 1, train images: precision 0.500, recall 1.000, F1 undefined",
        "round 1: selected 2 as cells (50 % right) and 0 as background of 40 "
        "unlabelled peaks (25 % on cells, area under the curve 0.88)",
        "note: too few",
    ]


def test_found_cells_are_told_beside_the_labels_that_stay():
    """Of three cells one is given; one peak of two is at one of the others."""
    labels = [round_labels.given(CELLS[0]), round_labels.given(CELLS[1][:0])]
    labels[0] = labels[0]._replace(origins=("given", "pseudo_positive"))
    named = dict(zip(_eval_set().image_ids, labels, strict=True))
    staying = {name: round_labels.only_given(one) for name, one in named.items()}
    scores = np.zeros(5, np.float32)
    selection = Selection(np.array([2, 3]), np.zeros(0, np.int64), ())
    following = Relabeled(
        {}, Ranking(scores, scores, ()), selection, {}, threshold=0.0123
    )
    kinds = np.zeros(5, np.int8)
    judged = Judged(PEAKS, kinds, None, scores, np.zeros((5, 1)), 0.0, {}, ())
    summary = round_report.summarize(
        0, named, PEAKS, judged, following, _eval_set(), 5.0, staying
    )
    assert summary["selected"] == {
        "positive": 2,
        "negative": 0,
        "positive_purity": 0.5,
        "positive_recall": 0.5,
        "negative_purity": None,
        "threshold": 0.0123,
    }
    (line,) = (line for line in round_report.lines(summary) if "selected" in line)
    assert "at a threshold of 0.0123 (50 % right, 50 % of those without" in line


def test_label_line_counts_origins():
    labels = {
        "a": round_labels.given(CELLS[0]),
        "b": round_labels.given(CELLS[1])._replace(origins=("pseudo_negative",)),
    }
    assert round_report.label_line(1, 2, labels) == (
        "round 1 of 2: training on 2 given, 0 pseudo-positive, 1 pseudo-negative labels"
    )
