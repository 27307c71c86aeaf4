"""Exact matching by NumPy and SciPy alone, as `jax.pure_callback` needs it."""

from collections.abc import Sequence
from concurrent import futures
import functools
import os
from typing import NamedTuple

import numpy as np
from scipy import optimize, sparse, spatial

_NEAREST = 32  # proposals looked at first for each cell, and ...
_CHEAPEST = 8  # ... of these, how many it may choose from
_GROWTH = 4
_SMALL = 150_000  # pairs up to which looking for candidates does not pay


class Problem(NamedTuple):
    """One image: what `matching.match` passes, padding removed."""

    points_yx: np.ndarray  # f64 [M, 2], proposals
    score: np.ndarray  # f64 [M, K]: what a proposal takes off the cost of each class
    true_yx: np.ndarray  # f64 [N, 2], cells
    labels: np.ndarray  # int [N]
    distance_weight: float


class _Pairs(NamedTuple):
    """Candidates: a cell, a proposal that it may take, and the cost, each [P]."""

    cell: np.ndarray
    proposal: np.ndarray
    cost: np.ndarray


def solve(problem: Problem) -> np.ndarray:
    """Matches one image's cells: int64 [N] proposals, -1 for those left over (N > M).

    A cell with a free proposal below `limit` needs none beyond; others get longer
    lists.
    """
    num_cells, num_proposals = len(problem.true_yx), len(problem.points_yx)
    if num_cells == 0 or num_proposals == 0:
        return np.full(num_cells, -1)
    if num_cells > num_proposals or num_cells * num_proposals <= _SMALL:
        return _solve_full(problem)
    tree = spatial.KDTree(problem.points_yx, balanced_tree=False, compact_nodes=False)
    pairs = _Pairs(*(np.zeros(0, kind) for kind in (int, int, float)))
    limits = np.zeros(num_cells)
    short = np.arange(num_cells)
    nearest, kept = _NEAREST, _CHEAPEST
    while nearest < num_proposals:
        others = ~np.isin(pairs.cell, short)
        added, limits[short] = _candidates(problem, tree, short, nearest, kept)
        pairs = _Pairs(
            *(
                np.concatenate([old[others], new])
                for old, new in zip(pairs, added, strict=True)
            )
        )
        proposals = _solve_sparse(pairs, (num_cells, num_proposals))
        if proposals is None:  # too few candidates for all, and no telling where
            short = np.arange(num_cells)
        else:
            short = _unproven(pairs, limits, proposals, num_proposals)
            if len(short) == 0:
                return proposals
        nearest, kept = nearest * _GROWTH, kept * _GROWTH
    return _solve_full(problem)


def solve_batch(problems: Sequence[Problem]) -> list[np.ndarray]:
    """Solves images side by side: SciPy releases the interpreter lock."""
    if len(problems) == 1:
        return [solve(problems[0])]
    return list(_pool().map(solve, problems))


def solve_padded(
    images: Sequence[Sequence[np.ndarray]], *, distance_weight: float
) -> list[np.ndarray]:
    """Solves padded images of a callback: i32 [N] each, -1 where padded or left over.

    `images` has rows y, x, label, mask [N] and y, x, mask and class scores [M].
    """
    problems, real = [], []
    for image in images:
        y, x, labels, cell_mask, *columns = map(np.asarray, image)
        point_y, point_x, proposal_mask, *scores = columns
        cell, proposal = np.flatnonzero(cell_mask), np.flatnonzero(proposal_mask)
        problems.append(
            Problem(
                points_yx=np.stack([point_y, point_x], 1, dtype=np.float64)[proposal],
                score=np.stack(scores, 1, dtype=np.float64)[proposal],
                true_yx=np.stack([y, x], 1, dtype=np.float64)[cell],
                labels=labels[cell],
                distance_weight=distance_weight,
            )
        )
        real.append((cell, proposal, len(labels)))
    found = []
    for proposal_idx, (cell, proposal, size) in zip(
        solve_batch(problems), real, strict=True
    ):
        row = np.full(size, -1, np.int32)
        taken = proposal_idx >= 0
        row[cell[taken]] = proposal[proposal_idx[taken]]
        found.append(row)
    return found


@functools.cache
def _pool() -> futures.ThreadPoolExecutor:
    return futures.ThreadPoolExecutor(os.cpu_count(), "cellrec-matching")


def _candidates(
    problem: Problem, tree: spatial.KDTree, cells: np.ndarray, nearest: int, kept: int
) -> tuple[_Pairs, np.ndarray]:
    """The cheapest `kept` of the `nearest` proposals of some cells, and the limits."""
    distance, near = tree.query(problem.true_yx[cells], k=nearest)
    score = problem.score[near, problem.labels[cells, None]]
    cost = problem.distance_weight * distance - score
    farther = problem.distance_weight * distance[:, -1] - problem.score.max()
    slot = np.argpartition(cost, kept, axis=1)[:, :kept]
    cost = np.take_along_axis(cost, slot, axis=1)
    near = np.take_along_axis(near, slot, axis=1)
    pairs = _Pairs(np.repeat(cells, kept), near.ravel(), cost.ravel())
    return pairs, np.minimum(cost.max(axis=1), farther)


def _solve_sparse(pairs: _Pairs, shape: tuple[int, int]) -> np.ndarray | None:
    """Assigns within the pairs; None where they cannot serve all cells."""
    weight = pairs.cost - pairs.cost.min() + 1.0  # above 0: a stored 0 is no edge
    graph = sparse.csr_array((weight, (pairs.cell, pairs.proposal)), shape=shape)
    try:
        _, proposals = sparse.csgraph.min_weight_full_bipartite_matching(graph)
    except ValueError:
        return None
    return proposals.astype(np.int64)


def _unproven(
    pairs: _Pairs, limits: np.ndarray, proposals: np.ndarray, num_proposals: int
) -> np.ndarray:
    """Cells with no free candidate for up to their limit."""
    taken = np.zeros(num_proposals, bool)
    taken[proposals] = True
    spare = ~taken[pairs.proposal] & (pairs.cost <= limits[pairs.cell])
    return np.flatnonzero(np.bincount(pairs.cell[spare], minlength=len(limits)) == 0)


def _solve_full(problem: Problem) -> np.ndarray:
    cost = spatial.distance.cdist(problem.true_yx, problem.points_yx)
    cost *= problem.distance_weight
    cost -= problem.score.T[problem.labels]
    rows, columns = optimize.linear_sum_assignment(cost)
    proposals = np.full(len(cost), -1)
    proposals[rows] = columns
    return proposals
