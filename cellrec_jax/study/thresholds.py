"""What a run's test images give at the thresholds that other labels would have chosen.

All labels of the validation images, of the first few of them, or drawn parts by each
rule of `metrics.partial`; and no label, the default. The network is the same, and every
image is predicted once.
"""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple

from etils import epath
import numpy as np

from cellrec_jax import errors
from cellrec_jax.config import EvalConfig
from cellrec_jax.data import sets
from cellrec_jax.evaluate import fitting, predictions, saved
from cellrec_jax.evaluate import workdir as evaluation
from cellrec_jax.metrics import counting, partial
from cellrec_jax.metrics import results as results_lib
from cellrec_jax.metrics.results import ImageResult
from cellrec_jax.workdir import model as model_lib

COLUMNS = ("run", "chosen by", "images", "labels", "draws", "threshold", "F1", "sd")
"""Of `compare`: labels and threshold are means over draws (and classes), F1 and its
standard deviation are over draws, None of one."""


class _Found(NamedTuple):
    """Predictions of images, all scores."""

    results: list[ImageResult]
    ratios: list[float]
    mpp: float


class _Run(NamedTuple):
    name: str
    model: model_lib.Model
    val: _Found
    test: _Found


def compare(
    workdir: str, *, shares: Sequence[float], num_draws: int, num_full: int = 0
) -> list[dict[str, Any]]:
    """Rows of a run, with the F1 of its test cells (counts of all classes together).

    Chosen by `num_draws` nested draws of each share of the validation labels, in
    (0, 1); by all of them; and by those of the first `num_full` images. A run whose
    withheld labels chose (`data.threshold_share`) has this one row. A row names no rule
    where labels were too few for any (`counting.LEAST_LABELS`). ConfigError for other
    runs without validation images, and without test images.
    """
    run = _open(workdir)
    own = run.model.meta["decode"]
    if own["withheld"]:
        chosen = "withheld labels", own["rule"]
        return [_row(run, _name(*chosen, [own]), 0, [sum(own["num_labels"])], [own])]
    images = run.val.results
    rows = [_chosen(run, "all labels", "", "f1", [images])]
    if 0 < num_full < len(images):
        rows.append(_chosen(run, "all labels", "", "f1", [images[:num_full]]))
    for share in shares:
        drawn = [
            [saved.with_part_of_labels(one, share, seed) for one in images]
            for seed in range(num_draws)
        ]
        for rule in partial.RULES:
            row = _chosen(run, f"{share:.0%} of labels", rule, rule, drawn)
            if row["chosen by"] != rows[-1]["chosen by"]:  # by no rule: one row
                rows.append(row)
    default = fitting.fit([], run.model.class_names, _config(run, "f1"), run.val.mpp)
    return [*rows, _row(run, "default", 0, [0], [fitting.to_json(default)])]


def _chosen(
    run: _Run, labelled: str, told: str, rule: str, drawn: Sequence[list[ImageResult]]
) -> dict[str, Any]:
    """The row of a rule, named if `told`: thresholds of each draw of labels."""
    points = [
        fitting.fit(
            results,
            run.model.class_names,
            _config(run, rule),
            run.val.mpp,
            run.val.ratios[: len(results)],
        )
        for results in drawn
    ]
    labels = [sum(len(one.true_labels) for one in results) for results in drawn]
    chosen = [fitting.to_json(point) for point in points]
    return _row(run, _name(labelled, told, chosen), len(drawn[0]), labels, chosen)


def _name(labelled: str, rule: str, chosen: Sequence[Mapping[str, Any]]) -> str:
    """Which labels chose by which rule, and in how many draws they did not."""
    scopes = [decode.get("scope") for decode in chosen]
    if set(scopes) == {"fixed"}:
        return f"{labelled}, not asked: fixed"
    few, number = scopes.count("default"), len(scopes)
    if few == number:
        return f"{labelled}, too few: default"
    name = ", ".join(filter(None, (labelled, rule)))
    return f"{name}; too few in {few} of {number} draws: default" if few else name


def _row(
    run: _Run,
    name: str,
    num_images: int,
    labels: Sequence[int],
    chosen: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    f1 = [_f1(run, decode) for decode in chosen]
    cuts = [decode["thresholds"] for decode in chosen]
    deviation = float(np.std(f1, ddof=1)) if len(f1) > 1 else None
    values = (run.name, name, num_images, round(float(np.mean(labels))), len(chosen))
    measured = (float(np.mean(cuts)), float(np.mean(f1)), deviation)
    return dict(zip(COLUMNS, values + measured, strict=True))


def _f1(run: _Run, decode: Mapping[str, Any]) -> float:
    """F1 of the test images' cells at thresholds."""
    config = run.model.experiment.eval
    radius = fitting.radius_px(config, run.test.mpp)
    distance = decode["min_distance"]
    thinned = results_lib.suppress(run.test.results, distance, run.test.ratios)
    rule: dict[str, Any] = {"protocol": config.protocol, "strict": config.strict}
    cuts = np.asarray(decode["thresholds"], np.float32)
    counts = counting.point_counts(thinned, cuts, radius, **rule)
    matched, predicted, cells = (part.sum() for part in counts)
    return float(counting.f1_of(matched, predicted, cells))


def _config(run: _Run, rule: str) -> EvalConfig:
    """Of a run by another rule, also where its own threshold was fixed."""
    own = run.model.experiment.eval
    return dataclasses.replace(own, threshold_rule=rule, threshold=0.0)


def _open(workdir: str) -> _Run:
    """Predicts the images of a run, those that chose and those to test on."""
    model = model_lib.restore(epath.Path(workdir).expanduser())
    experiment = model.experiment
    all_labels = dataclasses.replace(experiment.data, val_keep_rate=1.0)
    opened = sets.open_sets(all_labels, experiment.seed)
    withheld = model.meta["decode"]["withheld"]
    if not opened.test.image_ids or not (withheld or opened.val.image_ids):
        raise errors.ConfigError(
            f"{workdir}: needs test images, and validation images or withheld labels: "
            "train with --config.data.test_ids and val_ids"
        )
    val = _Found([], [], 0.0) if withheld else _predict(model, opened.val)
    return _Run(workdir, model, val, _predict(model, opened.test))


def _predict(model: model_lib.Model, split: sets.Split) -> _Found:
    predictor, frame = evaluation.ready(model, model.experiment.eval, split)
    scenes = list(predictions.scenes(split, frame))
    found = predictions.predict_set(predictor.network, scenes)
    mpp = predictions.common_mpp(scene.key for scene in scenes)
    return _Found(found, [scene.ratio for scene in scenes], mpp)
