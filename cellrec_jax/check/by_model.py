"""Asks a trained model for cells that have no annotation."""

from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
import os
from pathlib import Path
from typing import Any, NamedTuple

from etils import epath
import numpy as np
from scipy import spatial

from cellrec_jax import errors
from cellrec_jax.check import estimate
from cellrec_jax.check.rules import Finding, finding
from cellrec_jax.data import sets
from cellrec_jax.data.record import Source
from cellrec_jax.evaluate import fitting, predictions, saved
from cellrec_jax.metrics import matching
from cellrec_jax.metrics import results as results_lib
from cellrec_jax.metrics.results import ImageResult
from cellrec_jax.predict import predictor
from cellrec_jax.workdir import directory


class Asked(NamedTuple):
    """What a model says of a folder."""

    estimate: estimate.Estimate
    findings: list[Finding]
    """Detections without an annotation near, best first."""
    notes: tuple[str, ...]
    """What the estimate rests on."""


def ask(
    workdir: epath.Path,
    source: Source,
    image_ids: Sequence[str],
    root: str | os.PathLike[str],
    mpp: float = 0.0,
    threshold: float = 0.0,
    track: Callable[[Iterable[Any], str], Iterable[Any]] | None = None,
) -> Asked:
    """Detects cells in images of an opened folder, and counts those not annotated.

    `mpp` um per px of all images, 0 as files say; `threshold` replaces the model's, 0
    keeps it. CheckpointError for a work directory without a model, ConfigError where
    its match radius is in um and the pixel size is not known.
    """
    model = predictor.load(workdir, threshold=threshold)
    experiment = model.model.experiment
    spec = sets.evaluation_spec(experiment.data)
    spec = dataclasses.replace(spec, mpp=mpp, boxes="auto")
    split = sets.Split(source, tuple(image_ids), spec)
    scenes = predictions.scenes(split, model.frame, track)
    found, sizes = [], []
    for scene, cells in model.predict_many(scenes):
        found.append(predictions.to_result(scene.key, cells))
        sizes.append(scene.key)
    radius_px = fitting.radius_px(experiment.eval, predictions.common_mpp(sizes))
    is_same = _is_same(root, experiment.data.root)
    own, why = (None, "") if is_same else _own(workdir, model, radius_px)
    notes = [why] if why else []
    counted = found
    if is_same:
        trained = directory.trained_on(workdir)
        counted = [one for one in found if one.image_id not in trained]
        notes.append(
            "the model's test images are of this folder, so that they cannot tell its "
            "precision"
        )
        if not counted:
            counted = found
            notes.append(
                "the model was trained on these images: it finds what is annotated "
                "there best, and the share may be too low"
            )
    told = estimate.estimate(counted, radius_px, own)
    return Asked(told, unannotated(found, radius_px, model.class_names), tuple(notes))


def unannotated(
    results: Sequence[ImageResult], radius_px: float, class_names: Sequence[str]
) -> list[Finding]:
    """Detections that match no cell and have none near, best first."""
    scored = [pair for one in results for pair in _alone(one, radius_px, class_names)]
    return [one for _, one in sorted(scored, key=lambda pair: -pair[0])]


def _alone(
    result: ImageResult, radius_px: float, class_names: Sequence[str]
) -> Iterator[tuple[float, Finding]]:
    """Those of an image, with their scores."""
    pairs = matching.match_points(
        result.pred_points_yx, result.true_points_yx, radius_px
    )
    alone = ~result.pred_ignored
    alone[pairs[:, 0]] = False
    if len(result.true_points_yx):
        tree = spatial.KDTree(result.true_points_yx)
        alone &= tree.query(result.pred_points_yx)[0] > radius_px
    boxes = result.pred_boxes_yxyx
    for index in np.flatnonzero(alone).tolist():
        score = float(result.pred_scores[index])
        yield (
            score,
            finding(
                "unannotated",
                result.image_id,
                f"{class_names[result.pred_labels[index]]}, score {score:.2f}",
                result.pred_points_yx[index],
                None if boxes is None else boxes[index],
            ),
        )


def _own(
    workdir: epath.Path, model: predictor.Predictor, radius_px: float
) -> tuple[np.ndarray | None, str]:
    """The model's precision on its own test images, or why it is not known."""
    experiment, decode = model.model.experiment, model.model.meta["decode"]
    try:
        results = saved.load(workdir / "predictions" / saved.FILE).results
    except errors.DataError:
        return None, f"{workdir} holds no predictions of its test images"
    in_part = any(one.num_cells is not None for one in results)
    if in_part or experiment.data.marked_share != 1:
        return None, "the model's test images are annotated in part"
    thinned = results_lib.suppress(results, decode["min_distance"])
    kept = results_lib.above_thresholds(thinned, np.asarray(decode["thresholds"]))
    return estimate.precisions(kept, radius_px), ""


def _is_same(root: str | os.PathLike[str], trained: str) -> bool:
    """Whether a folder is the one a model was trained on."""
    if trained == "synthetic":
        return False
    places = [Path(os.path.expanduser(one)).absolute() for one in (root, trained)]
    return places[0].resolve() == places[1].resolve()
