"""The scale of images whose pixel size is not known, by a model's own scores."""

from collections.abc import Mapping, Sequence

import numpy as np

from cellrec_jax.predict.predictor import Predictor

SCALES = (0.5, 2**-0.5, 1.0, 2**0.5, 2.0)
"""Px of the training images per px of an image."""
NUM_IMAGES = 4
_SIDE_PX = 1024  # of the middle of an image, which is looked at


def best_scale(excess: Mapping[float, np.ndarray]) -> float:
    """The scale at which a model is surest of most cells; 1 where it finds none.

    `excess`: scale -> by how much the score of each cell that was found there is above
    its threshold, of the same images. Their sum over the scale decides: the mean of how
    sure the model is of an image, which favours magnification, for that finds cells in
    parts of cells, and of a px, which favours the opposite (geometric mean).

    Example:
      >>> best_scale({1.0: np.array([0.5, 0.5, 0.1]), 2.0: np.array([0.3] * 6)})
      1.0
    """
    sure = {scale: float(np.sum(found)) / scale for scale, found in excess.items()}
    return max(sure, key=lambda scale: (sure[scale], -abs(np.log(scale))))


def find(predictor: Predictor, images: Sequence[np.ndarray]) -> float:
    """The best of `SCALES` for all of some images [H, W, C], as they are read.

    1 where the model does not know its own pixel size.
    """
    predictor = predictor.once()
    mpp, cuts = predictor.frame.mpp, predictor.model.meta["decode"]["thresholds"]
    if not mpp:
        return 1.0
    excess = {}
    for scale in SCALES:
        scenes = (predictor.scene(_middle(one), scale * mpp) for one in images)
        cells = [found for _, found in predictor.predict_many(scenes)]
        excess[scale] = np.concatenate(
            [one.scores - np.asarray(cuts)[one.labels] for one in cells]
        )
    return best_scale(excess)


def line(mpp: float) -> str:
    """What to tell of images that are seen as of `mpp` um per px, which was found."""
    return (
        f"images that say no um per px are seen as of {mpp:.2g}, where the model is "
        "surest of most cells; --mpp sets it"
    )


def _middle(image: np.ndarray) -> np.ndarray:
    top, left = (max(side - _SIDE_PX, 0) // 2 for side in image.shape[:2])
    return image[top : top + _SIDE_PX, left : left + _SIDE_PX]
