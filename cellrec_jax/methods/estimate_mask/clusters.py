"""Nuclei, background and what is left out, by k-means of an image's pixels.

On the host, with NumPy and SciPy. Source: Qu et al., IEEE Transactions on Medical
Imaging, 2020, and its code: colours and the distance to the nearest point are the
features, k = 3.
"""

import numpy as np
from scipy import ndimage
from scipy.cluster import vq

from cellrec_jax.methods.estimate_mask.options import MaskOptions

_MOST_PIXELS = 20_000
"""Of an image that centres are fitted on; all pixels then go to the nearest."""
_ITERATIONS = 30


def split(
    image: np.ndarray,
    distance: np.ndarray,
    near: np.ndarray,
    valid: np.ndarray,
    *,
    options: MaskOptions,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the nuclei's cluster, and of the background's; bool [H, W] twice.

    The first has the most pixels at points; the second the least share of its pixels
    near some, of equal ones the farthest away. Of one colour everywhere there are
    none, nor where no point is.

    Args:
      image: f32 [H, W, C] in 0..255.
      distance: f32 [H, W] px to the nearest point.
      near: bool [H, W], at a point.
      valid: bool [H, W]; other pixels are in no cluster.
      options: how many clusters, and how features are scaled.
      seed: chooses pixels and first centres.
    """
    nowhere = np.zeros(valid.shape, bool)
    colors = image[valid]
    if not (near & valid).any() or (colors == colors[:1]).all():
        return nowhere, nowhere
    features = np.concatenate(
        [
            image / options.color_scale,
            np.clip(distance, 0, options.far_px)[..., None],
        ],
        axis=2,
    )[valid].astype(np.float64)
    centers = _centers(features, options.num_clusters, seed)
    if len(centers) < 2:
        return nowhere, nowhere
    cluster, _ = vq.vq(features, centers)
    nucleus = int(np.argmax(np.bincount(cluster[near[valid]])))
    others = np.setdiff1d(np.unique(cluster), nucleus)
    away = distance[valid]
    ranks = [
        ((away[one] <= options.near_px).mean(), -away[one].mean())
        for one in (cluster == number for number in others)
    ]
    found = []
    for number in (nucleus, others[ranks.index(min(ranks))]):
        plane = nowhere.copy()
        plane[valid] = cluster == number
        found.append(plane)
    return found[0], found[1]


def _centers(features: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Centres [k, F] of k-means on some pixels; as many as differ, at most `number`."""
    rng = np.random.default_rng(seed)
    if len(features) > _MOST_PIXELS:
        chosen = rng.choice(len(features), _MOST_PIXELS, replace=False)
        features = features[np.sort(chosen)]
    number = min(number, len(np.unique(features, axis=0)))
    if number < 2:
        return features[:1]
    centers, _ = vq.kmeans2(
        features, number, _ITERATIONS, minit="++", missing="warn", rng=rng
    )
    return np.asarray(centers[~np.isnan(centers).any(axis=1)])


def clean(nuclei: np.ndarray, owners: np.ndarray, options: MaskOptions) -> np.ndarray:
    """Masks within each cell's Voronoi polygon, bool [H, W].

    In a polygon small parts go, what is left grows, its holes are filled, and it
    shrinks, as in the code of Qu et al.; no mask leaves its polygon.
    """
    kept = np.zeros(nuclei.shape, bool)
    boxes = ndimage.find_objects(owners + 1)
    for owner, box in enumerate(boxes):
        if box is None:
            continue
        inside = owners[box] == owner
        part = _large(nuclei[box] & inside, options.least_px)
        if not part.any():
            continue
        pad = options.dilate_px + options.erode_px + 1
        part = np.pad(part, pad)
        part = _grow(part, options.dilate_px)
        part = ndimage.binary_fill_holes(part)
        part = _shrink(part, options.erode_px)
        kept[box] |= part[pad:-pad, pad:-pad] & inside
    return kept


def _large(mask: np.ndarray, least_px: int) -> np.ndarray:
    """Parts (8-connected) of at least some pixels."""
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    size = np.bincount(labels.ravel())
    size[0] = 0
    return np.asarray((size >= max(least_px, 1))[labels])


def _grow(mask: np.ndarray, steps: int) -> np.ndarray:
    if not steps:
        return mask
    return ndimage.distance_transform_edt(~mask) <= steps


def _shrink(mask: np.ndarray, steps: int) -> np.ndarray:
    if not steps:
        return mask
    return ndimage.distance_transform_edt(mask) > steps
