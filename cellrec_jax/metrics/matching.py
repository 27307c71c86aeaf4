"""One-to-one matching of predicted with annotated points within a radius."""

import collections
from collections.abc import Mapping

import numpy as np
from scipy import optimize, sparse, spatial

METHODS = ("max", "greedy_score", "hungarian", "nearest")


def match_points(
    pred_yx: np.ndarray,
    true_yx: np.ndarray,
    radius: float,
    *,
    method: str = "max",
    strict: bool = False,
    scores: np.ndarray | None = None,
) -> np.ndarray:
    """Matches predicted with annotated points, each at most once, within a radius.

    "max" finds the most pairs and, among such matchings, the least total distance: the
    rule of Shui et al. 2022 (12 px). "greedy_score" lets predictions choose in falling
    score order (ties: as given), each the nearest free cell; common in challenges.
    "hungarian" takes the least total distance of min(M, N) pairs and keeps those within
    the radius: maybe fewer than "max". "nearest" gives each prediction its nearest cell
    or none; of several the nearest has it (ties: the first), the others no second
    choice. With `strict` (< the radius, not <=) the rule of the code of Fujii et al.
    2021 (15 px).

    Points [M, 2] and [N, 2] in px; scores [M] are for "greedy_score" only. Returns
    int64 [P, 2] pairs (prediction, cell), sorted by prediction; for "max" only P is
    unique when distances tie. ValueError for an unknown method, a radius not finite or
    < 0, missing scores, other shapes or values that are not finite.

    Example:
      >>> pred_yx = np.array([[0.0, 0.0], [0.0, 10.0]])
      >>> true_yx = np.array([[0.0, 10.0], [0.0, 20.0]])
      >>> match_points(pred_yx, true_yx, 12.0).tolist()
      [[0, 0], [1, 1]]
    """
    if method not in METHODS:
        raise ValueError(f"unknown matching method {method!r}; use one of {METHODS}")
    pred_yx, true_yx = _points(pred_yx, "pred_yx"), _points(true_yx, "true_yx")
    if scores is not None:
        scores = _scores(scores, len(pred_yx))
    edges, distances = _near_pairs(pred_yx, true_yx, radius, strict)
    if method == "max":
        return _match_max(edges, distances, len(pred_yx), len(true_yx))
    if method == "hungarian":
        return _match_hungarian(pred_yx, true_yx, edges)
    if method == "nearest":
        return _match_nearest(edges, distances)
    if scores is None:
        raise ValueError("matching method 'greedy_score' needs scores")
    return _match_greedy(edges, distances, scores)


def ordered_matches(
    pred_yx: np.ndarray,
    true_yx: np.ndarray,
    radius: float,
    scores: np.ndarray,
    *,
    strict: bool = False,
) -> np.ndarray:
    """Tells which predictions raise the maximum matching as the score cut falls.

    In falling score order (ties: as given) each lengthens it by one, along an
    augmenting path, or never does: the True among the first k, bool [M], are as many as
    the pairs of `match_points` for these with "max". Arguments and errors are those.
    """
    pred_yx, true_yx = _points(pred_yx, "pred_yx"), _points(true_yx, "true_yx")
    scores = _scores(scores, len(pred_yx))
    edges, distances = _near_pairs(pred_yx, true_yx, radius, strict)
    neighbours = collections.defaultdict(list)
    for index in np.argsort(distances, kind="stable"):
        neighbours[int(edges[index, 0])].append(int(edges[index, 1]))
    owner: dict[int, int] = {}
    exhausted: set[int] = set()
    raises = np.zeros(len(pred_yx), bool)
    for pred in np.argsort(-scores, kind="stable").tolist():
        raises[pred] = _augment(pred, neighbours, owner, exhausted)
    return raises


def _points(points_yx: np.ndarray, name: str) -> np.ndarray:
    """Checked float64 [M, 2]; an empty list is no points."""
    points_yx = np.asarray(points_yx, np.float64)
    if points_yx.shape == (0,):
        return np.zeros((0, 2))
    if points_yx.ndim != 2 or points_yx.shape[1] != 2:
        raise ValueError(f"{name} is {points_yx.shape}, should be [points, 2]")
    return _finite(points_yx, name)


def _scores(scores: np.ndarray, num: int) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if scores.shape != (num,):
        raise ValueError(f"scores is {scores.shape}, should be {(num,)} as pred_yx has")
    return _finite(scores, "scores")


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has values that are not finite; leave them out")
    return values


def _near_pairs(
    pred_yx: np.ndarray, true_yx: np.ndarray, radius: float, strict: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Lists the pairs within the radius: int64 [E, 2] and their distances [E]."""
    if not (np.isfinite(radius) and radius >= 0):
        raise ValueError(f"the radius must be finite and >= 0, not {radius}")
    if len(pred_yx) == 0 or len(true_yx) == 0:
        return np.zeros((0, 2), np.int64), np.zeros(0)
    # The tree is asked for a little more, then distances decide: what it rounds at
    # the border must not matter.
    near = spatial.KDTree(true_yx).query_ball_point(pred_yx, radius * (1 + 1e-9))
    counts = [len(indices) for indices in near]
    pred_idx = np.repeat(np.arange(len(pred_yx)), counts)
    true_idx = np.concatenate([np.sort(indices) for indices in near]).astype(np.int64)
    offsets = pred_yx[pred_idx] - true_yx[true_idx]
    distances = np.hypot(offsets[:, 0], offsets[:, 1])
    kept = distances < radius if strict else distances <= radius
    return np.stack([pred_idx, true_idx], axis=1)[kept], distances[kept]


def _match_max(
    edges: np.ndarray, distances: np.ndarray, num_pred: int, num_true: int
) -> np.ndarray:
    """Solves each connected group of points by itself; most hold a few points."""
    if len(edges) == 0:
        return np.zeros((0, 2), np.int64)
    nodes = num_pred + num_true
    graph = sparse.coo_array(
        (np.ones(len(edges), bool), (edges[:, 0], num_pred + edges[:, 1])),
        shape=(nodes, nodes),
    )
    _, group = sparse.csgraph.connected_components(graph, directed=False)
    edge_group = group[edges[:, 0]]
    order = np.argsort(edge_group, kind="stable")
    starts = np.flatnonzero(np.diff(edge_group[order])) + 1
    pairs = [
        edges[indices]
        if len(indices) == 1
        else _assign(edges[indices], distances[indices])
        for indices in np.split(order, starts)
    ]
    found = np.concatenate(pairs)
    return found[np.argsort(found[:, 0], kind="stable")]


def _assign(edges: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Finds the most pairs with the least total distance in one connected group."""
    preds, row = np.unique(edges[:, 0], return_inverse=True)
    trues, column = np.unique(edges[:, 1], return_inverse=True)
    # One pair more must outweigh any gain in distance: no sum of distances inside
    # the radius reaches `outside`.
    outside = (distances.max() + 1.0) * (min(len(preds), len(trues)) + 1)
    cost = np.full((len(preds), len(trues)), outside)
    cost[row, column] = distances
    rows, columns = optimize.linear_sum_assignment(cost)
    kept = cost[rows, columns] < outside
    return np.stack([preds[rows[kept]], trues[columns[kept]]], axis=1)


def _match_greedy(
    edges: np.ndarray, distances: np.ndarray, scores: np.ndarray
) -> np.ndarray:
    """Lets each prediction, best score first, take its nearest free cell."""
    rank = np.empty(len(scores), np.int64)
    rank[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    order = np.lexsort((distances, rank[edges[:, 0]]))
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for pred, true in edges[order].tolist():
        if pred not in pairs and true not in taken:
            pairs[pred] = true
            taken.add(true)
    return np.array(sorted(pairs.items()), np.int64).reshape(-1, 2)


def _match_hungarian(
    pred_yx: np.ndarray, true_yx: np.ndarray, edges: np.ndarray
) -> np.ndarray:
    """Assigns by distance whatever the radius, then keeps the pairs within it."""
    if len(edges) == 0:
        return edges
    rows, columns = optimize.linear_sum_assignment(
        spatial.distance.cdist(pred_yx, true_yx)
    )
    near = np.zeros((len(pred_yx), len(true_yx)), bool)
    near[edges[:, 0], edges[:, 1]] = True
    kept = near[rows, columns]
    return np.stack([rows[kept], columns[kept]], axis=1)


def _match_nearest(edges: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Keeps each prediction's nearest cell, then of these each cell's nearest."""
    for side in (0, 1):
        order = np.lexsort((edges[:, 1 - side], distances, edges[:, side]))
        first = order[np.unique(edges[order, side], return_index=True)[1]]
        edges, distances = edges[first], distances[first]
    return edges[np.argsort(edges[:, 0])]


def _augment(
    start: int,
    neighbours: Mapping[int, list[int]],
    owner: dict[int, int],
    exhausted: set[int],
) -> bool:
    """Looks for an augmenting path from a new prediction, breadth first.

    Updates `owner` (cell -> its prediction); cells of a failed search join `exhausted`,
    never visited again.
    """
    came_from: dict[int, tuple[int, int | None]] = {}
    queue: collections.deque[tuple[int, int | None]] = collections.deque(
        [(start, None)]
    )
    while queue:
        pred, held = queue.popleft()
        for true in neighbours.get(pred, ()):
            if true in came_from or true in exhausted:
                continue
            came_from[true] = (pred, held)
            if true in owner:
                queue.append((owner[true], true))
                continue
            _flip(true, came_from, owner)
            return True
    exhausted.update(came_from)
    return False


def _flip(
    free: int, came_from: dict[int, tuple[int, int | None]], owner: dict[int, int]
) -> None:
    """Hands each cell of the path to the prediction it was reached from."""
    cell: int | None = free
    while cell is not None:
        owner[cell], cell = came_from[cell]
