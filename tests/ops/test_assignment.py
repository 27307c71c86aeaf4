import functools

from hypothesis import given
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from cellrec_jax.ops import assignment

CELLS, PROPOSALS = 9, 40

cheapest = jax.jit(assignment.cheapest, static_argnames="count")


@functools.partial(jax.jit, static_argnames="count")
def assign(cost, cell_mask, count):
    candidates = assignment.cheapest(cost, count)
    return assignment.assign(candidates, cell_mask, cost.shape[1])


def least(cost):
    rows, columns = optimize.linear_sum_assignment(cost)
    return cost[rows, columns].sum()


@given(seed=st.integers(0, 10**6), count=st.sampled_from([3, PROPOSALS]))
def test_cheapest_against_sort(seed, count):
    # Ties are common: only the costs are unique then.
    cost = np.random.default_rng(seed).integers(0, 30, (CELLS, PROPOSALS))
    cost = cost.astype(np.float32)
    found = cheapest(cost, count)
    expected = np.sort(cost, axis=1)[:, :count]
    np.testing.assert_array_equal(found.cost, expected)
    picked = np.take_along_axis(cost, np.asarray(found.proposal_idx), axis=1)
    np.testing.assert_array_equal(picked, expected)
    assert all(len(set(row)) == count for row in np.asarray(found.proposal_idx))
    limit = expected[:, -1] if count < PROPOSALS else np.full(CELLS, np.inf)
    np.testing.assert_array_equal(found.limit, limit)


@given(
    seed=st.integers(0, 10**6),
    span=st.sampled_from([4, 1000]),
    count=st.sampled_from([2, CELLS]),
)
def test_a_proven_assignment_is_optimal(seed, span, count):
    """And with as many candidates as cells every one is proven."""
    rng = np.random.default_rng(seed)
    # Cells agree on what is cheap, so that they compete; whole costs, so that they tie.
    common = rng.integers(0, span, PROPOSALS)
    cost = (common + rng.integers(0, span // 4 + 1, (CELLS, PROPOSALS))).astype(float)
    cell_mask = rng.random(CELLS) < 0.8
    found, proven = assign(cost.astype(np.float32), cell_mask, count)
    found = np.asarray(found)
    assert (found[~cell_mask] == -1).all()
    given_ = found[found >= 0]
    assert len(set(given_)) == len(given_)
    assert proven or count < CELLS
    if proven:
        total = cost[cell_mask, found[cell_mask]].sum()
        assert total == pytest.approx(least(cost[cell_mask]), abs=1e-3)


def test_a_longer_list_can_be_needed():
    """Both cells want proposals 0 and 1; cell 1 is better off with a third."""
    cost = np.array([[0.0, 5.0, 9.0, 9.0], [0.0, 4.0, 4.5, 9.0]], np.float32)
    cost = np.concatenate([cost, [[0.0, 0.1, 9.0, 9.0]]]).astype(np.float32)
    mask = np.ones(3, bool)
    assert not assign(cost, mask, 2)[1]
    found, proven = assign(cost, mask, 3)
    assert proven
    assert found.tolist() == [0, 2, 1]


def test_pairs_that_may_not_be():
    cost = np.full((3, 5), np.inf, np.float32)
    cost[0, 4], cost[1, 4], cost[1, 2] = 1.0, 0.0, 50.0
    found, proven = assign(cost, np.ones(3, bool), 5)
    assert found.tolist() == [4, 2, -1]
    assert not proven


def test_nothing():
    none = jnp.zeros((0, 5))
    found, proven = assign(none, np.zeros(0, bool), 3)
    assert found.shape == (0,)
    assert proven
    found, proven = assign(jnp.zeros((2, 0)), np.array([True, False]), 3)
    assert found.tolist() == [-1, -1]
    assert not proven
