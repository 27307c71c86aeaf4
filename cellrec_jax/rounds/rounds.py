"""Rounds of pseudo labels, read from top to bottom.

Round t trains the detector on `labels/round_t.json`; its peaks on the training images
give `labels/round_t+1.json` (`relabel`). A repeated command goes on at the latest
labels (`round_files`), inside a round at its detector's last checkpoint.

Source: Fujii et al., Cell Detection from Imperfect Annotation by Pseudo Label Selection
Using P-classification, MICCAI 2021.
"""

from collections.abc import Mapping
import dataclasses
import time
from typing import Any

from etils import epath
import numpy as np

from cellrec_jax import hosts
from cellrec_jax.config import Experiment, limits
from cellrec_jax.data import sets
from cellrec_jax.evaluate import fitting
from cellrec_jax.io.console import Console
from cellrec_jax.rounds import detector as round_detector
from cellrec_jax.rounds import figures as round_figures
from cellrec_jax.rounds import files as round_files
from cellrec_jax.rounds import labels as round_labels
from cellrec_jax.rounds import relabel
from cellrec_jax.rounds import remaining as round_remaining
from cellrec_jax.rounds import report as round_report
from cellrec_jax.rounds.detector import Job
from cellrec_jax.rounds.files import RoundFiles
from cellrec_jax.rounds.labels import ImageLabels
from cellrec_jax.rounds.remaining import Held
from cellrec_jax.train import loop
from cellrec_jax.types import Method
from cellrec_jax.workdir import checkpoint, interrupt


def train(
    experiment: Experiment,
    method: Method,
    workdir: epath.Path,
    data: sets.Sets,
    console: Console,
    init_from: epath.Path | None = None,
) -> loop.Outcome:
    """Trains all rounds; the last one's detector becomes the work directory's.

    As `loop.train`, errors too, also for unusable label files; detectors start from
    `init_from` (with `warm_start` the first round's). Outcome with all stages' seconds.
    The caller has called `check` and `files.refuse_edits`.
    """
    # 1. The images, and the given labels.
    config = experiment.options.refine
    images = _load(data, console)
    round_remaining.check(config.stop_below, images.held)
    _check_threshold(experiment, data)
    repaired = sets.repair_lines(data.train.source.repairs)
    for line in (*data.notes, *repaired, *_blank_lines(images.train)):
        console.line(line)
    files = RoundFiles(workdir, _sizes(images.train))
    if hosts.most(not files.labels_path(0).exists()):
        given = round_files.given_labels(data.train, images.train)
        files.write_labels(0, given)
    if images.held is not None:
        held = _with_share(images.held, experiment, images, files.read_labels(0))
        images = images._replace(held=held)
    job = Job(experiment, method, files, images, console, init_from)

    # 2. Rounds, from the latest labels on.
    for number in range(files.latest(config.rounds), config.rounds + 1):
        labels = files.read_labels(number)
        console.line(round_report.label_line(number, config.rounds, labels))
        done = _train_round(job, labels, number)
        if isinstance(done, loop.Outcome):
            return done  # interrupted
        found, following = done
        if following is None or hosts.most(_is_same(labels, following.labels)):
            break
        files.write_labels(number + 1, following.labels)
        checkpoint.forget(files.classifier(number))
        round_detector.forget_others(files, found)
        if config.pause:
            console.line(
                f"edit {files.labels_path(number + 1)} if you like, then repeat the "
                "command to go on"
            )
            return dataclasses.replace(found.outcome, paused=True)
    if following is not None:
        console.line(f"nothing new was selected: round {number} is the last one")

    # 3. The last detector is the run's.
    outcome = round_detector.publish(job, found)
    checkpoint.forget(files.classifier(found.number))
    return outcome


def _train_round(
    job: Job, labels: Mapping[str, ImageLabels], number: int
) -> tuple[round_detector.Detector, relabel.Relabeled | None] | loop.Outcome:
    """Trains a round's detector and selects the next labels; the outcome at an end."""
    experiment, config = job.experiment, job.experiment.options.judging
    found = round_detector.train_round(job, labels, number)
    if isinstance(found, loop.Outcome):
        return found
    judged = following = None
    last = number == config.rounds
    if not last or "classifier" in found.model.params:
        try:
            judged = relabel.judge(
                found.candidates,
                labels,
                job.images.train,
                config,
                experiment.seed,
                job.files.classifier(number),
                experiment.checkpoint,
                job.console,
            )
        except interrupt.Interrupted as stop:
            return dataclasses.replace(found.outcome, exit_code=stop.exit_code)
        model = round_detector.with_classifier(found.model, judged)
        found = found._replace(model=model)
    if judged is not None and not last:
        held = job.images.held
        if held is not None:
            earlier = round_remaining.earlier(job.files.read_summaries()[:number])
            held = held._replace(earlier=earlier)
        following = relabel.relabel(
            judged,
            labels,
            job.images.train,
            config,
            number + 1,
            held,
            found.model.once().meta["decode"]["thresholds"][0],
        )
    _report(job, labels, found, judged, following)
    return found, following


def check(experiment: Experiment) -> None:
    """Refuses what rounds cannot do (ConfigError)."""
    judging, size_hw = experiment.options.judging, experiment.data.size_hw
    section = "refine" if judging is experiment.options.refine else "model"
    limits.require(
        judging.patch_px <= min(size_hw) or judging.rank == "score",
        f"{section}.patch_px={judging.patch_px}: a patch must fit into "
        f"data.size_hw={size_hw[0]},{size_hw[1]}",
    )


def _check_threshold(experiment: Experiment, data: sets.Sets) -> None:
    """Refuses rounds by a threshold that nothing chooses (ConfigError)."""
    config = experiment.options.refine
    limits.require(
        not config.rounds
        or config.take != "threshold"
        or bool(data.fitting.image_ids or experiment.eval.threshold),
        "refine.take=threshold: no image chooses the threshold: withhold labels by "
        "--config.data.threshold_share=0.5, have validation images, or give "
        "--config.eval.threshold",
    )


def _load(data: sets.Sets, console: Console) -> round_detector.Images:
    everything = data.train._replace(spec=data.val.spec)
    train_set = sets.load_eval(everything, console.track)
    assert train_set is not None  # `open_sets` refuses sets without training images
    held = None
    if data.withheld is not None:
        own = sets.load_eval(data.withheld, console.track)
        assert own is not None
        # Their places are ignored in training: peaks there are looked for as elsewhere.
        seen = train_set.images._replace(valid=own.images.valid)
        train_set = train_set._replace(images=seen)
        pairs = zip(own.images.points_yx, own.images.points_mask, strict=True)
        held = Held([np.asarray(points)[np.asarray(mask)] for points, mask in pairs])
    test = data.test if data.test.image_ids else data.val
    measured = {"train": everything, "test": test}
    return round_detector.Images(
        data, train_set, {name: s for name, s in measured.items() if s.image_ids}, held
    )


def _threshold_notes(decode: Mapping[str, Any]) -> list[str]:
    """Tells where too few labels chose the threshold that says how many are taken."""
    if decode["scope"] != "default":
        return []
    return [
        f"too few labels chose the threshold: at the default of "
        f"{decode['thresholds'][0]:g} few are taken; have more validation images, or "
        "raise --config.data.threshold_share"
    ]


def _with_share(
    held: Held,
    experiment: Experiment,
    images: round_detector.Images,
    given: Mapping[str, ImageLabels],
) -> Held:
    """With the cells that a label stands for, if the share of all labels is known."""
    assert images.data.withheld is not None  # they are `held`
    labels = images.data.withheld.labels
    if fitting.rule_name(experiment.eval, labels) != "known_share":
        return held
    cells = int(np.sum(images.train.images.points_mask)) / labels.share
    trained = sum(one.origins.count(round_labels.GIVEN) for one in given.values())
    number = sum(map(len, held.points_yx))
    return held._replace(cells_each=max(1.0, (cells - trained) / max(number, 1)))


def _blank_lines(eval_set: sets.EvalSet) -> tuple[str, ...]:
    """Warns of training images that show nothing."""
    pairs = zip(eval_set.images.image, eval_set.images.valid, strict=True)
    seen = [np.asarray(image)[np.asarray(valid)] for image, valid in pairs]
    blank = [
        image_id
        for image_id, values in zip(eval_set.image_ids, seen, strict=True)
        if not len(values) or (values == values[0]).all()
    ]
    if not blank:
        return ()
    return (
        f"warning: {len(blank)} of {len(eval_set.image_ids)} training images (such as "
        f"{blank[0]}) have one value everywhere; what is found there is no cell: leave "
        "them out by --config.data.train_ids",
    )


def _sizes(eval_set: sets.EvalSet) -> dict[str, tuple[int, int]]:
    rows = zip(eval_set.image_ids, eval_set.native_hw.tolist(), strict=True)
    return {image_id: (height, width) for image_id, (height, width) in rows}


def _is_same(
    before: Mapping[str, ImageLabels], after: Mapping[str, ImageLabels]
) -> bool:
    changed = round_labels.difference(before, after)
    return not (changed.added or changed.removed)


def _report(
    job: Job,
    labels: Mapping[str, ImageLabels],
    found: round_detector.Detector,
    judged: relabel.Judged | None,
    following: relabel.Relabeled | None,
) -> None:
    """Measures the round, draws, writes and prints what it found."""
    begin = time.monotonic()
    options, config = job.experiment.options, job.experiment.eval
    files, images = job.files, job.images
    summary = round_report.summarize(
        found.number,
        labels,
        found.candidates,
        judged,
        following,
        images.train,
        options.refine.match_px,
        relabel.staying_labels(labels, options.refine),
    )
    summary["seed"] = found.model.experiment.seed
    notes = [*found.notes, *summary["notes"]]
    if following is not None and following.threshold is not None:
        notes += _threshold_notes(found.model.once().meta["decode"])
    summary["notes"] = notes
    for name, split in images.measured.items():
        summary[name] = round_report.measure(found.model, split, config)
    seconds = dict(found.seconds)
    for part in (judged, following):
        seconds |= part.seconds if part is not None else {}
    if judged is not None and following is not None and hosts.is_first():
        round_report.draw(
            files, found.number, judged, following, images.train, images.data.train
        )
    seconds["measure_s"] = time.monotonic() - begin  # and drawing
    summary["seconds"] = {name: round(value, 2) for name, value in seconds.items()}
    files.write_summary(found.number, summary)
    for line in round_report.lines(summary):
        job.console.line(line)
    if hosts.is_first():
        round_figures.draw_rounds(files.workdir, files.read_summaries())
