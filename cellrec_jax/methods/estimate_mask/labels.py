"""The two label maps of an image that are made of its points, once, on the host.

Source: Qu et al., IEEE Transactions on Medical Imaging, 2020, section III-B. Its masks
have one class; here each has that of the cell whose Voronoi polygon it lies in.
"""

import numpy as np

from cellrec_jax.config.limits import require
from cellrec_jax.losses.pseudo_masks import IGNORE
from cellrec_jax.methods.estimate_mask import clusters, voronoi
from cellrec_jax.methods.estimate_mask.options import MaskOptions


def label_maps(
    image: np.ndarray,
    points_yx: np.ndarray,
    labels: np.ndarray,
    valid: np.ndarray,
    *,
    num_classes: int,
    options: MaskOptions,
    seed: int,
) -> np.ndarray:
    """Labels of pixels u8 [H, W, 2]: 0 background, 1 + class, or `IGNORE`.

    The first map has discs at the points, and as background the edges between their
    Voronoi polygons; the second the masks and, away from points, the background that
    clusters of colour tell. An image without points is background to the first, whole,
    unless points may be missing; the second ignores it, and what has one colour.

    Args:
      image: [H, W, C], uint8 or f32 in [0, 1].
      points_yx: f32 [N, 2] cell centres, px.
      labels: i32 [N] class ids 0..K-1.
      valid: bool [H, W]; other pixels are ignored.
      num_classes: K, at most 254.
      options: sizes, in px of this image.
      seed: of k-means.

    Raises:
      ConfigError: of more classes than labels can tell.
    """
    require(
        num_classes < IGNORE,
        f"data.classes: label maps tell {IGNORE - 1} classes apart, not {num_classes}",
    )
    size_hw = (valid.shape[0], valid.shape[1])
    classes = np.asarray(labels, np.int64)
    owners, distance = voronoi.nearest(points_yx, size_hw)
    own = (1 + classes)[owners] if len(classes) else np.zeros(size_hw, np.int64)
    near = distance <= options.disc_px
    empty = not len(classes) and options.points == "given"
    first = np.full(size_hw, 0 if empty else IGNORE, np.uint8)
    first[voronoi.edges(owners)] = 0
    first[near] = own[near]
    if image.dtype == np.float32:
        image = 255 * image
    nuclei, background = clusters.split(
        image, distance, near, valid, options=options, seed=seed
    )
    kept = clusters.clean(nuclei, owners, options)
    second = np.full(size_hw, IGNORE, np.uint8)
    second[background & (distance > options.clear_px)] = 0
    second[kept] = own[kept]
    found = np.stack([first, second], axis=2)
    found[~valid] = IGNORE
    return found
