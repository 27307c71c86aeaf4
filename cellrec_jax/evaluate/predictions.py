"""Predictions of a set, in px of the images on disk, and how long they take."""

from collections.abc import Callable, Iterable
import time
from typing import Any

import jax
import numpy as np

from cellrec_jax import geometry
from cellrec_jax.cells import Cells, cells_of
from cellrec_jax.data import arrays, sets
from cellrec_jax.metrics.results import ImageResult
from cellrec_jax.predict.compiled import Predict
from cellrec_jax.types import Decode
from cellrec_jax.workdir import model as model_lib

_TIMED = 7  # images behind a time of prediction

Track = Callable[[Iterable[Any], str], Iterable[Any]]


def predict_set(
    predict: Predict,
    params: Any,
    model_state: Any,
    eval_set: sets.EvalSet,
    num_classes: int,
    *,
    batch_size: int,
    track: Track | None = None,
) -> list[ImageResult]:
    """Predicts every image of a set, all scores, in px of the images on disk."""
    batches = arrays.eval_batches(eval_set.images, batch_size)
    # Tracked is a range, not a list of batches: only one of them is held at a time.
    turns: Iterable[int] = range(-(-len(eval_set.image_ids) // batch_size))
    turns = track(turns, "predicting") if track else turns
    results: list[ImageResult] = []
    for _, batch in zip(turns, batches, strict=True):
        detections = predict(
            params, model_state, batch, model_lib.keep_all(num_classes)
        )
        for row, real in enumerate(np.asarray(batch.image_mask)):
            if real:
                cells = cells_of(detections, row)
                results.append(to_result(eval_set, len(results), cells))
    return results


def to_result(eval_set: sets.EvalSet, index: int, cells: Cells) -> ImageResult:
    """Moves one image's detections and truths to the frame of the file."""
    scale = eval_set.scale_yx[index][None]
    images = eval_set.images
    valid = np.asarray(images.valid[index])
    truth = np.asarray(images.points_mask[index])
    true_points = np.asarray(images.points_yx[index])[truth]
    counted = _inside(valid, true_points)
    true_boxes = np.asarray(images.boxes_yxyx[index])[truth][counted]
    box_scale = np.tile(scale, 2)
    boxes = cells.boxes_yxyx
    return ImageResult(
        image_id=eval_set.image_ids[index],
        group=eval_set.groups[index],
        pred_points_yx=cells.points_yx / scale,
        pred_scores=cells.scores,
        pred_labels=cells.labels,
        pred_boxes_yxyx=None if boxes is None else boxes / box_scale,
        pred_ignored=~_inside(valid, cells.points_yx),
        true_points_yx=(true_points / scale)[counted],
        true_labels=np.asarray(images.labels[index])[truth][counted],
        true_boxes_yxyx=true_boxes / box_scale,
    )


def _inside(valid: np.ndarray, points_yx: np.ndarray) -> np.ndarray:
    pixel = geometry.point_to_pixel(points_yx)
    row = np.clip(pixel[:, 0], 0, valid.shape[0] - 1)
    column = np.clip(pixel[:, 1], 0, valid.shape[1] - 1)
    return valid[row, column]


def seconds_per_image(
    predict: Predict,
    params: Any,
    model_state: Any,
    eval_set: sets.EvalSet,
    decode: Decode,
) -> float:
    """Median seconds from an image on the host to its points, without compiling."""
    host = jax.device_get(eval_set.images)
    seconds = []
    for turn in range(_TIMED + 1):
        row = [turn % len(host.image)]
        batch = jax.tree.map(lambda x, row=row: x[row], host)
        begin = time.perf_counter()
        jax.device_get(predict(params, model_state, batch, decode))
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds[1:]))  # the first one may compile
