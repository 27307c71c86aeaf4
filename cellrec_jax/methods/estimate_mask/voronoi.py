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
    number = min(4, len(points_yx))  # of four in a square each may be the nearest
    distinct, first = np.unique(points_yx, axis=0, return_index=True)
    tree = spatial.KDTree(distinct)
    number = min(number, len(distinct))
    distances, index = tree.query(centers_yx, k=number)
    distances = distances.reshape(len(centers_yx), number)
    index = first[index.reshape(len(centers_yx), number)]
    tied = distances <= distances[:, :1] + _TIE_PX
    owners = np.where(tied, index, len(points_yx)).min(axis=1)
    return (
        owners.reshape(size_hw).astype(np.int32),
        distances[:, 0].reshape(size_hw).astype(np.float32),
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
