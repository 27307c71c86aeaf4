"""Why an image has no cells: what it scored, and how it differs from training's."""

import dataclasses

import numpy as np

from cellrec_jax.cells import Cells
from cellrec_jax.data import looks
from cellrec_jax.predict.predictor import Predictor
from cellrec_jax.predict.views import LEAST

_SAME_SCALE = 1.5  # times or part of the training images' sides


def highest(
    predictor: Predictor, image: np.ndarray, mpp: float = 0.0, margin_px: int = 0
) -> tuple[float, int] | None:
    """The highest score of an image and its class id, whatever the thresholds.

    Predicts the image once more; arguments as `Predictor.predict`, None as of `best`.
    """
    model = predictor.model
    decode = {**model.meta["decode"], "thresholds": [0.0] * len(model.class_names)}
    model = dataclasses.replace(model, meta={**model.meta, "decode": decode})
    loose = dataclasses.replace(predictor, model=model)
    return best(loose.predict(image, mpp, margin_px))


def best(found: Cells) -> tuple[float, int] | None:
    """The highest score of what was found and its class id; None of nothing."""
    if not len(found):
        return None
    row = int(np.argmax(found.scores))
    return float(found.scores[row]), int(found.labels[row])


def score_text(predictor: Predictor, peak: tuple[float, int] | None) -> str:
    """That no peak is above the threshold, and how near the best one is."""
    if peak is None:
        views = predictor.frame.joined()
        return (
            f"no peak of {LEAST:g} or more in any view"
            if views
            else "no peak of any score"
        )
    score, label = peak
    model = predictor.model
    cut = model.meta["decode"]["thresholds"][label]
    of = f" of {model.class_names[label]}" if len(model.class_names) > 1 else ""
    source = model.threshold_sources()[label]
    return (
        f"no peak above the threshold; the highest score{of} is {score:.3f}, the "
        f"threshold {cut:.3f} ({source})"
    )


def unlike(predictor: Predictor, image: np.ndarray, mpp: float = 0.0) -> str:
    """How an image differs from those of training, in size and colour, in words."""
    meta = predictor.model.meta
    image_hw, native_hw = image.shape[:2], meta["native_hw"]
    size = f"{image_hw[0]} x {image_hw[1]} px (training: {_size(native_hw)})"
    ratio = np.divide(image_hw, native_hw)
    other = np.any((ratio > _SAME_SCALE) | (ratio < 1 / _SAME_SCALE))
    if other and not (mpp and meta["mpp"]):
        size += ", so its scale may be another: give --mpp where both are known"
    if not meta.get("look"):
        return f"image {size}; colours of training images are not recorded there"
    look = looks.Look(**meta["look"])
    color = looks.mean_rgb(image, predictor.model.experiment.data.intensity)
    text = f"mean colour {_color(color)} (training: {_color(look.mean_rgb)})"
    if looks.differs(look, color):
        text += ", which is unlike them"
    return f"image {size}; {text}"


def _size(size_hw: tuple[int, int]) -> str:
    return f"{size_hw[0]} x {size_hw[1]}"


def _color(color: np.ndarray | tuple[float, ...]) -> str:
    return " ".join(f"{value:.0f}" for value in color)
