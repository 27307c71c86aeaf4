"""A model made ready for slides: one size of tiles, and room for the cells of one."""

from collections.abc import Sequence
import dataclasses
from typing import Any, NamedTuple

import numpy as np

from cellrec_jax import methods
from cellrec_jax.data import example
from cellrec_jax.predict import frame as frames
from cellrec_jax.predict import stream
from cellrec_jax.predict.compiled import jit_predict
from cellrec_jax.predict.predictor import Predictor
from cellrec_jax.predict.slide import grid as grids
from cellrec_jax.predict.slide.tissue import Thumbnail
from cellrec_jax.workdir.model import Model

_EXACT_PX = 0.5  # where a seam moves no cell: its rounding alone


class Looker(NamedTuple):
    """What looks at slides; lengths in px of the network."""

    network: stream.Network
    own_px: int
    margin_px: int
    min_distance: float
    """Cells nearer than this are one."""
    twins_px: float
    """So are those of two tiles nearer than this."""
    thresholds: np.ndarray
    """f64 [K] least scores of cells, by class."""
    is_exact: bool
    """Whether what is found does not depend on where tiles lie."""
    by_highest: bool
    reach_px: float
    """Half of a cell's box: a cell nearer than this to what is damaged is lost."""
    intensity: str
    """See `example.scale_intensity`."""


def make(predictor: Predictor) -> Looker:
    """Chooses tiles for a model, whose network is compiled for them on first use.

    A tile is as large as the training images, or, where the receptive radius is known
    (`Traits.receptive_px`), about 2,000 px, with as many slots for cells as its area
    asks for.
    """
    model, frame = predictor.model, predictor.frame
    traits = model.method.traits
    scale = float(np.sqrt(np.prod(frame.scale())))
    least = frame.box_size * scale
    is_exact = bool(traits.receptive_px)
    side = grids.TILE_PX if is_exact else max(frame.size_hw)
    own, margin = grids.sides(frame.stride, traits.receptive_px, least, side)
    if is_exact:
        model = _with_slots(model, (own + 2 * margin) ** 2 / np.prod(frame.size_hw))
    decode = model.meta["decode"]
    return Looker(
        stream.Network(
            jit_predict(model.method, len(model.class_names)),
            model.params,
            model.model_state,
            predictor.batch,
        ),
        own,
        margin,
        float(decode["min_distance"]) * scale,
        _EXACT_PX if is_exact else frames.TWINS_PX,
        np.asarray(decode["thresholds"], np.float64),
        is_exact,
        traits.by_highest,
        least / 2,
        frame.intensity,
    )


def prepare(looker: Looker, limits: Sequence[float], image: np.ndarray) -> np.ndarray:
    """Brings uint8 [h, w, 3] into the range that the model reads.

    `limits` are the slide's 0.5th and 99.5th percentile, for models that ask for it: of
    its thumbnail, whose means lie nearer to each other than its px do.
    """
    if looker.intensity != "percentile":
        return example.scale_intensity(image, looker.intensity)
    return example.stretch(image, *limits)


def highest(looker: Looker, small: Thumbnail) -> float | None:
    """Highest grey value in [0, 1] of a slide, for methods that ask for it.

    Of means of its thumbnail, so it is lower than that of the slide's own px.
    """
    return float(small.image.mean(-1).max()) / 255 if looker.by_highest else None


def _with_slots(model: Model, share: float) -> Model:
    """The model with room for the cells of a larger or smaller window."""
    slots = model.experiment.options.model.max_detections
    experiment = methods.changed(
        model.experiment, {"model.max_detections": int(np.ceil(slots * max(share, 1)))}
    )
    method: Any = methods.build(experiment, len(model.class_names))
    return dataclasses.replace(model, experiment=experiment, method=method)
