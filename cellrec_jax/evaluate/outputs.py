"""Files and lines that an evaluation leaves: tables, figures, overlays, metrics."""

from collections.abc import Mapping
import itertools
from typing import Any

from etils import epath
import numpy as np

from cellrec_jax.config import EvalConfig
from cellrec_jax.data import example, sets
from cellrec_jax.evaluate import saved
from cellrec_jax.io import figures, overlay, recognition_figures, table
from cellrec_jax.io.console import Console
from cellrec_jax.metrics import curves as curves_lib
from cellrec_jax.metrics import reliability, report
from cellrec_jax.metrics import results as results_lib
from cellrec_jax.predict import outputs as predict_outputs
from cellrec_jax.workdir import model as model_lib
from cellrec_jax.workdir import writer

_OF_ALL_CELLS = ("precision", "F1", "count_error")
"""Columns that take all cells to be annotated; so does what ends on `_OF_SCORES`."""
_OF_SCORES = ("_annotated", "_error")
_OF_LABELS = {"num_truth": "num_labels", "recall": "recall_estimated"}
"""Names of columns where annotations are a part of the cells."""


def folder_for(
    workdir: epath.Path,
    root: str,
    *,
    whole: bool = True,
    threshold: float = 0.0,
    quick: bool = False,
) -> epath.Path:
    """Where results go that are not the run's own.

    Of another folder of images (`whole`) `evaluate-NAME`, at another threshold
    `evaluate-at-0.3`, of both `evaluate-NAME-at-0.3`, of images seen once
    `evaluate-quick`; with a number behind it where that holds those of another folder
    of the same name.
    """
    place = "evaluate" + f"-{epath.Path(root).name}" * whole
    place += f"-at-{threshold}" * (threshold > 0) + "-quick" * quick
    for name in itertools.chain([place], (f"{place}-{n}" for n in itertools.count(2))):
        folder = workdir / name
        before = writer.read_json(folder / "results.json")
        if not before or before["run"].get("root") == root:
            return folder
    raise AssertionError  # it counts for ever


def write_files(
    output: epath.Path,
    results: list[results_lib.ImageResult],
    model: model_lib.Model,
    radius: float,
    config: EvalConfig,
    split: sets.Split,
    tables: Mapping[str, Any],
) -> None:
    """Writes tables, figures and overlays of a set.

    Images that are annotated in part have no `tables`, and nothing that takes all cells
    to be annotated.
    """
    write_tables(output, results, model, radius, config, partly=not tables)
    file = output / "predictions" / saved.FILE
    saved.save(file, results, model.class_names, radius)
    if tables:
        draw_boxes(output, results, model, config)
        draw_recognition(output, tables, model)
    draw_overlays(output, results, model, config, split)


def write_tables(
    output: epath.Path,
    results: list[results_lib.ImageResult],
    model: model_lib.Model,
    radius: float,
    config: EvalConfig,
    *,
    partly: bool = False,
) -> None:
    """Writes predictions/per_image.csv and predictions/detections.csv.

    Of images that are annotated `partly` without what takes all cells to be annotated;
    labels are called so, and the recall an estimate.
    """
    thresholds = np.asarray(model.meta["decode"]["thresholds"])
    rows = report.per_image_rows(
        results,
        model.class_names,
        radius_px=radius,
        thresholds=thresholds,
        protocol=config.protocol,
        strict=config.strict,
    )
    if partly:
        rows = [_of_labels(row) for row in rows]
    table.write_rows(output / "predictions" / "per_image.csv", rows, list(rows[0]))
    detections = []
    for result in results:
        sure = result.pred_scores >= thresholds[result.pred_labels]
        detections += table.detection_rows(
            result.image_id,
            result.pred_points_yx[sure],
            result.pred_scores[sure],
            result.pred_labels[sure],
            model.class_names,
        )
    table.write_detections(output / "predictions" / "detections.csv", detections)


def _of_labels(row: Mapping[str, Any]) -> dict[str, Any]:
    """What holds of a row of `report.per_image_rows` where labels are a part."""
    found = {}
    for name, value in row.items():
        kind, slash, class_name = name.partition("/")
        if slash or not (name in _OF_ALL_CELLS or name.endswith(_OF_SCORES)):
            found[_OF_LABELS.get(kind, kind) + slash + class_name] = value
    return found


def draw_losses(output: epath.Path, workdir: epath.Path) -> None:
    """Draws the losses of the training."""
    rows = writer.read_metrics(workdir / "metrics.jsonl")
    figures.loss_curves(output / "figures" / "loss.png", rows)


def draw_boxes(
    output: epath.Path,
    results: list[results_lib.ImageResult],
    model: model_lib.Model,
    config: EvalConfig,
) -> None:
    """Draws precision-recall and reliability, for methods with boxes."""
    folder = output / "figures"
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


def draw_recognition(
    output: epath.Path, tables: Mapping[str, Any], model: model_lib.Model
) -> None:
    """Draws F1 over the threshold and, for several classes, the confusion matrix."""
    folder, names = output / "figures", model.class_names
    curves = tables["threshold_curves"]
    cuts = dict(zip(names, model.meta["decode"]["thresholds"], strict=True))
    recognition_figures.threshold_curve(
        folder / "threshold_curve.png",
        curves["thresholds"],
        {
            name: np.array(curve["F1"], float)
            for name, curve in curves["curves"].items()
        },
        operating=cuts,
    )
    if len(names) > 1:
        counts = np.asarray(tables["confusion"]["counts"])
        recognition_figures.confusion_matrix(folder / "confusion.png", counts, names)
    if over_radii := tables.get("radii"):
        classes = over_radii["classes"].items()
        drawn = {
            measure: {name: one[measure]["value"] for name, one in classes}
            for measure in ("total_F1", "mean_F1")
        }
        path = folder / "radii.png"
        recognition_figures.radius_curves(path, over_radii["radii_px"], drawn)


def draw_overlays(
    output: epath.Path,
    results: list[results_lib.ImageResult],
    model: model_lib.Model,
    config: EvalConfig,
    split: sets.Split,
) -> None:
    """Draws the first test images as the paper's Fig. 7; several classes in colours."""
    thresholds = np.asarray(model.meta["decode"]["thresholds"])
    if config.overlay_score:
        thresholds = np.full_like(thresholds, config.overlay_score)
    names = model.class_names
    for result in results[: config.overlays]:
        drawn = result.pred_scores >= thresholds[result.pred_labels]
        counts = np.bincount(result.pred_labels[drawn], minlength=len(names)).tolist()
        image = overlay.draw_overlay(
            example.to_uint8(split.source.load(result.image_id).image),
            result.pred_points_yx[drawn],
            result.pred_scores[drawn],
            labels=result.pred_labels[drawn],
            true_boxes_yxyx=result.true_boxes_yxyx,
            true_labels=result.true_labels if len(names) > 1 else None,
            score_threshold=0.0,
            colors=predict_outputs.colors_of(names),
            legend=predict_outputs.legend(names, counts, thresholds.tolist()),
        )
        name = result.image_id.replace("/", "_")
        overlay.write_png(output / "figures" / f"overlay_{name}.png", image)


def print_metrics(
    console: Console,
    found: Mapping[str, Mapping[str, Any]],
    model: model_lib.Model,
    output: epath.Path,
) -> None:
    """Prints each metric with its interval, each threshold with its origin."""
    for name, entry in found.items():
        value, low, high = (entry[key] for key in ("value", "low", "high"))
        if value is None:
            if name.partition("/")[0] not in report.BOX_METRICS:
                console.line(f"{name:>24}  undefined")
            continue
        between = "" if low is None else f"  [{low:.3f}, {high:.3f}]"
        skipped = ""
        if number := entry.get("num_skipped"):
            skipped = f"  without {number} images with no cell and no detection"
        console.line(f"{name:>24}  {value:.3f}{between}{skipped}")
    for line in model.threshold_lines():
        console.line(line)
    console.line(f"results: {output}")
