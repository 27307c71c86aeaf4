"""The detector of a round of pseudo labels: trained, chosen, made the run's own.

Source: Fujii et al., Cell Detection from Imperfect Annotation by Pseudo Label Selection
Using P-classification, MICCAI 2021, and its code, which trains five and keeps one.
"""

from collections.abc import Mapping
import dataclasses
import time
from typing import NamedTuple

from etils import epath
import numpy as np

from cellrec_jax import config as config_lib
from cellrec_jax import errors, hosts
from cellrec_jax.config import Experiment
from cellrec_jax.data import sets
from cellrec_jax.io import atomic
from cellrec_jax.io.console import Console
from cellrec_jax.rounds import candidates as pseudo_candidates
from cellrec_jax.rounds import labels as round_labels
from cellrec_jax.rounds import relabel
from cellrec_jax.rounds.candidates import Candidates
from cellrec_jax.rounds.files import RoundFiles
from cellrec_jax.rounds.labels import ImageLabels
from cellrec_jax.rounds.remaining import Held
from cellrec_jax.train import loop
from cellrec_jax.train import start as start_lib
from cellrec_jax.train import step as step_lib
from cellrec_jax.types import Method
from cellrec_jax.workdir import checkpoint
from cellrec_jax.workdir import model as model_lib


class Images(NamedTuple):
    """What the rounds look at."""

    data: sets.Sets
    train: sets.EvalSet
    """The training images with all their annotations; only measures use these."""
    measured: Mapping[str, sets.Split]
    """Images that each round is measured on, by name."""
    held: Held | None = None
    """Labels of the training images that training does not see, if there are any."""


class Job(NamedTuple):
    """What all rounds of a run share."""

    experiment: Experiment
    method: Method
    files: RoundFiles
    images: Images
    console: Console
    init_from: epath.Path | None
    """Work directory whose weights detectors start from, but those of later rounds
    under `warm_start`."""


class Detector(NamedTuple):
    """The chosen detector of a round."""

    number: int
    """Of the round."""
    outcome: loop.Outcome
    model: model_lib.Model
    candidates: Candidates
    """Its peaks on the training images, px of the network's images."""
    seconds: dict[str, float]
    notes: tuple[str, ...]
    """What did not go as planned."""


def train_round(
    job: Job, labels: Mapping[str, ImageLabels], number: int
) -> Detector | loop.Outcome:
    """Trains a round's detectors, keeps the one with most peaks and writes these.

    `labels` in px of the images on disk. Returns an interrupted training's outcome.
    """
    experiment, method, files, images, console, init_from = job
    config = experiment.options.refine
    train_split = relabel.with_labels(images.data.train, labels)
    data = images.data._replace(train=train_split, notes=())  # `refine` told them
    if number:
        init_from = started_from(files, init_from)
    before = _chosen(files, number - 1) if config.warm_start and number else None
    best: Detector | None = None
    seconds = {"detector_s": 0.0, "peaks_s": 0.0}
    # No two runs of a table share a detector.
    first = experiment.seed * config.seeds_per_round
    steps = experiment.total_steps
    if number < config.rounds:
        steps = max(round(config.first_share * steps), 1)
    for seed in range(first, first + config.seeds_per_round):
        own = dataclasses.replace(experiment, seed=seed, total_steps=steps)
        folder = files.detector(number, seed)
        start = before or init_from
        if before and checkpoint.complete_steps(folder):
            start = None  # it goes on, and the work directory may have been moved
        outcome = loop.train(own, method, folder, data, console, start)
        if outcome.exit_code:
            return outcome
        model = _model_of(own, method, outcome)
        begin = time.monotonic()
        peaks = relabel.find_candidates(model, images.train, config.candidate_threshold)
        seconds["detector_s"] += outcome.timing["seconds"]
        seconds["peaks_s"] += time.monotonic() - begin
        if best is None or len(peaks.image) > len(best.candidates.image):
            notes = _notes(peaks, own.options.model.max_detections)
            best = Detector(number, outcome, model, peaks, seconds, notes)
    assert best is not None  # there is at least one seed
    candidates = best.candidates
    earlier = files.read_candidates(number - 1) if number else None
    if config.carry_over and earlier is not None:
        candidates = pseudo_candidates.carry_over(candidates, earlier, config.match_px)
    files.write_candidates(number, candidates)
    return best._replace(candidates=candidates)


def forget_others(files: RoundFiles, found: Detector) -> None:
    """Deletes a round's unchosen checkpoints, once the next one's labels are there."""
    chosen = files.detector(found.number, found.model.experiment.seed)
    for folder in chosen.parent.iterdir():
        if folder.name.startswith("seed_") and folder != chosen:
            checkpoint.forget(folder)


def _notes(peaks: Candidates, slots: int) -> tuple[str, ...]:
    """Tells of training images with more peaks than a detector keeps."""
    counts = np.bincount(peaks.image)
    full = int((counts >= slots).sum())
    if not full:
        return ()
    return (
        f"{full} training images have {slots} peaks, as many as are kept: lower ones "
        "cannot become labels; raise model.max_detections to have them",
    )


def started_from(files: RoundFiles, init_from: epath.Path | None) -> epath.Path | None:
    """The weights that all detectors start from; ConfigError if asked for others."""
    meta = checkpoint.latest_meta(_chosen(files, 0))
    start_lib.check(init_from, meta)
    return start_lib.recalled(meta["init_from"])


def _chosen(files: RoundFiles, number: int) -> epath.Path:
    """Work directory of the detector that a round kept."""
    return files.detector(number, files.read_summaries()[number]["seed"])


def _model_of(
    experiment: Experiment, method: Method, outcome: loop.Outcome
) -> model_lib.Model:
    state = outcome.state.evaluated
    return model_lib.Model(
        experiment,
        method,
        state.params,
        state.model_state,
        outcome.meta,
        int(state.step),
    )


def with_classifier(model: model_lib.Model, judged: relabel.Judged) -> model_lib.Model:
    """The model with the classifier if it asks one; DataError if there is none."""
    if "classifier" not in model.params:
        return model
    if judged.classifier is None:
        raise errors.DataError(
            f"{'; '.join(judged.notes)}; label more cells, raise "
            "--config.refine.match_px, or let the heat map decide "
            "(--config.model.classifier=)"
        )
    params = {**model.params, "classifier": judged.classifier}
    return dataclasses.replace(model, params=params)


def publish(job: Job, found: Detector) -> loop.Outcome:
    """Saves the last round's detector as the run's own, and adds up all seconds."""
    experiment, files = job.experiment, job.files
    outcome, workdir = found.outcome, files.workdir
    own = files.detector(found.number, found.model.experiment.seed)
    if hosts.is_first():
        rows = (own / "metrics.jsonl").read_bytes()
        atomic.write_bytes(workdir / "metrics.jsonl", rows)
    given = [image.origins for image in files.read_labels(0).values()]
    meta = {
        **outcome.meta,
        "config": config_lib.to_json(experiment),
        "init_from": start_lib.remembered(started_from(files, None)),
        "cells_kept": sum(origins.count(round_labels.GIVEN) for origins in given),
        "cells_total": int(np.sum(job.images.train.images.points_mask)),
    }
    state = outcome.state.replace(
        params=found.model.params, model_state=found.model.model_state
    )
    if state.ema_params:
        state = step_lib.begin_averages(state)
    manager = checkpoint.open_manager(workdir, experiment.checkpoint)
    for step in manager.all_steps():  # of fewer rounds
        manager.delete(step)
    try:
        checkpoint.save(manager, state, meta)
        manager.wait_until_finished()
    except errors.RunError as error:
        raise errors.RunError(
            f"{error}; this detector's are in {own}: repeat the command to try again"
        ) from error
    finally:
        manager.close()
    rounds = [summary["seconds"] for summary in files.read_summaries()]
    total = {
        name: round(sum(one.get(name, 0.0) for one in rounds), 2)
        for name in dict.fromkeys(name for one in rounds for name in one)
    }
    timing = {**outcome.timing, **total, "seconds": round(sum(total.values()), 2)}
    return dataclasses.replace(outcome, state=state, meta=meta, timing=timing)
