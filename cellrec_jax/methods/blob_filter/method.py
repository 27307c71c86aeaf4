"""Cells by image processing: separated stains, a blob filter, a cut of classes.

The detector that pathologists' tools had before networks: colour deconvolution
(Ruifrok and Johnston 2001), the Laplacian of a Gaussian, and of two classes a cut on
brown, as positive cell detection does. `fit` searches its values on training images.
"""

from collections.abc import Iterable
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax import errors
from cellrec_jax.methods import searched
from cellrec_jax.methods.blob_filter import blobs, search, signals
from cellrec_jax.methods.blob_filter.options import ModelOptions, Options
from cellrec_jax.metrics import suppression
from cellrec_jax.types import Batch, Decode, Detections, Method, Traits

Params = dict[str, jax.Array]

_START = {"signal": 0, "sigma": 8.0, "distance": 1.0, "rim": 1, "height": 0.1}
_START_CLASSES = {"cut": 0.1, "above": 0}
"""Of an unfitted model."""


def make(options: Options, *, num_classes: int) -> Method:
    """Builds the method, `predict` on the host; a `ConfigError` above two classes."""
    if num_classes > 2:
        raise errors.ConfigError(
            f"--config.method=blob_filter tells two classes by brown, not {num_classes}"
            ": merge them with --config.data.classes=cell=a+b+c"
        )
    start = _START | (_START_CLASSES if num_classes == 2 else {})
    model = options.model
    return Method(
        init=functools.partial(_init, start=start),
        loss_fn=searched.no_loss("blob_filter"),
        predict=functools.partial(_predict, model=model, num_classes=num_classes),
        traits=Traits(
            max_detections=model.max_detections,
            fit=functools.partial(fit, model=model, num_classes=num_classes),
        ),
    )


def _init(
    rng: jax.Array, image: jax.Array, *, start: dict[str, float]
) -> tuple[Params, dict[str, Any]]:
    """Values that work before any search; nothing is drawn."""
    del rng, image
    return _to_params(start), {}


def _to_params(values: dict[str, Any]) -> Params:
    return {name: jnp.float32(value) for name, value in values.items()}


def fit(
    batch: Batch,
    radius_px: float,
    track: search.Track = lambda items, _: items,
    *,
    model: ModelOptions,
    num_classes: int,
) -> tuple[Params, str]:
    """Searches signal, size, distance and classes, see `types.Fit`.

    No annotated cell, of one of two classes none, or none that is found, is a
    `DataError`.
    """
    images, masks = _filled(batch), np.asarray(batch.points_mask)
    points = [p[m] for p, m in zip(np.asarray(batch.points_yx), masks, strict=True)]
    try:
        sigma_px = blobs.sigma_of(_size_px(batch))
        sigmas = _as_kept(sigma_px * scale for scale in model.scales)
        found = search.search(
            images,
            points,
            list(np.asarray(batch.valid)),
            radius_px,
            (model.kinds(), sigmas, _as_kept(model.distances)),
            most=model.max_detections,
            track=track,
        )
    except ValueError as error:
        raise errors.DataError(f"blob_filter: {error}") from error
    kind, sigma, distance, rim = found.filter
    values = {"signal": signals.SIGNALS.index(kind), "sigma": sigma}
    values |= {"distance": distance, "rim": rim, "height": found.height}
    line = _told(found, len(images))
    if num_classes == 2:
        stump = _classes(images, points, np.asarray(batch.labels), masks, sigma)
        values |= {"cut": stump.cut, "above": stump.above}
        line += (
            f"; class {stump.above} has more than {stump.cut:.3g} of DAB (right of "
            f"{stump.accuracy:.1%} of the points)"
        )
    return _to_params(values), line


def _told(found: search.Found, num_images: int) -> str:
    kind, sigma, distance, rim = found.filter
    return (
        f"searched {found.tried} filters on {num_images} images: signal {kind}, sigma "
        f"{sigma:.3g} px, distance {distance:g} sigma, {'with' if rim else 'without'} "
        f"the rim of images (F1 {found.f1:.3f} against the annotated points)"
    )


def _filled(batch: Batch) -> list[np.ndarray]:
    pairs = zip(batch.image, batch.valid, strict=True)
    return [signals.filled(*(np.asarray(one) for one in pair)) for pair in pairs]


def _as_kept(values: Iterable[float]) -> list[float]:
    """As parameters hold them: a prediction answers as the search did, to the bit."""
    return [float(np.float32(value)) for value in values]


def _size_px(batch: Batch) -> float:
    """Median side of the annotated cells' boxes; a ValueError without one."""
    boxes = np.asarray(batch.boxes_yxyx)[np.asarray(batch.points_mask)]
    if not len(boxes):
        raise ValueError("no image has a cell: annotate some to search by")
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return max(float(np.median(np.sqrt(sides.prod(axis=1)))), 1.0)


def _classes(
    images: list[np.ndarray],
    points: list[np.ndarray],
    labels: np.ndarray,
    masks: np.ndarray,
    sigma: float,
) -> search.Stump:
    """The cut between two classes on the annotated points' DAB."""
    given = labels[masks]
    for label in (0, 1):
        if not (given == label).any():
            raise errors.DataError(
                f"blob_filter: no training image has a cell of class {label} (of 0, 1),"
                " so nothing tells the two apart: name other --config.data.train_ids, "
                "or merge them with --config.data.classes=cell=a+b"
            )
    pairs = zip(images, points, strict=True)
    brown = np.concatenate([signals.dab(image, yx, sigma) for image, yx in pairs])
    return search.stump(brown, given)


def _predict(
    params: Params,
    model_state: Any,
    batch: Batch,
    decode: Decode,
    *,
    model: ModelOptions,
    num_classes: int,
) -> Detections:
    """Detections of whole images: max_detections slots, highest score first.

    Scores are r / (r + height) of a response r, so 0.5 where F1 of the training images
    was highest.
    """
    del model_state
    value = {name: float(one) for name, one in params.items()}
    kind = signals.SIGNALS[int(value["signal"])]
    chosen = search.Filter(kind, value["sigma"], value["distance"], value["rim"] > 0)
    images, valid = _filled(batch), np.asarray(batch.valid)
    shape = (len(images), model.max_detections)
    points_yx, scores = np.zeros((*shape, 2), np.float32), np.zeros(shape, np.float32)
    labels, mask = np.zeros(shape, np.int32), np.zeros(shape, bool)
    for row in np.flatnonzero(np.asarray(batch.image_mask)):
        found, heights = search.find(
            images[row], valid[row], chosen, model.max_detections
        )
        slots = row, slice(len(found))
        points_yx[slots] = found
        scores[slots] = heights / (heights + value["height"])
        kept = suppression.suppress(found, heights, float(decode.min_distance))
        mask[slots] = kept
        if num_classes == 2:
            above = signals.dab(images[row], found, chosen.sigma) > value["cut"]
            labels[slots] = np.where(above, value["above"], 1 - value["above"])
    mask &= scores >= np.asarray(decode.thresholds)[labels]
    probs = scores[..., None] * (labels[..., None] == np.arange(num_classes))
    found_all = (points_yx, scores, labels, probs.astype(np.float32), mask)
    return Detections(*map(jnp.asarray, found_all))
