"""Predicts annotated fields with the model of some results, to measure its mistakes."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from etils import epath

from cellrec_jax import errors
from cellrec_jax.config import Experiment
from cellrec_jax.data import sets
from cellrec_jax.data.record import Record, Source
from cellrec_jax.evaluate import fitting, predictions
from cellrec_jax.evaluate import workdir as evaluation
from cellrec_jax.io.console import Console
from cellrec_jax.predict import provenance
from cellrec_jax.score import correct, units
from cellrec_jax.score.correct import Mistakes
from cellrec_jax.workdir import directory, image_files
from cellrec_jax.workdir import model as model_lib


def measure(
    workdir: epath.Path,
    experiment: Experiment,
    used: Mapping[str, Any],
    console: Console,
    *,
    is_scaled: bool = False,
    mpp: float = 0.0,
) -> tuple[Mistakes, tuple[str, ...]]:
    """What a model gets wrong in the annotated images of a folder, and its classes.

    Args:
      workdir: of the model that made the results.
      experiment: its configuration, with the folder as `data.root`.
      used: settings of the results' predict.json; empty where they are not known.
      console: tells what was repaired, and how many cells there are.
      is_scaled: whether the pixel size of the results is known, so that they were
        predicted at that of the training where this one is known, too.
      mpp: um per px of fields whose files do not say it; 0 is unknown.

    Raises:
      ConfigError: another model made the results, or the fields are of its training,
        annotated in part, or of a pixel size that is not known.
      DataError: other classes, or too few cells (`correct.refuse`).
    """
    if experiment.data.marked_share != 1:
        raise errors.ConfigError(
            f"--config.data.marked_share={experiment.data.marked_share:g}: --calibrate "
            "needs fields of which all cells are annotated"
        )
    model = at_settings(model_lib.restore(workdir), used)
    split = sets.open_for_evaluation(experiment.data, experiment.seed, whole=True)
    trained_on, own = (
        epath.Path(one.data.root).expanduser().absolute()
        for one in (model.experiment, experiment)
    )
    if own == trained_on:
        directory.refuse_training_images(workdir, split.image_ids)
    copied = image_files.copies(workdir, directory.trained_on(workdir), split)
    if copied:
        raise errors.ConfigError(
            f"{experiment.data.root}: {len(copied)} of these images trained this run "
            f"({', '.join(copied[:3])}), their files are the same; name others by "
            "--config.data.test_ids"
        )
    evaluation.check_classes(model, split)
    own_eval = model.experiment.eval
    config = dataclasses.replace(
        experiment.eval, views=own_eval.views, view_scales=own_eval.view_scales
    )
    predictor, frame = evaluation.ready(model, config, split, experiment.predict.batch)
    split = split._replace(source=_of_unknown(split.source, mpp))
    scenes = predictions.scenes(split, frame, console.track, "annotated fields")
    results, seen, sizes_hw = [], [], []
    for scene, found in predictor.predict_many(scenes):
        results.append(predictions.to_result(scene.key, found))
        seen.append(predictions.seen(scene))
        sizes_hw.append(scene.native_hw)
    if is_scaled and model.meta["mpp"] and not all(one.mpp for one in seen):
        raise errors.ConfigError(
            f"{experiment.data.root}: the pixel size of these fields is not known, "
            "that of the results and of the training is: give --config.data.mpp=UM"
        )
    radius_px = fitting.radius_px(config, predictions.common_mpp(seen))
    for line in (
        *predictions.dropped_lines(predictions.dropped(split), results),
        *predictions.radius_lines(results, radius_px),
    ):
        console.line(f"annotated fields: {line}")
    mistakes = correct.measure(
        results,
        sizes_hw,
        len(model.class_names),
        radius_px,
        protocol=config.protocol,
        strict=config.strict,
    )
    correct.refuse(mistakes, model.class_names)
    return mistakes, model.class_names


def _of_unknown(source: Source, mpp: float) -> Source:
    """The set with a pixel size of images that do not say it."""

    def load(image_id: str) -> Record:
        record = source.load(image_id)
        return dataclasses.replace(record, mpp=record.mpp or mpp)

    return dataclasses.replace(source, load=load)


def at_settings(model: model_lib.Model, used: Mapping[str, Any]) -> model_lib.Model:
    """The model at the thresholds of results; ConfigError if another one made them."""
    if not used:
        return model
    own = provenance.of_model(model)
    if used.get("weights") != own["weights"]:
        raise errors.ConfigError(
            f"--workdir {model.workdir}: another model made the results (weights "
            f"{used.get('weights')} there, {own['weights']} here): give its work "
            "directory"
        )
    before = used.get("mpp_trained", own["mpp_trained"])
    if before != own["mpp_trained"]:
        raise errors.ConfigError(
            f"--workdir {model.workdir}: its pixel size was {before:g} um when the "
            f"results were made and is {own['mpp_trained']:g} now: predict again"
        )
    cuts = [float(used["thresholds"][name]) for name in model.class_names]
    distance = used.get("min_distance_px", own["min_distance_px"])
    if "views" not in used:  # slides, or quick results
        model = model.once()
    decode = {**model.meta["decode"], "thresholds": cuts, "min_distance": distance}
    return dataclasses.replace(model, meta={**model.meta, "decode": decode})


def lines(mistakes: Mistakes, class_names: Sequence[str]) -> list[str]:
    """What was found of the annotated cells of each class, in words."""
    total = mistakes.counts.sum(axis=0)
    found = [f"{mistakes.num_fields} annotated fields; {mistakes.what} are drawn again"]
    for row, name in zip(total, class_names, strict=False):
        parts = [
            f"{share:.1%} found as {other}"
            for share, other in zip(row[:-1] / row.sum(), class_names, strict=True)
        ]
        missed = f"{row[-1] / row.sum():.1%} missed"
        found.append(
            f"of {row.sum():.0f} cells of {name} {', '.join([*parts, missed])}"
        )
    false = [
        f"{number / max(detected, 1):.1%} of {detected:.0f} detections of {name}"
        for name, number, detected in zip(
            class_names, total[-1], total[:, :-1].sum(axis=0), strict=False
        )
    ]
    found.append(f"at no cell are {', '.join(false)}")
    if mistakes.num_fields < units.LEAST_IMAGES:
        found.append(
            f"warning: {mistakes.num_fields} fields do not tell how fields differ: the "
            f"corrected intervals may be too narrow; annotate {units.LEAST_IMAGES} or "
            "more"
        )
    return found
