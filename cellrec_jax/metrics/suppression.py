"""Thins predicted points that lie too near to a better one, on the host."""

import numpy as np
from scipy import spatial

_BLOCK = 1 << 13  # points whose neighbours are in memory at a time


def suppress(
    points_yx: np.ndarray,
    scores: np.ndarray,
    distance: float,
    *,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Keeps, bool [M], points not nearer than a distance to a kept one, best first.

    As `ops.nms.point_nms`, exact, in NumPy: to choose it after the prediction. Points
    [M, 2] in px; of equal scores [M] the earlier; `distance` in px, 0 keeps all
    (ValueError if negative or not finite); points of one group [M] do not drop each
    other (None: one a point). A dropped point drops no other.

    Example:
      >>> points_yx = np.array([[0.0, 0.0], [0.0, 3.0], [0.0, 6.0]])
      >>> suppress(points_yx, np.array([0.9, 0.8, 0.7]), 5.0).tolist()
      [True, False, True]
    """
    if not (np.isfinite(distance) and distance >= 0):
        raise ValueError(f"the distance must be finite and >= 0, not {distance}")
    kept = np.ones(len(points_yx), bool)
    if distance == 0 or len(points_yx) < 2:
        return kept
    order = np.argsort(-np.asarray(scores), kind="stable")
    ranked_yx = np.asarray(points_yx, np.float64)[order]
    ranked = np.arange(len(order)) if groups is None else np.asarray(groups)[order]
    tree = spatial.cKDTree(ranked_yx)
    start = 0
    while len(own := start + np.flatnonzero(kept[start:])[:_BLOCK]):
        start = own[-1] + 1
        index, worse, squared = near_pairs(tree, own, distance)
        better = own[index]
        drops = (worse > better) & (squared < distance**2)
        drops &= ranked[better] != ranked[worse]
        pairs = np.stack([better[drops], worse[drops]], axis=1)
        # Sorted, a point is settled before it drops others.
        for one, other in pairs[np.argsort(pairs[:, 0], kind="stable")].tolist():
            if kept[one]:
                kept[other] = False
    out = np.empty_like(kept)
    out[order] = kept
    return out


def near_pairs(
    tree: spatial.cKDTree, rows: np.ndarray, distance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of some points of a tree, `rows` [N], and all of its points near them.

    Of P pairs: which of `rows`, the row of the other, [P] each, and their squared
    distance, f64 [P]. Each point is near itself. The tree is asked for a little more
    than `distance`, since it rounds at the border: let the squares decide.
    """
    points_yx = tree.data
    found = spatial.cKDTree(points_yx[rows]).sparse_distance_matrix(
        tree, distance * (1 + 1e-9), output_type="ndarray"
    )
    index, other = found["i"], found["j"]
    apart_yx = points_yx[rows[index]] - points_yx[other]
    return index, other, np.sum(apart_yx**2, axis=1)
