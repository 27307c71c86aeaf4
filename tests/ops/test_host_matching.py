import numpy as np
import pytest
from scipy import optimize

from cellrec_jax.ops import host_matching


@pytest.fixture(autouse=True)
def no_shortcut(monkeypatch):
    monkeypatch.setattr(host_matching, "_SMALL", 0)


def problem(seed, num_proposals, num_cells, spread=1.0, distance_weight=0.05):
    rng = np.random.default_rng(seed)
    return host_matching.Problem(
        points_yx=rng.uniform(0, (300, 500), (num_proposals, 2)),
        score=rng.uniform(0, 2, (num_proposals, 3)),
        true_yx=150 + spread * rng.uniform(-150, 150, (num_cells, 2)),
        labels=rng.integers(0, 3, num_cells),
        distance_weight=distance_weight,
    )


def full_cost(case):
    offsets = case.true_yx[:, None] - case.points_yx[None]
    distance = np.linalg.norm(offsets, axis=-1)
    return case.distance_weight * distance - case.score.T[case.labels]


@pytest.mark.parametrize("distance_weight", [0.05, 0.001, 0.0])
@pytest.mark.parametrize("spread", [1.0, 0.3, 0.05])
@pytest.mark.parametrize("seed", range(3))
def test_least_total_cost(seed, spread, distance_weight):
    case = problem(seed, 600, 80, spread, distance_weight)
    cost = full_cost(case)
    rows, columns = optimize.linear_sum_assignment(cost)
    found = host_matching.solve(case)
    assert len(set(found)) == 80
    total = cost[np.arange(80), found].sum()
    assert total == pytest.approx(cost[rows, columns].sum(), abs=1e-9)


@pytest.mark.parametrize(("spread", "full"), [(1.0, False), (0.02, True)])
def test_the_full_problem_is_solved_only_in_crowds(spread, full, monkeypatch):
    calls = []
    solve_full = host_matching._solve_full
    monkeypatch.setattr(
        host_matching, "_solve_full", lambda case: calls.append(1) or solve_full(case)
    )
    host_matching.solve(problem(0, 400, 80, spread))
    assert bool(calls) == full


def test_all_candidates_of_a_cell_taken():
    """Forty cells in one place: their lists are one list, too short for all."""
    case = problem(0, 600, 40)
    case.true_yx[:] = (150, 250)
    cost = full_cost(case)
    rows, columns = optimize.linear_sum_assignment(cost)
    found = host_matching.solve(case)
    assert cost[np.arange(40), found].sum() == pytest.approx(cost[rows, columns].sum())


def test_more_cells_than_proposals():
    case = problem(0, 5, 8)
    found = host_matching.solve(case)
    assert sorted(found) == [-1, -1, -1, 0, 1, 2, 3, 4]
    cost = full_cost(case)
    rows, columns = optimize.linear_sum_assignment(cost)
    kept = found >= 0
    assert cost[kept, found[kept]].sum() == pytest.approx(cost[rows, columns].sum())


def test_empty():
    assert host_matching.solve(problem(0, 0, 3)).tolist() == [-1, -1, -1]
    assert host_matching.solve(problem(0, 3, 0)).tolist() == []


def test_batch_is_a_loop():
    cases = [problem(seed, 400, 30) for seed in range(3)]
    for case, found in zip(cases, host_matching.solve_batch(cases), strict=True):
        np.testing.assert_array_equal(found, host_matching.solve(case))
