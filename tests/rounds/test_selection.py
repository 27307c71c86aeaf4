import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from cellrec_jax.losses.ranking import solvers as ranking_solvers
from cellrec_jax.rounds import labels as round_labels
from cellrec_jax.rounds import selection as pseudo_selection
from cellrec_jax.rounds.candidates import POSITIVE, REMOVED, UNLABELED, Candidates
from cellrec_jax.rounds.selection import Ranking, Selection

NUM, FEATURES = 24, 5
KINDS = np.repeat(np.int8([POSITIVE, UNLABELED, UNLABELED, REMOVED]), 6)
"""Labelled cells, hidden cells, hidden background, known background."""
OTHERS = {"image": np.zeros(NUM, np.int32), "kinds": KINDS}


@pytest.fixture
def features(rng):
    """Cells and background differ in the first two features."""
    means = np.zeros((NUM, FEATURES))
    means[:12, 0], means[12:, 1] = 2.0, 2.0
    return np.maximum(rng.normal(means, 0.5), 0).astype(np.float32)


def minimise(features, upper, lower, p=4.0, ridge=0.1):
    """Scores by the objective as its formula has it, in float64."""
    used = upper | lower
    scaled = np.float64(features) / features[used].max()
    design = np.column_stack([scaled, np.ones(len(scaled))])

    def objective(weights):
        scores = design @ weights
        pushes = np.exp(-scores[upper]).sum() + np.exp(p * scores[lower]).sum() / p
        return pushes + ridge * np.sum(weights[:-1] ** 2)

    start = np.zeros(design.shape[1])
    return design @ optimize.minimize(objective, start, options={"gtol": 1e-8}).x


def test_both_runs_minimise_the_objective(features):
    ranking = pseudo_selection.rank(features, KINDS)
    positive, unlabeled = KINDS == POSITIVE, KINDS == UNLABELED
    up = minimise(features, positive, unlabeled)
    np.testing.assert_allclose(ranking.positive_scores, up, atol=2e-3)
    # Two of twelve unlabelled peaks join the positives, then labels are opposed.
    best = np.flatnonzero(unlabeled)[np.argsort(-up[unlabeled])[:2]]
    assert (best < 12).all()
    positive[best], unlabeled[best] = True, False
    down = -minimise(features, unlabeled, positive)
    np.testing.assert_allclose(ranking.negative_scores, down, atol=2e-3)
    assert ranking.notes == ()
    assert ranking.positive_scores.dtype == ranking.negative_scores.dtype == np.float32


def test_each_end_is_pure(features):
    ranking = pseudo_selection.rank(features, KINDS)
    chosen = pseudo_selection.select(ranking, **OTHERS, top_share=0.3, bottom_share=0.3)
    assert len(chosen.positive_index) == len(chosen.negative_index) == 3
    assert set(chosen.positive_index) <= set(range(6, 12))
    assert set(chosen.negative_index) <= set(range(12, 18))


def test_nothing_moved_as_printed(features):
    ranking = pseudo_selection.rank(features, KINDS, moved_share=0.0, p=2.0, ridge=1.0)
    upper, lower = KINDS == UNLABELED, KINDS == POSITIVE
    down = -minimise(features, upper, lower, p=2.0, ridge=1.0)
    np.testing.assert_allclose(ranking.negative_scores, down, atol=2e-3)


@pytest.mark.parametrize("removed", [np.nan, 1e6])
def test_scale_and_removed_rows_do_not_matter(features, removed):
    wanted = pseudo_selection.rank(features, KINDS)
    scaled = 512 * features
    scaled[KINDS == REMOVED] = removed
    found = pseudo_selection.rank(jnp.asarray(scaled), KINDS)
    kept = KINDS != REMOVED
    for field in ("positive_scores", "negative_scores"):
        np.testing.assert_allclose(
            getattr(found, field)[kept], getattr(wanted, field)[kept], rtol=1e-5
        )
        assert (np.isnan(getattr(found, field)[~kept]) == np.isnan(removed)).all()


def test_gradient_descent_as_the_code(features):
    ranking = pseudo_selection.rank(features, KINDS, solver="sgd")
    unlabeled = KINDS == UNLABELED
    design = np.column_stack([features / features[:18].max(), np.ones(NUM)])
    design = design.astype(np.float32)
    solved = ranking_solvers.solve_sgd(
        *map(jnp.asarray, (design, KINDS == POSITIVE, unlabeled))
    )
    np.testing.assert_allclose(
        ranking.positive_scores, design @ solved.weights, rtol=1e-3, atol=1e-5
    )
    assert ranking.positive_scores[6:12].min() > ranking.positive_scores[12:18].max()
    assert ranking.negative_scores[6:12].min() > ranking.negative_scores[12:18].max()


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (np.full(NUM, UNLABELED), "no peak is at a label that marks a cell"),
        (np.full(NUM, POSITIVE), "every peak is at a label, none is unlabelled"),
        (np.full(NUM, REMOVED), "every peak is at a label, none is unlabelled"),
        (np.zeros(0), "the detector found no peak"),
    ],
)
def test_where_nothing_can_be_ranked_it_says_why(features, kinds, message):
    kinds = kinds.astype(np.int8)
    ranking = pseudo_selection.rank(features[: len(kinds)], kinds)
    assert ranking.notes == (f"nothing was ranked: {message}",)
    assert ranking.positive_scores.shape == ranking.negative_scores.shape == kinds.shape
    image = np.zeros(len(kinds), np.int32)
    for pooled in (True, False):
        chosen = pseudo_selection.select(ranking, kinds, image, pooled=pooled)
        assert len(chosen.positive_index) == len(chosen.negative_index) == 0
        assert chosen.notes == ()


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_equal_features_choose_nothing(value):
    same = np.full((NUM, FEATURES), value, np.float32)
    ranking = pseudo_selection.rank(same, KINDS)
    assert "tell no two unlabelled peaks apart" in ranking.notes[0]
    assert np.isnan(ranking.positive_scores).all()


def test_an_unconverged_run_is_noted(features, monkeypatch):
    def stopped(*arguments, **options):
        found = ranking_solvers.solve_lbfgs(*arguments, **options)
        return found._replace(converged=jnp.bool_(False), steps=jnp.int32(2))

    monkeypatch.setitem(pseudo_selection._SOLVERS, "lbfgs", stopped)
    notes = pseudo_selection.rank(features, KINDS).notes
    assert notes == tuple(
        f"the {run}-run stopped unconverged after 2 steps" for run in "PN"
    )


def test_bad_features_are_named(features):
    features[7, 2] = np.nan
    with pytest.raises(ValueError, match="features of used peaks are NaN"):
        pseudo_selection.rank(features, KINDS)


UP = np.float32([9, 3, 8, 1, 2, 7, 6, 5, 4, 0])
RANKING = Ranking(UP, UP[::-1].copy(), ())
TEN = np.zeros(10, np.int8)


def choose(**options):
    options = {"kinds": TEN, "image": np.repeat([4, 7], [4, 6])} | options
    ranking = options.pop("ranking", RANKING)
    chosen = pseudo_selection.select(ranking, **options)
    top, bottom = chosen.positive_index.tolist(), chosen.negative_index.tolist()
    return top, bottom, chosen.notes


def test_pooled_the_surest_come_first():
    # The best three of UP are 9, 8 and 7 at 0, 2 and 5.
    down = np.float32([-5, 3, 8, 1, 2, 7, 6, 5, 4, 0])
    ranking = Ranking(UP, -UP, ())
    assert choose(top_share=0.3, bottom_share=0.2, ranking=ranking) == (
        [5],
        [],
        ("peaks at both ends, left unlabelled: 2",),
    )
    ranking = Ranking(UP, down, ())
    assert choose(top_share=0.3, bottom_share=0.25, ranking=ranking) == (
        [2, 5],
        [9],
        ("peaks at both ends, left unlabelled: 1",),
    )


def test_image_by_image():
    # Image 4 has peaks 0 to 3, image 7 peaks 4 to 9.
    top, bottom, notes = choose(top_share=0.25, bottom_share=0.25, pooled=False)
    assert top == [5]  # of image 4 peak 0 is at both ends
    assert bottom == [6]
    assert notes == ("peaks at both ends, left unlabelled: 1",)


def test_the_surest_of_all_images_come_first():
    images = np.repeat([7, 4], [4, 6])  # the image that comes second has the best
    top, *_ = choose(image=images, top_share=0.5, bottom_share=0.0, pooled=False)
    assert top == [0, 2, 5, 6, 7]


def test_only_unlabelled_peaks_are_taken_and_counted():
    kinds = TEN.copy()
    kinds[[0, 2]], kinds[[9, 8]] = POSITIVE, REMOVED
    # Six are left; 0.34 of them is 2, of ten it would be 3.
    ranking = Ranking(UP, UP, ())
    top, bottom, _ = choose(
        kinds=kinds, ranking=ranking, top_share=0.34, bottom_share=0.17
    )
    assert top == [5, 6]
    assert bottom == [3]


@pytest.mark.parametrize(
    ("pooled", "end"), [(True, "less than one"), (False, "less than one in any image")]
)
def test_a_share_too_small_for_one_is_noted(pooled, end):
    top, bottom, notes = choose(top_share=0.09, bottom_share=0.0, pooled=pooled)
    assert top == bottom == []
    (note,) = notes
    said = f"no pseudo-positive label: 0.09 of 10 unlabelled peaks is {end}"
    assert note == f"{said}; raise --config.refine.top_share"


def test_shares_are_not_cut_by_rounding():
    scores = np.arange(100, dtype=np.float32)  # 0.29 * 100 is 28.999999999999996
    zeros = np.zeros(100, np.int8)
    chosen = pseudo_selection.select(
        Ranking(scores, scores, ()), zeros, zeros, top_share=0.29, bottom_share=0.05
    )
    assert chosen.positive_index.tolist() == list(range(99, 70, -1))
    assert chosen.negative_index.tolist() == [0, 1, 2, 3, 4]
    assert chosen.notes == ()


def test_labels_accumulate():
    found = Candidates(
        np.int32([0, 2, 2, 0, 2]),
        np.float32([[1, 9], [2, 8], [3, 7], [4, 6], [5, 4]]),
        np.ones(5, np.float32),
    )
    old = [round_labels.given([[10, 20]]) for _ in range(3)]
    up, down = np.arange(5, dtype=np.float32), -np.arange(5, dtype=np.float32)
    chosen = Selection(np.array([3, 1]), np.array([4]), ())
    labels = pseudo_selection.add_labels(old, found, Ranking(up, down, ()), chosen, 2)
    assert labels[1] is old[1]
    np.testing.assert_array_equal(labels[0].points_yx, [[10, 20], [4, 6]])
    np.testing.assert_array_equal(labels[2].points_yx, [[10, 20], [2, 8], [5, 4]])
    assert labels[2].origins == ("given", "pseudo_positive", "pseudo_negative")
    assert labels[2].rounds.tolist() == [0, 2, 2]
    np.testing.assert_array_equal(labels[2].ranks, [np.nan, 1, -4])
    for field, wanted in zip(labels[2], old[2], strict=True):
        assert getattr(field, "dtype", None) == getattr(wanted, "dtype", None)
    assert len(old[2].points_yx) == 1
    before, after = (dict(zip("abc", x, strict=True)) for x in (old, labels))
    assert round_labels.difference(before, after) == (3, 0)


SCORES = np.float32([0.9, 0.05, 0.5, 0.2, 0.49, 0.8])
MIXED = np.int8([POSITIVE, UNLABELED, UNLABELED, UNLABELED, UNLABELED, UNLABELED])


def test_all_unlabelled_peaks_from_a_threshold_on_are_cells():
    """0.5 itself too; the one at a label is taken already."""
    ranking = pseudo_selection.rank_by_score(SCORES, MIXED)
    chosen = pseudo_selection.select_above(
        ranking, MIXED, SCORES, 0.5, bottom_share=0.4
    )
    assert chosen.positive_index.tolist() == [5, 2]  # the surest first
    assert chosen.negative_index.tolist() == [1, 3]  # two of five
    chosen = pseudo_selection.select_above(
        ranking, MIXED, SCORES, 0.1, bottom_share=0.4
    )
    assert chosen.positive_index.tolist() == [5, 2, 4, 3]
    assert chosen.negative_index.tolist() == [1]  # no more are below
    chosen = pseudo_selection.select_above(ranking, MIXED, SCORES, 0.95)
    assert not len(chosen.positive_index)


def test_a_threshold_tells_how_many_another_ranking_takes():
    """Two score enough; which two, and which background, the ranking says."""
    ranks = np.float32([0, 5, 1, 4, 3, 2])
    ranking = Ranking(ranks, ranks, ())
    chosen = pseudo_selection.select_above(
        ranking, MIXED, SCORES, 0.5, bottom_share=0.4
    )
    assert chosen.positive_index.tolist() == [1, 3]
    assert chosen.negative_index.tolist() == [4]  # 2 and 5 score too much for it


def test_a_score_needs_unlabelled_peaks_alone():
    ranking = pseudo_selection.rank_by_score(SCORES, np.zeros(6, np.int8))
    np.testing.assert_array_equal(ranking.positive_scores, SCORES)
    ranking = pseudo_selection.rank_by_score(SCORES, np.full(6, POSITIVE, np.int8))
    assert np.isnan(ranking.positive_scores).all()
    assert "none is unlabelled" in ranking.notes[0]
    chosen = pseudo_selection.select_above(ranking, np.zeros(6, np.int8), SCORES, 0.1)
    assert not len(chosen.positive_index)
