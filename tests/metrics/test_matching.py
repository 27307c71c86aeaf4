import itertools

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy import sparse, spatial

from cellrec_jax.metrics import matching

RADIUS = 12.0

# Two predictions and two cells in a line, 10 px apart: p0 - c0=p1 - c1.
CHAIN_PRED = np.array([[5.0, 0.0], [5.0, 10.0]])
CHAIN_TRUE = np.array([[5.0, 10.0], [5.0, 20.0]])


def random_points(seed, num, size_hw=(60, 90)):
    return np.random.default_rng(seed).uniform(0, 1, (num, 2)) * np.array(size_hw)


def boolean_cardinality(pred_yx, true_yx, radius):
    near = sparse.csr_array(spatial.distance.cdist(pred_yx, true_yx) <= radius)
    return int((sparse.csgraph.maximum_bipartite_matching(near) >= 0).sum())


def brute_force(pred_yx, true_yx, radius):
    """Most pairs, then least total distance, over all injective assignments."""
    distances = spatial.distance.cdist(pred_yx, true_yx)
    best = (0, 0.0)
    slots = [*range(len(true_yx)), *[None] * len(pred_yx)]
    for choice in set(itertools.permutations(slots, len(pred_yx))):
        chosen = [distances[i, j] for i, j in enumerate(choice) if j is not None]
        if all(d <= radius for d in chosen):
            best = min(best, (-len(chosen), sum(chosen)))
    return -best[0], best[1]


def total_distance(pred_yx, true_yx, pairs):
    return np.linalg.norm(pred_yx[pairs[:, 0]] - true_yx[pairs[:, 1]], axis=1).sum()


def test_chain_needs_an_augmenting_path():
    pairs = matching.match_points(CHAIN_PRED, CHAIN_TRUE, RADIUS)
    assert pairs.tolist() == [[0, 0], [1, 1]]
    # Greedy, with p1 first, takes the cell it sits on and leaves p0 with nothing.
    greedy = matching.match_points(
        CHAIN_PRED, CHAIN_TRUE, RADIUS, method="greedy_score", scores=[0.5, 0.9]
    )
    assert greedy.tolist() == [[1, 0]]
    raises = matching.ordered_matches(CHAIN_PRED, CHAIN_TRUE, RADIUS, [0.5, 0.9])
    assert raises.tolist() == [True, True]


def match_each_way(pred_yx, true_yx, scores):
    return {
        method: matching.match_points(
            pred_yx, true_yx, RADIUS, method=method, scores=scores
        ).tolist()
        for method in matching.METHODS
    }


def test_only_max_follows_a_bent_chain():
    """The second cell is nearer to both predictions together than the line allows."""
    true_yx = np.array([[5.0, 10.0], [11.0, 18.0]])
    assert match_each_way(CHAIN_PRED, true_yx, [0.5, 0.9]) == {
        "max": [[0, 0], [1, 1]],
        "greedy_score": [[1, 0]],
        "hungarian": [[1, 0]],  # 0 + 19.0 px in all, of which 19.0 is cut
        "nearest": [[1, 0]],
    }


def test_every_method_finds_something_else():
    """In reach: p0 - c2 2.0 px, p1 - c0 11.7, p1 - c2 8.0, p2 - c2 4.0."""
    pred_yx = np.array([[5.0, 6.0], [5.0, 12.0], [5.0, 0.0]])
    true_yx = np.array([[11.0, 22.0], [8.0, 30.0], [5.0, 4.0]])
    assert match_each_way(pred_yx, true_yx, [0.2, 0.1, 0.3]) == {
        "max": [[0, 2], [1, 0]],
        "greedy_score": [[1, 0], [2, 2]],  # p2 chooses first
        "hungarian": [[2, 2]],  # 4.0 + 17.1 + 18.2 px, of which two are cut
        "nearest": [[0, 2]],  # all want c2
    }


def test_nearest_has_no_second_choice():
    pred_yx = np.array([[0.0, 0.0], [0.0, 2.0], [0.0, 9.0], [0.0, 4.0]])
    true_yx = np.array([[0.0, 3.0], [0.0, 10.0], [0.0, 11.0]])
    pairs = matching.match_points(pred_yx, true_yx, RADIUS, method="nearest")
    # p0, p1, p3 all want c0; p1 and p3 are 1 px away and p1 comes first. p2 takes c1.
    assert pairs.tolist() == [[1, 0], [2, 1]]


@given(seed=st.integers(0, 10**6))
def test_nearest_against_loops(seed):
    pred_yx, true_yx = random_points(seed, 12), random_points(seed + 1, 9)
    distances = spatial.distance.cdist(pred_yx, true_yx)
    best = {}
    for i, row in enumerate(distances):
        j = int(row.argmin())
        if row[j] <= RADIUS and (j not in best or row[j] < distances[best[j], j]):
            best[j] = i
    expected = sorted((i, j) for j, i in best.items())
    pairs = matching.match_points(pred_yx, true_yx, RADIUS, method="nearest")
    assert [tuple(pair) for pair in pairs.tolist()] == expected


@given(seed=st.integers(0, 10**6))
def test_hungarian_is_cut_after_the_assignment(seed):
    pred_yx, true_yx = random_points(seed, 7), random_points(seed + 1, 5)
    distances = spatial.distance.cdist(pred_yx, true_yx)
    pairs = matching.match_points(pred_yx, true_yx, 1e3, method="hungarian")
    least = min(
        distances[list(rows), range(5)].sum()
        for rows in itertools.permutations(range(7), 5)
    )
    assert total_distance(pred_yx, true_yx, pairs) == pytest.approx(least)
    near = [pair for pair in pairs.tolist() if distances[tuple(pair)] <= RADIUS]
    cut = matching.match_points(pred_yx, true_yx, RADIUS, method="hungarian")
    assert cut.tolist() == near


def test_greedy_takes_the_nearest_free_cell():
    pred_yx = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    true_yx = np.array([[0.0, 4.0], [0.0, -3.0]])
    pairs = matching.match_points(
        pred_yx, true_yx, 6.0, method="greedy_score", scores=[0.2, 0.9, 0.2]
    )
    # p1 is 3 from c0 and 4 from c1; p0 comes before p2 (tie), finds c0 taken.
    assert pairs.tolist() == [[0, 1], [1, 0]]


def test_least_total_distance_among_the_largest():
    pred_yx = np.array([[0.0, 0.0], [0.0, 5.0]])
    true_yx = np.array([[0.0, 6.0], [0.0, 1.0]])
    pairs = matching.match_points(pred_yx, true_yx, RADIUS)
    assert pairs.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("method", matching.METHODS)
@pytest.mark.parametrize(("strict", "found"), [(False, 1), (True, 0)])
def test_exactly_on_the_radius(method, strict, found):
    pairs = matching.match_points(
        np.array([[0.0, 0.0]]),
        np.array([[3.0, 4.0]]),
        5.0,
        method=method,
        strict=strict,
        scores=[1.0],
    )
    assert len(pairs) == found


def test_radius_zero_matches_equal_points_only():
    points_yx = np.array([[1.0, 2.0], [3.0, 5.0]])
    assert matching.match_points(points_yx, points_yx, 0.0).tolist() == [[0, 0], [1, 1]]
    assert matching.match_points(points_yx, points_yx + 1e-6, 0.0).shape == (0, 2)


@pytest.mark.parametrize("method", matching.METHODS)
@pytest.mark.parametrize(("num_pred", "num_true"), [(0, 0), (0, 3), (4, 0)])
def test_empty_sets(method, num_pred, num_true):
    pred_yx, true_yx = random_points(0, num_pred), random_points(1, num_true)
    scores = np.zeros(num_pred)
    pairs = matching.match_points(
        pred_yx, true_yx, RADIUS, method=method, scores=scores
    )
    assert pairs.shape == (0, 2)
    assert pairs.dtype == np.int64
    assert not matching.ordered_matches(pred_yx, true_yx, RADIUS, scores).any()


def test_bad_arguments():
    with pytest.raises(ValueError, match="greedy_score"):
        matching.match_points(CHAIN_PRED, CHAIN_TRUE, 1.0, method="hungary")
    with pytest.raises(ValueError, match="needs scores"):
        matching.match_points(CHAIN_PRED, CHAIN_TRUE, 1.0, method="greedy_score")
    for radius in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="radius"):
            matching.match_points(CHAIN_PRED, CHAIN_TRUE, radius)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("pred_yx", np.zeros((2, 3)), r"pred_yx is \(2, 3\), should be \[points, 2\]"),
        ("pred_yx", [[0.0, 1.0], [np.nan, 2.0]], "pred_yx has values that are not fin"),
        ("scores", [0.5], r"scores is \(1,\), should be \(2,\)"),
        ("scores", [0.5, np.nan], "scores has values that are not finite"),
    ],
)
def test_bad_arrays(name, value, message):
    arguments = {"pred_yx": CHAIN_PRED, "true_yx": CHAIN_TRUE, "scores": [0.5, 0.9]}
    arguments[name] = value
    for method in matching.METHODS:
        with pytest.raises(ValueError, match=message):
            matching.match_points(**arguments, radius=RADIUS, method=method)
    with pytest.raises(ValueError, match=message):
        matching.ordered_matches(**arguments, radius=RADIUS)


@given(seed=st.integers(0, 999), num_pred=st.integers(0, 4), num_true=st.integers(0, 4))
def test_equals_brute_force(seed, num_pred, num_true):
    pred_yx = random_points(seed, num_pred, (15, 30))
    true_yx = random_points(seed + 1000, num_true, (15, 30))
    pairs = matching.match_points(pred_yx, true_yx, RADIUS)
    count, total = brute_force(pred_yx, true_yx, RADIUS)
    assert len(pairs) == count
    assert total_distance(pred_yx, true_yx, pairs) == pytest.approx(total)


@given(
    seed=st.integers(0, 999),
    num_pred=st.integers(1, 40),
    num_true=st.integers(1, 40),
    radius=st.floats(1.0, 40.0),
)
def test_as_many_pairs_as_the_boolean_matching(seed, num_pred, num_true, radius):
    pred_yx = random_points(seed, num_pred)
    true_yx = random_points(seed + 1000, num_true)
    pairs = matching.match_points(pred_yx, true_yx, radius)
    assert len(pairs) == boolean_cardinality(pred_yx, true_yx, radius)
    for column in pairs.T:
        assert len(set(column.tolist())) == len(pairs)
    offsets = pred_yx[pairs[:, 0]] - true_yx[pairs[:, 1]]
    assert (np.linalg.norm(offsets, axis=1) <= radius).all()


@given(seed=st.integers(0, 999), num=st.integers(1, 25))
def test_permuting_predictions_permutes_the_pairs(seed, num):
    rng = np.random.default_rng(seed)
    pred_yx, true_yx = random_points(seed, num), random_points(seed + 1000, 20)
    scores = rng.permutation(num) / num
    shuffle = rng.permutation(num)
    for method in matching.METHODS:
        pairs = matching.match_points(
            pred_yx, true_yx, RADIUS, method=method, scores=scores
        )
        shuffled = matching.match_points(
            pred_yx[shuffle], true_yx, RADIUS, method=method, scores=scores[shuffle]
        )
        shuffled[:, 0] = shuffle[shuffled[:, 0]]
        assert sorted(shuffled.tolist()) == pairs.tolist()


@given(seed=st.integers(0, 999), num=st.integers(0, 30), strict=st.booleans())
def test_ordered_matches_counts_every_prefix(seed, num, strict):
    rng = np.random.default_rng(seed)
    # Whole px, so that distances of exactly the radius and equal points occur.
    pred_yx = rng.integers(0, 25, (num, 2)).astype(float)
    true_yx = rng.integers(0, 25, (15, 2)).astype(float)
    scores = rng.integers(0, 8, num) / 8
    raises = matching.ordered_matches(pred_yx, true_yx, 5.0, scores, strict=strict)
    order = np.argsort(-scores, kind="stable")
    for cut in range(num + 1):
        chosen = order[:cut]
        pairs = matching.match_points(pred_yx[chosen], true_yx, 5.0, strict=strict)
        assert raises[chosen].sum() == len(pairs)


def test_large_sets():
    pred_yx = random_points(3, 500, (400, 450))
    true_yx = random_points(4, 500, (400, 450))
    pairs = matching.match_points(pred_yx, true_yx, RADIUS)
    raises = matching.ordered_matches(pred_yx, true_yx, RADIUS, -pred_yx[:, 0])
    assert len(pairs) == raises.sum() == boolean_cardinality(pred_yx, true_yx, RADIUS)


def test_everything_within_reach():
    pred_yx, true_yx = random_points(5, 300), random_points(6, 200)
    pairs = matching.match_points(pred_yx, true_yx, 1000.0)
    assert len(pairs) == 200
    raises = matching.ordered_matches(pred_yx, true_yx, 1000.0, np.arange(300.0))
    assert raises[100:].all()
    assert not raises[:100].any()
