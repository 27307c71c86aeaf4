"""Seeds of cells in a restored image: threshold, distance transform, h-maxima.

On the host, 8 neighbours. Source: Vicar et al., BMC Bioinformatics 2019, after
Thirusittampalam et al. 2013.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

_EIGHT = np.ones((3, 3), bool)


class SeedOptions(NamedTuple):
    """The four values that are searched for on training frames."""

    threshold: float
    """Foreground is higher than this."""
    min_area_px: float = 80.0
    """Smaller objects are removed."""
    max_hole_px: float = 80.0
    """Smaller holes are filled."""
    h_px: float = 1.5
    """A peak of the distance map counts if it rises by more than this, px; >= 0."""


def foreground(
    restored: np.ndarray, threshold: float, min_area_px: float, max_hole_px: float
) -> np.ndarray:
    """Thresholds (NaN: out), fills small holes, drops small objects: bool [H, W]."""
    mask = ~_without_small(~(restored > threshold), max_hole_px)
    return _without_small(mask, min_area_px)


def _without_small(mask: np.ndarray, least_area: float) -> np.ndarray:
    """Keeps the components of at least this area."""
    labels, _ = ndimage.label(mask, _EIGHT)
    kept = np.bincount(labels.ravel()) >= least_area
    kept[0] = False
    return kept[labels]


def distance_map(mask: np.ndarray) -> np.ndarray:
    """Distance to the background in the image, px, f32 [H, W]; 0 without any."""
    if mask.all():
        return np.zeros(mask.shape, np.float32)
    return ndimage.distance_transform_edt(mask).astype(np.float32)


def h_maxima(distance: np.ndarray, h_px: float) -> np.ndarray:
    """Labels the regional maxima that are left when peaks are cut down by `h_px`.

    Of f32 [H, W] >= 0, int [H, W], 1, 2, ...; 1.4 to 6 times as fast as scikit-image's.
    A ValueError if `h_px` is negative.
    """
    if h_px < 0:
        raise ValueError(f"h_px={h_px} must be at least 0")
    # From 0, not below: what ends there is no peak, and the background is done at once.
    cut = _reconstruct(np.maximum(distance - np.float32(h_px), 0), distance)
    tops = (cut == _dilate(cut)) & (cut > 0)
    labels, _ = ndimage.label(tops, _EIGHT)
    # A plateau with a higher neighbour goes on in pixels as high that are no tops.
    rest = _dilate(np.where(tops, -np.inf, cut))
    higher = np.unique(labels[tops & (rest == cut)])
    return ndimage.label(tops & ~np.isin(labels, higher), _EIGHT)[0]


def _reconstruct(marker: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Morphological reconstruction by sweeps along rows and columns (Vincent 1993)."""
    limits = (limit, np.ascontiguousarray(limit.T))
    grown = marker
    while True:
        before = grown
        for top in limits:
            grown = grown.copy()
            _sweep(grown, top)
            _sweep(grown[::-1], top[::-1])
            grown = np.ascontiguousarray(grown.T)
        if np.array_equal(grown, before):
            return grown


def _sweep(image: np.ndarray, limit: np.ndarray) -> None:
    """Raises each row to its three neighbours above, row by row, in place."""
    for above, row, top in zip(image[:-1], image[1:], limit[1:], strict=True):
        np.maximum(row, above, out=row)
        np.maximum(row[1:], above[:-1], out=row[1:])
        np.maximum(row[:-1], above[1:], out=row[:-1])
        np.minimum(row, top, out=row)


def _dilate(image: np.ndarray) -> np.ndarray:
    """Maximum of each 3 x 3 square; many times faster than `maximum_filter`."""
    for axis in (0, 1):
        image = np.moveaxis(image, axis, 0)
        highest = image.copy()
        np.maximum(highest[1:], image[:-1], out=highest[1:])
        np.maximum(highest[:-1], image[1:], out=highest[:-1])
        image = np.moveaxis(highest, 0, axis)
    return image


def centroids(labels: np.ndarray) -> np.ndarray:
    """Centres [N, 2] px of labels 1, 2, ... of an image, in their order."""
    index = np.arange(1, labels.max(initial=0) + 1)
    center = ndimage.center_of_mass(labels > 0, labels, index)
    # A pixel's centre lies half a pixel beyond its index.
    return np.asarray(center, np.float32).reshape(-1, 2) + np.float32(0.5)
