"""A work directory from start to results: train, evaluate, write what was found."""

from collections.abc import Mapping
import importlib.metadata
from pathlib import Path
import platform
from typing import Any

import jax
import numpy as np

from cellrec_jax import __version__, errors, overrides
from cellrec_jax import config as config_lib
from cellrec_jax.config import Experiment
from cellrec_jax.data import example, sets
from cellrec_jax.io import figures, overlay, table
from cellrec_jax.metrics import curves as curves_lib
from cellrec_jax.metrics import reliability, report
from cellrec_jax.metrics import results as results_lib
from cellrec_jax.train import evaluate, loop, writer
from cellrec_jax.train import model as model_lib
from cellrec_jax.train.console import Console

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy")


def prepare_workdir(experiment: Experiment, workdir: Path) -> None:
    """Makes the work directory, or checks that it belongs to this configuration.

    Raises:
      ConfigError: if it holds a run of another configuration, naming what differs.
      RunError: if it cannot be written.
    """
    path = workdir / "config.json"
    if not path.exists():
        _mkdir(workdir)
        writer.write_json(path, config_lib.to_json(experiment))
        return
    stored = overrides.flatten(_stored_config(path))
    wanted = overrides.flatten(config_lib.to_json(experiment))
    fixed = [
        key
        for key in sorted(stored.keys() | wanted.keys())
        if not key.startswith(config_lib.MAY_CHANGE)
    ]
    differing = [
        f"{key} ({stored.get(key)} there, {wanted.get(key)} now)"
        for key in fixed
        if _plain(stored.get(key)) != _plain(wanted.get(key))
    ]
    if differing:
        raise errors.ConfigError(
            f"{workdir} holds a run of another configuration: {'; '.join(differing)}; "
            "choose another --workdir or the same values"
        )
    writer.write_json(path, config_lib.to_json(experiment))


def _stored_config(path: Path) -> Mapping[str, Any]:
    rows = writer.read_json(path)
    if not isinstance(rows, dict):
        raise errors.ConfigError(f"{path}: is no configuration; choose a new --workdir")
    return rows


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _mkdir(workdir: Path) -> None:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.RunError(
            f"{workdir}: cannot be made ({error.strerror}); choose another --workdir"
        ) from error


def train_and_evaluate(
    experiment: Experiment,
    workdir: Path,
    console: Console | None = None,
    init_from: Path | None = None,
    data: sets.Sets | None = None,
) -> int:
    """Trains (or resumes), evaluates and writes results, figures and predictions.

    Args:
      experiment: what to do.
      workdir: created if needed; resumed if it holds the same experiment.
      console: where to print; None prints nothing.
      init_from: work directory whose weights a new run starts from.
      data: images to use instead of `experiment.data`'s (training from arrays).

    Returns:
      Exit code: 0, or 130 / 143 after an interruption.
    """
    console = console or Console(quiet=True)
    prepare_workdir(experiment, workdir)
    data = data or sets.open_sets(experiment.data, experiment.seed)
    splits = {name: getattr(data, name).image_ids for name in ("train", "val", "test")}
    writer.write_json(workdir / "splits.json", splits)
    if is_finished(workdir, experiment):
        console.line(f"{workdir} is trained already; evaluating it again")
        timing: Mapping[str, Any] = {}
    else:
        outcome = loop.train(experiment, workdir, data, console, init_from)
        timing = outcome.timing
        if outcome.exit_code:
            console.line(
                f"interrupted at step {int(outcome.state.step)}; saved. Start again "
                f"with --workdir {workdir} to go on"
            )
            return outcome.exit_code
    if jax.process_index() == 0:
        split = data.test if data.test.image_ids else data.val
        evaluate_workdir(workdir, split, console, experiment.eval, timing)
    return 0


def is_finished(workdir: Path, experiment: Experiment) -> bool:
    """Whether the last checkpoint is at the last step."""
    folder = workdir / "checkpoints" / str(experiment.total_steps)
    return folder.is_dir()


def evaluate_workdir(
    workdir: Path,
    split: sets.Split,
    console: Console,
    config: config_lib.EvalConfig,
    timing: Mapping[str, Any],
    output: Path | None = None,
) -> dict[str, Any]:
    """Evaluates a trained work directory on a split and writes what was found.

    Args:
      workdir: holds checkpoints.
      split: images with annotations.
      console: where to print.
      config: how to measure.
      timing: of the training, for results.json; empty keeps what is there.
      output: where results go; None is the work directory.

    Returns:
      The content of results.json.
    """
    output = output or workdir
    model = model_lib.restore(workdir, config.weights)
    eval_set = sets.load_eval(split, console.track)
    if eval_set is None:
        console.line("no images to evaluate on: metrics are left out")
        content = {"metrics": {}, "run": _run_facts(model, timing, workdir)}
        writer.write_json(output / "results.json", content)
        return content
    _check_classes(model, split)
    results = evaluate.predict_set(
        evaluate.jit_predict(model.method),
        model.params,
        model.model_state,
        eval_set,
        len(model.class_names),
        batch_size=config.batch_size,
        track=console.track,
    )
    radius = evaluate.radius_px(config, eval_set.mpp)
    decode = dict(model.meta["decode"])
    found = evaluate.metrics(results, model.class_names, config, radius, decode)
    content = {"metrics": found, "run": _run_facts(model, timing, workdir)}
    writer.write_json(output / "results.json", content)
    _write_tables(output, results, model, radius)
    _draw(output, workdir, results, model, config)
    _draw_overlays(output, results, model, config, split)
    _print(console, found, decode, model, output)
    return content


def _check_classes(model: model_lib.Model, split: sets.Split) -> None:
    if tuple(split.source.class_names) != model.class_names:
        raise errors.DataError(
            f"the set's classes ({', '.join(split.source.class_names)}) are not the "
            f"model's ({', '.join(model.class_names)}); map them with "
            "--config.data.classes, such as "
            f"{model.class_names[0]}={'+'.join(split.source.class_names)}"
        )


def _run_facts(
    model: model_lib.Model, timing: Mapping[str, Any], workdir: Path
) -> dict[str, Any]:
    """What was run where; the timing of an earlier call is kept."""
    before = writer.read_json(workdir / "results.json")
    earlier = before.get("run", {}).get("timing", {}) if before else {}
    return {
        "timing": dict(timing) or earlier,
        "step": model.step,
        "seed": model.experiment.seed,
        "cells_kept": model.meta["cells_kept"],
        "cells_total": model.meta["cells_total"],
        "devices": [device.device_kind for device in jax.devices()],
        "versions": {
            "cellrec_jax": __version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
    }


def _write_tables(
    output: Path,
    results: list[results_lib.ImageResult],
    model: model_lib.Model,
    radius: float,
) -> None:
    thresholds = model.decode.thresholds
    rows = report.per_image_rows(
        results, model.class_names, radius_px=radius, thresholds=np.asarray(thresholds)
    )
    table.write_rows(output / "predictions" / "per_image.csv", rows, list(rows[0]))
    detections = []
    for result in results:
        sure = result.pred_scores >= np.asarray(thresholds)[result.pred_labels]
        detections += table.detection_rows(
            result.image_id,
            result.pred_points_yx[sure],
            result.pred_scores[sure],
            result.pred_labels[sure],
            model.class_names,
        )
    table.write_detections(output / "predictions" / "detections.csv", detections)


def _draw(
    output: Path,
    workdir: Path,
    results: list[results_lib.ImageResult],
    model: model_lib.Model,
    config: config_lib.EvalConfig,
) -> None:
    folder = output / "figures"
    rows = writer.read_metrics(workdir / "metrics.jsonl")
    figures.loss_curves(folder / "loss.png", rows)
    curves, scores, hits = {}, [], []
    for label, name in enumerate(model.class_names):
        pooled = results_lib.pool_boxes(
            results, label, iou=config.iou, voc_plus_one=config.voc_plus_one
        )
        if pooled is None:
            continue
        truth = int(pooled.num_truth.sum())
        curves[name] = curves_lib.precision_recall(pooled.scores, pooled.is_tp, truth)
        scores.append(pooled.scores)
        hits.append(pooled.is_tp)
    if not curves:
        return
    figures.precision_recall(
        folder / "precision_recall.png", curves, criterion=f"box IoU > {config.iou:g}"
    )
    bins = reliability.reliability(np.concatenate(scores), np.concatenate(hits))
    figures.reliability(folder / "reliability.png", *bins)


def _draw_overlays(
    output: Path,
    results: list[results_lib.ImageResult],
    model: model_lib.Model,
    config: config_lib.EvalConfig,
    split: sets.Split,
) -> None:
    """Draws the first test images as the paper's Fig. 7."""
    one_class = len(model.class_names) == 1
    for result in results[: config.overlays]:
        cut = config.overlay_score or float(np.min(model.decode.thresholds))
        drawn = overlay.draw_overlay(
            example.to_uint8(split.source.load(result.image_id).image),
            result.pred_points_yx,
            result.pred_scores,
            labels=None if one_class else result.pred_labels,
            true_boxes_yxyx=result.true_boxes_yxyx,
            score_threshold=cut,
        )
        name = result.image_id.replace("/", "_")
        overlay.write_png(output / "figures" / f"overlay_{name}.png", drawn)


def _print(
    console: Console,
    found: Mapping[str, Any],
    decode: Mapping[str, Any],
    model: model_lib.Model,
    output: Path,
) -> None:
    for name, entry in found.items():
        value, low, high = (entry[key] for key in ("value", "low", "high"))
        if value is None:
            console.line(f"{name:>24}  undefined")
            continue
        between = "" if low is None else f"  [{low:.3f}, {high:.3f}]"
        console.line(f"{name:>24}  {value:.3f}{between}")
    for name, cut, number in zip(
        model.class_names, decode["thresholds"], decode["num_labels"], strict=True
    ):
        source = (
            f"fitted on {number} validation labels"
            if number
            else "the default: no validation labels; name some by --config.data.val_ids"
        )
        console.line(f"score threshold of {name}: {cut:.3f} ({source})")
    console.line(f"results: {output}")
