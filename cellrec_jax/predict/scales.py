"""The scale of images that say no pixel size, by a model's agreement with itself.

Where cells have about the size that a model knows, it finds the same ones in an image a
little larger and a little smaller; elsewhere it does not.
"""

from collections.abc import Sequence

import numpy as np

from cellrec_jax.config import limits
from cellrec_jax.metrics.matching import match_points
from cellrec_jax.predict.predictor import Predictor

SCALES = (0.5, 2**-0.5, 1.0, 2**0.5, 2.0)
"""Px of the training images per px of an image."""
NUM_IMAGES = 4
_LADDER = (SCALES[0] / 2**0.5, *SCALES, SCALES[-1] * 2**0.5)
_SIDE_PX = 512  # of the middle of an image, which is looked at
_GAIN = 0.03  # of agreement, below which a picture is seen as the training images
_NEAR = 1 / 4  # of the side of a cell: places that agree


def best_scale(agreement: Sequence[float]) -> float:
    """The scale of `SCALES` at which a model agrees best; the nearest to 1 of several.

    `agreement`: F1 of what is found at one scale against what is found at the next, of
    the scales and one more at either end. The mean of the two of a scale decides, and
    1 stays unless another gains more than 0.03: less was chance in images of a known
    scale (generated ones, DeepLIIF).

    Example:
      >>> best_scale([0.3, 0.6, 0.8, 0.9, 0.7, 0.4])
      1.0
    """
    means = (np.array(agreement[:-1]) + np.array(agreement[1:])) / 2
    ranked = sorted(
        zip(means, SCALES, strict=True), key=lambda one: abs(np.log(one[1]))
    )
    best, own = max(ranked, key=lambda one: one[0]), ranked[0]
    return best[1] if best[0] > own[0] + _GAIN else own[1]


def find(predictor: Predictor, images: Sequence[np.ndarray]) -> float:
    """The best of `SCALES` for all of some images [H, W, C], as they are read.

    0 where no cell is found at two scales. The model must know its own pixel size.
    """
    predictor, mpp = predictor.once(), predictor.frame.mpp
    places = []
    for scale in _LADDER:
        seen_as = float(np.clip(scale * mpp, *limits.PIXEL_SIZES))
        scenes = (predictor.scene(_middle(one), seen_as) for one in images)
        places.append([found.points_yx for _, found in predictor.predict_many(scenes)])
    agreement = []
    for step in range(len(SCALES) + 1):
        between = float(np.sqrt(_LADDER[step] * _LADDER[step + 1]))
        radius_px = _NEAR * predictor.frame.box_size / between
        agreement.append(_agreement(places[step], places[step + 1], radius_px))
    return best_scale(agreement) if any(agreement) else 0.0


def line(mpp: float) -> str:
    """What to tell of images that are seen as of `mpp` um per px, which was found.

    0 where nothing was.
    """
    if not mpp:
        return (
            "images that say no um per px are seen as the training images: no cells "
            "tell their scale; --mpp sets it"
        )
    return (
        f"images that say no um per px are seen as of {mpp:.2g}, where the model finds "
        "the same cells a little larger and smaller; --mpp sets it"
    )


def _agreement(
    some: Sequence[np.ndarray], others: Sequence[np.ndarray], radius_px: float
) -> float:
    """F1 of points of images against others of the same; 0 where there are none."""
    pairs = sum(
        len(match_points(one, other, radius_px))
        for one, other in zip(some, others, strict=True)
    )
    return 2 * pairs / max(sum(map(len, (*some, *others))), 1)


def _middle(image: np.ndarray) -> np.ndarray:
    top, left = (max(side - _SIDE_PX, 0) // 2 for side in image.shape[:2])
    return image[top : top + _SIDE_PX, left : left + _SIDE_PX]
