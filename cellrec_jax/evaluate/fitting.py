"""The operating point, fitted on validation images, and the metrics at it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

from cellrec_jax import errors, geometry, hosts
from cellrec_jax.config import EvalConfig, Experiment
from cellrec_jax.data.sets import Labels, Split
from cellrec_jax.evaluate import predictions, saved
from cellrec_jax.io.console import Console
from cellrec_jax.metrics import counting, partial, report, samples
from cellrec_jax.metrics import results as results_lib
from cellrec_jax.metrics.results import ImageResult
from cellrec_jax.predict import compiled, stream
from cellrec_jax.predict.frame import Frame, Scene
from cellrec_jax.types import Method, TrainState
from cellrec_jax.workdir import model as model_lib

ALL = Labels()
"""All cells are annotated."""
_SCORES = {"f1": "F1", "lee_liu": "lee_liu", "known_share": "F1_estimated"}
"""Rule -> name of its value."""


def radius_px(config: EvalConfig, mpp: float) -> float:
    """Match radius in px on disk, `mpp` um per px (0 unknown: ConfigError if in um)."""
    if not config.radius_um:
        return config.radius_px
    return _to_px("radius", config.radius_um, mpp)


def min_distances_px(config: EvalConfig, mpp: float) -> tuple[float, ...]:
    """Least distances to try in px, with the error of `radius_px`."""
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


def rule_name(config: EvalConfig, labels: Labels) -> str:
    """What thresholds maximise, of `partial.RULES`; ConfigError without its share.

    The share of withheld labels is known only if that of all given ones is.
    """
    name = config.threshold_rule
    if name == "auto":
        if labels.share == 1 and not labels.withheld:
            return "f1"
        return "known_share" if labels.share and not labels.withheld else "lee_liu"
    if name == "known_share" and not labels.share:
        raise errors.ConfigError(
            "--config.eval.threshold_rule=known_share needs the share of the cells "
            "that is annotated: give --config.data.marked_share, or take lee_liu"
        )
    return name


def share_of(results: Sequence[ImageResult], labels: Labels) -> float:
    """Share of the cells of images that is labelled; 0 is unknown.

    Where labels were drawn it is what was drawn, of the annotations' own share.
    """
    drawn = [one for one in results if one.num_cells is not None]
    total = sum(one.num_cells or 0 for one in drawn)
    if not total:
        return labels.share
    return labels.share * sum(len(one.true_labels) for one in drawn) / total


def load(
    experiment: Experiment, split: Split, frame: Frame, console: Console
) -> tuple[Scene, ...]:
    """The images that will choose thresholds; ConfigError where they cannot."""
    labels = split.labels
    what = "withheld labels" if labels.withheld else "validation images"
    images = predictions.load(split, frame, console, what)
    if images:
        rule_name(experiment.eval, labels)
    if images and labels.withheld:
        keys = [scene.key for scene in images]
        number = sum(len(key.labels) - predictions.num_ignored(key) for key in keys)
        for line in _withheld_lines(experiment, number):
            console.line(line)
    return images


def _withheld_lines(experiment: Experiment, number: int) -> Iterator[str]:
    share = f"--config.data.threshold_share={experiment.data.threshold_share}"
    if not number:
        raise errors.ConfigError(
            f"{share}: no training image has labels enough to withhold one: raise it"
        )
    config, side = experiment.eval, experiment.data.box_size
    chosen, least = "", counting.LEAST_LABELS
    if not config.threshold:
        chosen = ": they choose the threshold"
    if not config.threshold and number < least:
        chosen = (
            f", too few to choose a threshold ({least} are needed): it will be the "
            f"default, {counting.DEFAULT_THRESHOLD:g}, until you raise {share}"
        )
    yield f"{number} labels of training images are withheld{chosen}"
    if not config.radius_um and 2 * config.radius_px > side:
        yield (
            f"warning: {share}: cells match within {config.radius_px:g} px, but only "
            f"{side / 2:g} px around withheld labels are ignored in training: set "
            f"--config.data.box_size={2 * config.radius_px:g}"
        )


def fit(
    results: list[ImageResult],
    class_names: tuple[str, ...],
    config: EvalConfig,
    mpp: float,
    ratios: Sequence[float] = (),
    labels: Labels = ALL,
) -> counting.OperatingPoint:
    """Chooses thresholds by the rule for such labels; defaults without results.

    `ratios` are px of the training images, in which distances are kept, per px of each.
    """
    labels = labels._replace(share=share_of(results, labels))
    name, radius = rule_name(config, labels), radius_px(config, mpp)
    rule = partial.rule_of(name, labels.share)
    fitted = counting.fit_operating_point(
        results,
        radius,
        class_names,
        min_distances_px(config, mpp),
        threshold=config.threshold,
        shared=config.shared_threshold,
        strict=config.strict,
        ratios=ratios,
        rule=rule,
    )
    fitted = fitted._replace(rule=name, withheld=labels.withheld)
    if fitted.scope not in ("own", "shared"):
        return fitted
    intervals = partial.threshold_intervals(
        results_lib.suppress(results, fitted.min_distance, ratios),
        radius,
        len(class_names),
        rule,
        shared=fitted.scope == "shared",
        strict=config.strict,
        by_image=name == "f1",
    )
    return fitted._replace(intervals=intervals)


def fit_on(
    images: Sequence[Scene],
    network: stream.Network,
    class_names: tuple[str, ...],
    config: EvalConfig,
    labels: Labels = ALL,
) -> tuple[list[ImageResult], counting.OperatingPoint]:
    """Predicts the images that choose and fits the operating point on them.

    Where they are seen in several views, one of images that are seen once, too.
    """
    found = saved.gather(predictions.predict_set(network, hosts.own(images)))
    mpp = predictions.common_mpp(scene.key for scene in images)
    ratios = [scene.ratio for scene in images]
    fitted = fit(found, class_names, config, mpp, ratios, labels)
    if any(scene.looks for scene in images):
        plain = [scene._replace(looks=()) for scene in images]
        _, once = fit_on(plain, network, class_names, config, labels)
        fitted = fitted._replace(once=once)
    return found, fitted


def to_json(fitted: counting.OperatingPoint) -> dict[str, Any]:
    """An operating point as it is stored in a checkpoint; px of the images on disk."""
    between = fitted.intervals
    if between is None:
        between = np.full((len(fitted.thresholds), 2), np.nan)
    once = {} if fitted.once is None else {"once": to_json(fitted.once)}
    return {
        **once,
        "thresholds": [float(t) for t in fitted.thresholds],
        "intervals": [[samples.number(end) for end in ends] for ends in between],
        "num_labels": [int(n) for n in fitted.num_labels],
        "scope": fitted.scope,
        "rule": fitted.rule,
        "withheld": fitted.withheld,
        "min_distance": fitted.min_distance,
    }


def num_chosen(decode: Mapping[str, Any]) -> np.ndarray:
    """Labels that chose each threshold of `to_json`, int64 [K]; 0: the default.

    Of versions that had no "scope", all labels that there were did.
    """
    num_labels = np.asarray(decode["num_labels"], np.int64)
    if decode.get("scope") == "shared":
        return np.full_like(num_labels, num_labels.sum())
    return num_labels * (decode.get("scope") != "default")


def metrics(
    results: list[ImageResult],
    class_names: tuple[str, ...],
    config: EvalConfig,
    radius: float,
    decode: dict[str, Any],
) -> dict[str, dict[str, Any]]:
    """All metrics of a set at the stored operating point; see `metrics.report`.

    `results` are thinned to its least distance, `radius` is in px, `decode` of
    `to_json`.
    """
    return report.evaluate(
        results,
        class_names,
        radius_px=radius,
        thresholds=np.asarray(decode["thresholds"]),
        iou=config.iou,
        voc_plus_one=config.voc_plus_one,
        num_bootstrap=config.bootstrap,
        num_threshold_labels=num_chosen(decode),
        protocol=config.protocol,
        strict=config.strict,
        beside=config.beside,
        empty_is_one=config.empty_is_one,
    )


def validator(
    experiment: Experiment,
    method: Method,
    images: Sequence[Scene],
    split: Split,
) -> Callable[[TrainState], tuple[counting.OperatingPoint, dict[str, float]]]:
    """Makes the loop's validation: the fitted operating point and one score by name.

    Of the `images` of a split, see `load`.
    The best checkpoint has most AP11 with boxes, else F1 within the radius, or, where
    labels are a part of the cells, most of what thresholds maximise; 0 undefined.
    """
    config, class_names = experiment.eval, split.source.class_names
    predict = compiled.jit_predict(method, len(class_names))
    mpp = predictions.common_mpp(scene.key for scene in images)

    def validate(state: TrainState) -> tuple[counting.OperatingPoint, dict[str, float]]:
        read = model_lib.read_by_predict(method, state.params, state.model_state)
        params, model_state = read
        network = stream.Network(predict, params, model_state, experiment.predict.batch)
        found, fitted = fit_on(images, network, class_names, config, split.labels)
        radius = radius_px(config, mpp)
        boxes = any(result.pred_boxes_yxyx is not None for result in found)
        if fitted.rule != "f1" or not boxes:
            return fitted, {f"{_SCORES[fitted.rule]}@{radius:g}px": fitted.value or 0.0}
        ratios = [scene.ratio for scene in images]
        thinned = results_lib.suppress(found, fitted.min_distance, ratios)
        plain = dataclasses.replace(config, bootstrap=0)
        entries = metrics(thinned, class_names, plain, radius, to_json(fitted))
        return fitted, {"AP11": float(entries["AP11"]["value"] or 0.0)}

    return validate
