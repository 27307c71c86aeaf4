"""Blobs: the negative Laplacian of a Gaussian, and its local maxima. On the host.

Source: Lindeberg, Feature detection with automatic scale selection, IJCV 1998; of cell
nuclei Al-Kofahi et al., IEEE Transactions on Biomedical Engineering 2010.
"""

import numpy as np
from scipy import ndimage

_EIGHT = np.ones((3, 3), bool)


def response(signal: np.ndarray, sigma: float) -> np.ndarray:
    """-sigma^2 times the Laplacian of f32 [H, W] smoothed by `sigma` px: f32 [H, W].

    A disc of radius r is answered most, by 2 / e of its height, at sigma = r / sqrt(2).
    The image goes on beyond its edges as it ends there.
    """
    smooth = ndimage.gaussian_filter(signal, sigma, mode="nearest")
    return -(sigma**2) * ndimage.laplace(smooth, mode="nearest")


def sigma_of(size_px: float) -> float:
    """The `sigma` that answers most to discs of this diameter."""
    return size_px / (2 * 2**0.5)


def peaks(
    heights: np.ndarray, distance_px: float, valid: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """The `most` highest local maxima of f32 [H, W]: points [N, 2] px, heights [N].

    Above 0, inside `valid` [H, W], the highest within `distance_px` (at least 1) along
    both axes; of a plateau its centre. Best first.
    """
    size = 2 * max(round(distance_px), 1) + 1
    tops = heights == ndimage.maximum_filter(heights, size, mode="nearest")
    labels, number = ndimage.label(tops & (heights > 0) & valid, _EIGHT)
    index = np.arange(1, number + 1)
    centers = ndimage.center_of_mass(labels > 0, labels, index)
    # A pixel's centre lies half a pixel beyond its index.
    points_yx = np.asarray(centers, np.float32).reshape(-1, 2) + np.float32(0.5)
    found = np.asarray(ndimage.maximum(heights, labels, index), np.float32).reshape(-1)
    order = np.argsort(-found, kind="stable")[:most]
    return points_yx[order], found[order]


def off_the_rim(points_yx: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Whether points [N, 2] have only `valid` pixels [H, W] around them, bool [N].

    A maximum on the rim of an image is one on one side alone.
    """
    inner = ndimage.binary_erosion(valid, _EIGHT)
    y, x = np.floor(points_yx).astype(int).T
    return inner[y, x]
