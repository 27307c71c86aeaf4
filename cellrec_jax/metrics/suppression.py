"""Thins predicted points that lie too near to a better one, on the host."""

import numpy as np
from scipy import spatial


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
    # The tree is asked for a little more, then distances decide: what it rounds at
    # the border must not matter.
    pairs = spatial.cKDTree(ranked_yx).query_pairs(
        distance * (1 + 1e-9), output_type="ndarray"
    )
    if groups is not None:
        ranked = np.asarray(groups)[order]
        pairs = pairs[ranked[pairs[:, 0]] != ranked[pairs[:, 1]]]
    squared = np.sum((ranked_yx[pairs[:, 0]] - ranked_yx[pairs[:, 1]]) ** 2, axis=1)
    # Each pair is (better, worse); sorted, a point is settled before it drops others.
    pairs = np.sort(pairs[squared < distance**2], axis=1)
    for better, worse in pairs[np.argsort(pairs[:, 0], kind="stable")].tolist():
        if kept[better]:
            kept[worse] = False
    out = np.empty_like(kept)
    out[order] = kept
    return out
