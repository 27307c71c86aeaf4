"""Predicts a set, fits the operating thresholds and computes the metrics."""

from collections.abc import Callable, Iterable
import dataclasses
import functools
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from cellrec_jax import errors, geometry
from cellrec_jax.config import EvalConfig
from cellrec_jax.data import arrays, augment, sets
from cellrec_jax.metrics import counting, report
from cellrec_jax.metrics import results as results_lib
from cellrec_jax.metrics.results import ImageResult
from cellrec_jax.train.state import TrainState
from cellrec_jax.types import Batch, Decode, Detections, Method
from cellrec_jax.workdir import model as model_lib

Predict = Callable[[Any, Any, Batch, Decode], Detections]
_TIMED = 7  # images behind a time of prediction

Track = Callable[[Iterable[Any], str], Iterable[Any]]


class Cells(NamedTuple):
    """Detections of one image in px of that image, best first; NumPy."""

    points_yx: np.ndarray
    """f32 [M, 2] cell centres; pixel (i, j) covers [i, i+1) x [j, j+1)."""
    scores: np.ndarray
    """f32 [M] in [0, 1]."""
    labels: np.ndarray
    """i32 [M] class ids."""
    class_probs: np.ndarray
    """f32 [M, K]."""
    boxes_yxyx: np.ndarray | None
    """f32 [M, 4], for methods that predict boxes."""


@functools.lru_cache(maxsize=2)  # a method in use is compiled once
def jit_predict(method: Method) -> Predict:
    """Compiles a method's prediction, from raw images on.

    A method with a `fit` predicts on the host and is not compiled.
    """

    def predict(
        params: Any, model_state: Any, batch: Batch, decode: Decode
    ) -> Detections:
        batch = augment.prepare_eval(batch)
        return method.predict(params, model_state, batch, decode)

    return jax.jit(predict) if method.fit is None else predict


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
    """Predicts every image of a set, all scores, in px of the images on disk.

    Args:
      predict: from `jit_predict`.
      params: parameters.
      model_state: batch statistics.
      eval_set: the images.
      num_classes: K.
      batch_size: images predicted at once.
      track: shows progress.

    Returns:
      One result an image, in the set's order.
    """
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
                results.append(_result(eval_set, len(results), cells))
    return results


def cells_of(detections: Detections, row: int) -> Cells:
    """The real detections of one image of a batch, as NumPy arrays."""
    kept = np.asarray(detections.mask[row])
    boxes = detections.boxes_yxyx
    return Cells(
        np.asarray(detections.points_yx[row])[kept],
        np.asarray(detections.scores[row])[kept],
        np.asarray(detections.labels[row])[kept],
        np.asarray(detections.class_probs[row])[kept],
        None if boxes is None else np.asarray(boxes[row])[kept],
    )


def _result(eval_set: sets.EvalSet, index: int, cells: Cells) -> ImageResult:
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


def radius_px(config: EvalConfig, mpp: float) -> float:
    """Match radius in px of the images on disk.

    Args:
      config: `radius_px`, or `radius_um` where that is set.
      mpp: micrometres per px; 0 is unknown.

    Raises:
      ConfigError: if the radius is in micrometres and the pixel size is unknown.
    """
    if not config.radius_um:
        return config.radius_px
    return _to_px("radius", config.radius_um, mpp)


def min_distances_px(config: EvalConfig, mpp: float) -> tuple[float, ...]:
    """Least distances to try, as `radius_px` in px of the images on disk.

    Raises:
      ConfigError: if they are in micrometres and the pixel size is unknown.
    """
    if not config.min_distances_um:
        return config.min_distances
    key = "min_distances"
    return tuple(_to_px(key, one, mpp) for one in config.min_distances_um)


def _to_px(key: str, micrometres: float, mpp: float) -> float:
    if not mpp:
        raise errors.ConfigError(
            f"--config.eval.{key}_um needs the pixel size, which the files do not give "
            "(or not all the same): set --config.data.mpp, or leave it out and give px"
        )
    return geometry.um_to_px(micrometres, mpp)


def fit(
    results: list[ImageResult],
    class_names: tuple[str, ...],
    config: EvalConfig,
    mpp: float,
) -> counting.OperatingPoint:
    """Chooses the operating point by the best F1.

    Args:
      results: of the validation images, all predictions; none gives defaults.
      class_names: names of the K classes.
      config: radius; candidates of the least distance; a fixed threshold, if any.
      mpp: micrometres per px; 0 is unknown.

    Returns:
      The point; with a fixed threshold it stands on no labels.
    """
    return counting.fit_operating_point(
        results,
        radius_px(config, mpp),
        class_names,
        min_distances_px(config, mpp),
        threshold=config.threshold,
        shared=config.shared_threshold,
        strict=config.strict,
    )


def fit_on(
    val_set: sets.EvalSet,
    method: Method,
    params: Any,
    model_state: Any,
    class_names: tuple[str, ...],
    config: EvalConfig,
    track: Track | None = None,
) -> tuple[list[ImageResult], counting.OperatingPoint]:
    """Predicts the validation images and chooses the operating point on them.

    Args:
      val_set: the validation images.
      method: predicts.
      params: parameters.
      model_state: batch statistics.
      class_names: names of the K classes.
      config: see `fit`; batch size.
      track: shows progress.

    Returns:
      All predictions, and the point.
    """
    found = predict_set(
        jit_predict(method),
        params,
        model_state,
        val_set,
        len(class_names),
        batch_size=config.batch_size,
        track=track,
    )
    return found, fit(found, class_names, config, val_set.mpp)


def to_json(fitted: counting.OperatingPoint) -> dict[str, Any]:
    """An operating point as it is stored in a checkpoint; px of the images on disk."""
    return {
        "thresholds": [float(t) for t in fitted.thresholds],
        "num_labels": [int(n) for n in fitted.num_labels],
        "min_distance": fitted.min_distance,
    }


def metrics(
    results: list[ImageResult],
    class_names: tuple[str, ...],
    config: EvalConfig,
    radius: float,
    decode: dict[str, Any],
) -> dict[str, dict[str, Any]]:
    """All metrics of a set at the stored operating point; see `metrics.report`.

    Args:
      results: thinned to the stored least distance.
      class_names: names of the K classes.
      config: overlap, protocols and resamples.
      radius: of a match, px.
      decode: from `to_json`.
    """
    return report.evaluate(
        results,
        class_names,
        radius_px=radius,
        thresholds=np.asarray(decode["thresholds"]),
        iou=config.iou,
        voc_plus_one=config.voc_plus_one,
        num_bootstrap=config.bootstrap,
        num_threshold_labels=np.asarray(decode["num_labels"]),
        protocol=config.protocol,
        strict=config.strict,
        beside=config.beside,
    )


def validator(
    config: EvalConfig,
    method: Method,
    val_set: sets.EvalSet | None,
    class_names: tuple[str, ...],
) -> Callable[[TrainState], tuple[counting.OperatingPoint, dict[str, float]]]:
    """Makes the function that the loop calls to validate a state.

    Args:
      config: radius, overlap and batch size.
      method: predicts.
      val_set: the validation images; the function must not be called without.
      class_names: names of the K classes.

    Returns:
      state -> the fitted operating point, and one score by name, by which the best
      checkpoint is known: AP11 for methods with boxes, else F1 within the radius; 0 if
      undefined.
    """

    def validate(
        state: TrainState,
    ) -> tuple[counting.OperatingPoint, dict[str, float]]:
        assert val_set is not None  # the loop asks only if there is one
        weights = state.eval_params, state.model_state
        found, fitted = fit_on(val_set, method, *weights, class_names, config)
        radius = radius_px(config, val_set.mpp)
        if not any(result.pred_boxes_yxyx is not None for result in found):
            return fitted, {f"F1@{radius:g}px": fitted.f1 or 0.0}
        thinned = results_lib.suppress(found, fitted.min_distance)
        plain = dataclasses.replace(config, bootstrap=0)
        entries = metrics(thinned, class_names, plain, radius, to_json(fitted))
        return fitted, {"AP11": float(entries["AP11"]["value"] or 0.0)}

    return validate


def seconds_per_image(
    predict: Predict,
    params: Any,
    model_state: Any,
    eval_set: sets.EvalSet,
    decode: Decode,
) -> float:
    """Median time from an image on the host to its points there, one at a time.

    Args:
      predict: from `jit_predict`; compiled before anything is timed.
      params: parameters.
      model_state: batch statistics.
      eval_set: its first images are predicted.
      decode: thresholds and least distance.

    Returns:
      Seconds.
    """
    host = jax.device_get(eval_set.images)
    seconds = []
    for turn in range(_TIMED + 1):
        row = [turn % len(host.image)]
        batch = jax.tree.map(lambda x, row=row: x[row], host)
        begin = time.perf_counter()
        jax.device_get(predict(params, model_state, batch, decode))
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds[1:]))  # the first one may compile
