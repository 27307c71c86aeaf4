"""Which pixel is nearest to which point, on the host, and where that changes.

For label maps (`labels`); Qu et al., IEEE Transactions on Medical Imaging, 2020.
"""

import numpy as np
from scipy import spatial

_TIE_PX = 1e-6


def nearest(
    points_yx: np.ndarray, size_hw: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Number of the point nearest to each pixel's centre, and its distance in px.

    i32 and f32 [H, W], of points [N, 2] px; -1 and infinity where there are none. Of
    points equally near, as coincident ones, the first has the pixel.
    """
    if not len(points_yx):
        return np.full(size_hw, -1, np.int32), np.full(size_hw, np.inf, np.float32)
    rows, columns = np.indices(size_hw).reshape(2, -1)
    centers_yx = np.stack([rows, columns], axis=1) + 0.5
    points_yx = np.asarray(points_yx, np.float64)
    distinct, first = np.unique(points_yx, axis=0, return_index=True)
    tree = spatial.KDTree(distinct)
    number = min(2, len(distinct))
    distances, index = tree.query(centers_yx, k=[*range(1, number + 1)])
    owners, nearest_px = first[index[:, 0]], distances[:, 0]
    tied = np.flatnonzero(distances[:, -1] <= nearest_px + _TIE_PX)
    around = tree.query_ball_point(centers_yx[tied], nearest_px[tied] + _TIE_PX)
    owners[tied] = [first[one].min() for one in around]
    return (
        owners.reshape(size_hw).astype(np.int32),
        nearest_px.reshape(size_hw).astype(np.float32),
    )


def edges(owners: np.ndarray) -> np.ndarray:
    """Pixels beside one of another owner, up, down, left or right: bool [H, W]."""
    found = np.zeros(owners.shape, bool)
    across = owners[1:] != owners[:-1]
    found[1:] |= across
    found[:-1] |= across
    across = owners[:, 1:] != owners[:, :-1]
    found[:, 1:] |= across
    found[:, :-1] |= across
    return found
