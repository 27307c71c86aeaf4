"""Rounds of pseudo labels, read from top to bottom.

Round t trains the detector on `labels/round_t.json`; its peaks on the training images
give `labels/round_t+1.json` (`relabel`). What is on disk (`round_files`) decides where
a repeated command goes on: at the latest labels, and inside a round at its detector's
last checkpoint.

Source: Fujii et al., Cell Detection from Imperfect Annotation by Pseudo Label Selection
Using P-classification, MICCAI 2021.
"""

from collections.abc import Mapping
import dataclasses
from pathlib import Path
import time

import jax
import numpy as np

from cellrec_jax import validate
from cellrec_jax.config import Experiment, RefineConfig
from cellrec_jax.data import sets
from cellrec_jax.io import round_labels
from cellrec_jax.io.round_labels import ImageLabels
from cellrec_jax.nn import patch_net
from cellrec_jax.train import (
    interrupt,
    loop,
    relabel,
    round_classifier,
    round_detector,
    round_files,
    round_report,
)
from cellrec_jax.train import model as model_lib
from cellrec_jax.train.console import Console
from cellrec_jax.train.round_files import RoundFiles
from cellrec_jax.types import Method


def wanted(experiment: Experiment) -> bool:
    """Whether a configuration trains in rounds, or needs a classifier of peaks."""
    return experiment.refine.rounds > 0 or bool(experiment.model.get("classifier"))


def train(
    experiment: Experiment,
    workdir: Path,
    data: sets.Sets,
    console: Console,
    init_from: Path | None = None,
) -> loop.Outcome:
    """Trains all rounds; the last one's detector becomes the work directory's.

    Args:
      experiment: what to train, with `refine`.
      workdir: exists.
      data: from `sets.open_sets`.
      console: shows progress.
      init_from: work directory whose weights each round's detectors start from (with
        `warm_start` those of the first one).

    Returns:
      The last round's outcome, with the seconds of all stages.

    Raises:
      ConfigError, DataError, CheckpointError, RunError: as `loop.train`, and for label
        files that cannot be used.
    """
    # 1. What is asked for, the images, and the given labels.
    method = check(experiment)
    config = _classifier_config(experiment)
    images = _load(data, console)
    files = RoundFiles(workdir, _sizes(images.train))
    if not files.labels_path(0).exists():
        given = round_files.given_labels(data.train, images.train)
        files.write_labels(0, given)

    # 2. Rounds, from the latest labels on.
    for number in range(files.latest(config.rounds), config.rounds + 1):
        labels = files.read_labels(number)
        console.line(round_report.label_line(number, config.rounds, labels))
        trained = round_detector.train_round(
            experiment, method, files, images, labels, number, console, init_from
        )
        if isinstance(trained, loop.Outcome):
            return trained  # interrupted
        found = trained
        judged = following = None
        last = number == config.rounds
        if not last or experiment.model.get("classifier"):
            try:
                judged = relabel.judge(
                    found.candidates,
                    labels,
                    images.train,
                    config,
                    experiment.seed,
                    files.classifier(number),
                    experiment.checkpoint,
                    console,
                )
            except interrupt.Interrupted as stop:
                return dataclasses.replace(found.outcome, exit_code=stop.exit_code)
            found = found._replace(
                model=round_detector.with_classifier(found.model, judged)
            )
        if judged is not None and not last:
            following = relabel.relabel(
                judged, labels, images.train, config, number + 1
            )
        _report(experiment, files, images, labels, found, judged, following, console)
        if following is None or _is_same(labels, following.labels):
            break
        files.write_labels(number + 1, following.labels)
        round_classifier.forget(files.classifier(number))
        if config.pause:
            console.line(
                f"edit {files.labels_path(number + 1)} if you like, then repeat the "
                "command to go on"
            )
            return dataclasses.replace(found.outcome, paused=True)
    if following is not None:
        console.line(f"nothing new was selected: round {number} is the last one")

    # 3. The last detector is the run's.
    num_cells = int(np.sum(images.train.images.points_mask))
    outcome = round_detector.publish(experiment, files, found, num_cells)
    round_classifier.forget(files.classifier(found.number))
    return outcome


def check(experiment: Experiment) -> Method:
    """Builds the method; refuses what rounds cannot do (ConfigError)."""
    config, form = experiment.refine, experiment.loss.get("form")
    method = model_lib.build_method(experiment, 1)
    validate.require(
        method.candidates is not None,
        f"refine.rounds={config.rounds}: method={experiment.method} has no rounds of "
        "pseudo labels; set it to 0, or use a configuration of method heatmap_pu",
    )
    validate.require(
        not config.rounds or form == "masked",
        f"refine.rounds={config.rounds} needs --config.loss.form=masked: {form} makes "
        "use of all that is not labelled by itself",
    )
    _check_patches(experiment)
    validate.require(
        jax.process_count() == 1,
        "refine.rounds: rounds run on the devices of one process; start only one",
    )
    return method


def _check_patches(experiment: Experiment) -> None:
    """Refuses patches that cannot be cut or read."""
    judging, size_hw = _classifier_config(experiment), experiment.data.size_hw
    patch_px, step = judging.patch_px, judging.patch_step
    in_model = bool(experiment.model.get("classifier"))
    for key in ("patch_step", "patch_border", "patch_values") if in_model else ():
        value, default = getattr(judging, key), getattr(RefineConfig, key)
        validate.require(
            value == default,
            f"refine.{key}={value}: a classifier of the model's own reads patches as "
            f"the paper's code; leave it at {default}",
        )
    validate.require(
        patch_px % step == 0,
        f"refine.patch_step={step}: refine.patch_px={patch_px} must be a multiple of "
        f"it, such as {max(patch_px // step, patch_net.MIN_SIDE_PX) * step}",
    )
    validate.require(
        patch_px // step >= patch_net.MIN_SIDE_PX and patch_px <= min(size_hw),
        f"{'model' if in_model else 'refine'}.patch_px={patch_px}: the classifier of "
        f"patches needs at least {patch_net.MIN_SIDE_PX * step}, and a patch must fit "
        f"into data.size_hw={size_hw[0]},{size_hw[1]}",
    )


def _classifier_config(experiment: Experiment) -> RefineConfig:
    """Options of rounds; a classifier of the model's own sets its network."""
    model = experiment.model
    if not model.get("classifier"):
        return experiment.refine
    return dataclasses.replace(
        experiment.refine, network=model["classifier"], patch_px=model["patch_px"]
    )


def _load(data: sets.Sets, console: Console) -> round_detector.Images:
    everything = data.train._replace(spec=data.val.spec)
    train_set = sets.load_eval(everything, console.track)
    assert train_set is not None  # `open_sets` refuses sets without training images
    split = data.test if data.test.image_ids else data.val
    return round_detector.Images(data, train_set, sets.load_eval(split, console.track))


def _sizes(eval_set: sets.EvalSet) -> dict[str, tuple[int, int]]:
    rows = zip(eval_set.image_ids, eval_set.native_hw.tolist(), strict=True)
    return {image_id: (height, width) for image_id, (height, width) in rows}


def _is_same(
    before: Mapping[str, ImageLabels], after: Mapping[str, ImageLabels]
) -> bool:
    changed = round_labels.difference(before, after)
    return not (changed.added or changed.removed)


def _report(
    experiment: Experiment,
    files: RoundFiles,
    images: round_detector.Images,
    labels: Mapping[str, ImageLabels],
    found: round_detector.Detector,
    judged: relabel.Judged | None,
    following: relabel.Relabeled | None,
    console: Console,
) -> None:
    """Measures the round, draws, writes and prints what it found."""
    begin = time.monotonic()
    summary = round_report.summarize(
        found.number,
        labels,
        found.candidates,
        judged,
        following,
        images.train,
        experiment.refine.match_px,
    )
    summary["seed"] = found.model.experiment.seed
    summary["notes"] = [*found.notes, *summary["notes"]]
    for name, eval_set in (("train", images.train), ("test", images.test)):
        if eval_set is not None:
            summary[name] = round_report.measure(found.model, eval_set, experiment.eval)
    seconds = dict(found.seconds)
    for part in (judged, following):
        seconds |= part.seconds if part is not None else {}
    if judged is not None and following is not None:
        round_report.draw(
            files, found.number, judged, following, images.train, images.data.train
        )
    seconds["measure_s"] = time.monotonic() - begin  # and drawing
    summary["seconds"] = {name: round(value, 2) for name, value in seconds.items()}
    files.write_summary(found.number, summary)
    for line in round_report.lines(summary):
        console.line(line)
    round_report.draw_rounds(files, files.read_summaries())
