from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.ops import assign
from cellrec_jax.ops.assign import IGNORED, NEGATIVE, POSITIVE

FIRST_STAGE = {"positive_iou": 0.7, "negative_iou": 0.3, "best_per_truth": True}
SECOND_STAGE = {"positive_iou": 0.5, "negative_iou": 0.5, "best_per_truth": False}

# Tenths, so that ties and overlaps equal to a threshold are common.
TENTHS = npst.arrays(
    np.float32, (7, 4), elements=st.integers(0, 10).map(lambda n: np.float32(n / 10))
)


run = jax.jit(
    assign.assign, static_argnames=("positive_iou", "negative_iou", "best_per_truth")
)


def loop_assign(iou, truth_mask, *, positive_iou, negative_iou, best_per_truth):
    """Faster R-CNN 3.1.2, one box at a time."""
    truths = np.flatnonzero(truth_mask)
    roles = []
    for row in iou:
        best = max((row[j] for j in truths), default=-1.0)
        wins = any(row[j] > 0 and row[j] == iou[:, j].max() for j in truths)
        if best >= positive_iou or (best_per_truth and wins):
            roles.append(POSITIVE)
        else:
            roles.append(NEGATIVE if best < negative_iou else IGNORED)
    return roles


def test_by_hand():
    iou = jnp.array([[0.8, 0.0], [0.4, 0.5], [0.2, 0.1], [0.0, 0.5], [0.7, 0.6]])
    mask = jnp.array([True, True])
    # The last box is past the threshold, the fourth of no truth's best.
    expected = [POSITIVE, IGNORED, NEGATIVE, IGNORED, POSITIVE]
    assert run(iou, mask, **FIRST_STAGE).tolist() == expected
    expected = [POSITIVE, POSITIVE, NEGATIVE, POSITIVE, POSITIVE]
    assert run(iou, mask, **SECOND_STAGE).tolist() == expected


def test_best_boxes_of_a_truth_win_even_when_they_overlap_little():
    iou = jnp.array([[0.1, 0.0], [0.1, 0.0], [0.05, 0.0]])
    # Ties: both; truth 1, which nothing overlaps, wins nothing.
    expected = [POSITIVE, POSITIVE, NEGATIVE]
    assert run(iou, jnp.array([True, True]), **FIRST_STAGE).tolist() == expected


@pytest.mark.parametrize("rules", [FIRST_STAGE, SECOND_STAGE])
@given(iou=TENTHS, truth_mask=npst.arrays(bool, 4))
def test_against_loops(rules, iou, truth_mask):
    role = run(iou, truth_mask, **rules)
    assert role.dtype == jnp.int32
    assert role.tolist() == loop_assign(iou, truth_mask, **rules)


@pytest.mark.parametrize("rules", [FIRST_STAGE, SECOND_STAGE])
@pytest.mark.parametrize(
    ("iou", "truth_mask"),
    [
        (np.zeros((3, 0), np.float32), np.zeros(0, bool)),
        (np.full((3, 2), 0.9, np.float32), np.zeros(2, bool)),
        (np.full((3, 2), np.nan, np.float32), np.zeros(2, bool)),
    ],
)
def test_no_truth_makes_everything_negative(rules, iou, truth_mask):
    assert run(iou, truth_mask, **rules).tolist() == [NEGATIVE] * 3
    assert (
        assign.match_truth(jnp.asarray(iou), jnp.asarray(truth_mask)).tolist()
        == [0] * 3
    )


@pytest.mark.parametrize("garbage", [1.0, 1e6, -1e6, np.nan])
def test_padded_truths_change_nothing(garbage, rng):
    iou = rng.random((7, 3)).astype(np.float32)
    padded = np.insert(iou, 1, garbage, axis=1)
    mask = np.array([True, False, True, True])
    for rules in (FIRST_STAGE, SECOND_STAGE):
        clean = run(iou, np.ones(3, bool), **rules)
        np.testing.assert_array_equal(run(padded, mask, **rules), clean)
    moved = np.array([0, 2, 3])[iou.argmax(axis=1)]
    result = assign.match_truth(jnp.asarray(padded), jnp.asarray(mask))
    np.testing.assert_array_equal(result, moved)


def test_match_truth_takes_the_largest_overlap_and_the_first_of_ties():
    iou = jnp.array([[0.2, 0.6, 0.9], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])
    assert assign.match_truth(iou, jnp.array([True, True, False])).tolist() == [1, 0, 0]
    assert assign.match_truth(iou, jnp.array([False, True, True])).tolist() == [2, 1, 1]


draw = jax.jit(assign.sample, static_argnames=("size", "positive_fraction"))


def drawn(rng: jax.Array, role: np.ndarray, size: int, fraction: float):
    result = draw(rng, role, size=size, positive_fraction=fraction)
    idx, mask = np.asarray(result.idx), np.asarray(result.mask)
    positive = np.asarray(result.positive)
    assert (role[idx[positive]] == POSITIVE).all()
    assert (role[idx[mask & ~positive]] == NEGATIVE).all()
    assert not (positive & ~mask).any()
    assert len(set(idx[mask])) == mask.sum(), "a box was drawn twice"
    return int(positive.sum()), int((mask & ~positive).sum()), idx[mask]


@pytest.mark.parametrize(
    ("num_positive", "num_negative", "expected"),
    [
        (10, 20, (2, 6)),  # enough of both: the fraction holds exactly
        (1, 20, (1, 7)),  # negatives fill up
        (0, 20, (0, 8)),
        (10, 3, (2, 3)),  # positives never do
        (10, 0, (2, 0)),
        (0, 0, (0, 0)),
    ],
)
def test_sample_counts(num_positive, num_negative, expected, rng):
    role = np.full(30, IGNORED)
    role[:num_positive] = POSITIVE
    role[num_positive : num_positive + num_negative] = NEGATIVE
    rng.shuffle(role)
    assert drawn(jax.random.key(3), role, 8, 0.25)[:2] == expected


def test_sample_share_is_not_lost_to_rounding():
    role = np.repeat([POSITIVE, NEGATIVE], 100)
    assert drawn(jax.random.key(0), role, 100, 0.29)[0] == 29  # 100 * 0.29 < 29


def test_sample_of_fewer_boxes_than_slots():
    role = np.array([POSITIVE, NEGATIVE, IGNORED, NEGATIVE, POSITIVE])
    positive, negative, _ = drawn(jax.random.key(0), role, 64, 0.5)
    assert (positive, negative) == (2, 2)


def test_sample_depends_on_the_key_alone():
    role = np.resize([POSITIVE, NEGATIVE, NEGATIVE, IGNORED], 40)
    first, again, other = (
        drawn(jax.random.key(seed), role, 12, 0.5)[2] for seed in (5, 5, 6)
    )
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


@given(
    values=npst.arrays(np.float32, (3, 4), elements=st.integers(0, 6)),
    eligible=npst.arrays(bool, (3, 4)),
    count=st.integers(0, 13),
)
def test_highest_against_a_sorted_list(values, eligible, count):
    """Not those that equal the next one."""
    ranked = sorted(values[eligible], reverse=True)
    limit = ranked[count] if count < len(ranked) else -1
    expected = eligible & (values > limit)
    assert expected.sum() <= count
    found = jax.jit(assign.highest)(values, eligible, count)
    np.testing.assert_array_equal(found, expected)
    dirty = np.where(eligible, values, np.nan)
    np.testing.assert_array_equal(assign.highest(dirty, eligible, count), expected)


def test_highest_of_none():
    assert assign.highest(jnp.zeros(0), jnp.zeros(0, bool), 3).shape == (0,)


def test_sample_is_fair():
    role = jnp.asarray(np.resize([POSITIVE, NEGATIVE, NEGATIVE], 12))
    keys = jax.random.split(jax.random.key(1), 2000)
    many = jax.jit(jax.vmap(lambda key: assign.sample(key, role, 4, 0.5).idx))
    share = np.bincount(np.asarray(many(keys)).ravel(), minlength=12) / 2000
    # 2 of 4 positives and 2 of 8 negatives a draw; five standard deviations.
    np.testing.assert_allclose(share, np.resize([0.5, 0.25, 0.25], 12), atol=0.056)
