"""Breaks one line at a time and tells whether the tests notice.

    python tests/mutants.py [--only TEXT] [--list] [--workers N] [--json FILE]

Each row of `_TABLE` changes a line of a module. Its tests run on a copy of the
repository, which itself stays as it is. A mutant is killed if a test fails; one that
survives shows a test that is missing. The exit status is 1 if one survives for no
recorded reason, 2 if the mutants cannot be tried. Not part of pytest.
"""

import argparse
import ast
from collections.abc import Sequence
from concurrent import futures
import json
import os
from pathlib import Path
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PARTS = ("cellrec_jax", "tests", "configs", "pyproject.toml")
TIMEOUT_S = 300.0  # a mutant that takes longer counts as killed


class Mutant(NamedTuple):
    """A change of one line that a test must notice."""

    module: str
    """Dotted name."""
    before: str
    """Text that is in the module exactly once."""
    after: str
    what: str
    """What goes wrong, in a few words."""
    tests: tuple[str, ...] = ()
    """Test files or test ids; the module's own test file if empty."""
    reason: str = ""
    """Why it may survive."""


_SEEN = ("tests/predict/test_frame.py", "tests/predict/test_predictor.py")
_DEVICES = ("tests/losses/test_pu_devices.py", "tests/losses/test_pu.py")
_DECODERS = ("tests/methods/multitask/test_method.py",)
_MASKS = ("tests/methods/estimate_mask/test_method.py",)
_FILES = ("tests/predict/test_files.py",)
_ONE_IMAGE = ("tests/metrics/test_proportion.py",)
_RESUMED = ("tests/test_run.py::test_resumed_equals_uninterrupted_bitwise",)

# fmt: off
# Module -> rows of (before, after, what[, tests[, reason]]).
_TABLE: dict[str, list[tuple]] = {
    "cellrec_jax.predict.frame": [
        ("(image_hw) * self.ratio", "(image_hw) / self.ratio", "um per px", _SEEN),
        ("if self.squeeze or self._is_near", "if self._is_near", "not squeezed", _SEEN),
        ("0.0 if margin_px else _TWINS_PX", "_TWINS_PX", "twins with margins", _SEEN),
    ],
    "cellrec_jax.predict.stream": [
        ("found = cells.sort(found)", "pass", "not sorted"),
        ("np.divide(scene.native_hw,", "np.multiply(1,", "px of the file", _SEEN),
        ("np.arange(size) < len(views)", "np.arange(size) >= 0", "fillers count"),
        ("cells.select(part, tile.owns(part.points_yx))", "part", "own all", _SEEN),
    ],
    "cellrec_jax.predict.predictor": [
        ('["min_distance"] / ratio', '["min_distance"]', "px of another image"),
        ("return apart & sure", "return sure", "cells too near"),
    ],
    "cellrec_jax.metrics.partial": [
        ("matched**2", "matched", "recall for recall squared"),
        ("share * np.asarray(predicted) + num", "np.asarray(predicted) + num", "F1"),
        ("rng.binomial(lost, share, size)", "rng.binomial(lost, 1.0, size)", "all"),
    ],
    "cellrec_jax.data.drawn": [
        ("num_cells=int(counted.sum())", "num_cells=len(kept)", "ignored cells count"),
        ("spec.box_size)", "2 * spec.box_size)", "discs of twice the size"),
        ("example.corrupted(record, spec), kept", "record, kept", "labels of no hand"),
    ],
    "cellrec_jax.data.pixels.orientation": [
        ("6: (True, False, True)", "6: (True, True, False)", "turned the other way"),
        ("np.sort(corners_yx, axis=-2)", "corners_yx", "boxes with their ends swapped"),
    ],
    "cellrec_jax.data.pixels.colors": [
        ("np.clip(values, low, high)", "values", "a hot pixel wraps round"),
        ("low >= 0 and high <= limit", "high <= limit", "values below 0 lost"),
        ("if not alpha.any() or", "if", "white where alpha is 0 everywhere"),
    ],
    "cellrec_jax.data.pixels.tiff": [
        ("(_area(s[1]), -s[0])", "-s[0]", "the first page, if a thumbnail"),
        ("samples[..., list(image.order)]", "samples", "blue, green, red"),
        ("if num_planes <= 1:", "if num_planes <= 5:", "the first of a stack"),
        ("len(segments) >= math.prod(page.chunked)", "True", "missing strips: black"),
    ],
    "cellrec_jax.data.pixels.tiff_colors": [
        ("colormap.max() < 256", "colormap.max() < 0", "8-bit palettes are black"),
        ("(samples[rows] - black) * spans", "samples[rows] - black", "studio range"),
        ("np.dstack([full - pixels[..., :num_colors], pixels[..., num_colors:]])",
         "full - pixels", "alpha inverted too"),
    ],
    "cellrec_jax.data.pixels.pixel_size": [
        ("alike and LEAST_MPP", "LEAST_MPP", "one side's size for both"),
        ("unit / per_unit[0], unit", "unit / per_unit[1], unit", "one side's again"),
    ],
    "cellrec_jax.losses.density": [
        ("jnp.where(total > 0, total, 1.0)", "jnp.maximum(total - 1, 1)", "less 1"),
        ("jnp.where(weights[None, :] > 0, weighted, 0.0)", "weighted", "padding"),
        ("jnp.where(mask, weights.astype(jnp.float32), 0.0)", "weights", "and weighs"),
        ("jnp.maximum(spread(y + x), spread(y - x))", "spread(y + x)", "one diagonal"),
        (" & ~jnp.eye(len(mask), dtype=bool)", " & (pairs >= 0)", "its own neighbour"),
    ],
    "cellrec_jax.losses.calibration": [
        ("taken > 0, weights=taken", "mask, weights=taken", "others have energy"),
        ("taken > 0, weights=taken", "taken > 0, weights=None", "scores do not weigh"),
        ("jax.lax.stop_gradient(energy)", "energy", "gradient through the energy"),
        ("picked - epsilon * entropy", "picked + epsilon * entropy", "sign of entropy"),
        ("(step + 1.0) / options", "step / options", "trust one step late"),
    ],
    "cellrec_jax.losses.pu": [
        ("where(overall > 0", "where(negative_risk > 0", "device decides", _DEVICES),
        ("where(overall < -beta", "where(overall <= -beta", "<= for <"),
    ],
    "cellrec_jax.losses.heatmap": [
        ("(jnp.float32)[..., None]", "(bool)[..., None]", "weights are 1"),
        ("outputs.shape[-1] * image_mean", "image_mean", "mean for sum of classes"),
    ],
    "cellrec_jax.losses.pseudo_masks": [
        ("factor * error**2", "error**2", "cells weigh 1"),
        (" & (labels != IGNORE)", "", "labels that are none cost"),
        ("+ others * (1.0 - maps)", "+ maps * (1.0 - others)", "one pair of the two"),
        ("(y, x) > (0, 0)", "(y, x) >= (0, 0)", "pixels paired with themselves"),
        ("both = counted &", "both =", "pairs of which one counts"),
    ],
    "cellrec_jax.losses.sparse_heatmap": [
        ("found.mask & ~labeled,", "found.mask,", "labelled peaks lose weight"),
    ],
    "cellrec_jax.methods.point_matching.stages": [
        ("fold_in(rng, index), mask", "fold_in(rng, 0), mask", "one draw for all"),
        ("jnp.sum(held & mask), 1)", "jnp.sum(held & mask), 0)", "none without cells"),
        ("highest(priority, mask & ~held", "highest(priority, mask", "cells drawn"),
    ],
    "cellrec_jax.losses.points": [
        ("(labels >= 0) & (labels < ", "(labels < ", "padded rows cost"),
    ],
    "cellrec_jax.losses.matched": [
        ("jax.lax.stop_gradient(jnp.asarray(scale", "(jnp.asarray(scale", "and scale"),
        ("denominator = jnp.sum(losses.detection_weight)", "pass", "M for their sum"),
        ("denominator = jnp.sum(losses.held)", "denominator = jnp.sum(counted)", "M"),
        ("jnp.where(mask, scale * weight, 0.0)", "weight", "masked proposals weigh"),
    ],
    "cellrec_jax.losses.multitask": [
        ("return error * jnp.sum", "return error + jnp.sum", "Eq. 6 as printed"),
        ("difference**2 if", "2 * difference**2 if", "twice the squared error"),
        ("dice / 2, 0.0", "dice, 0.0", "overlap of Eq. 2 without its half"),
    ],
    "cellrec_jax.methods.multitask.costs": [
        ('error(probs["main"], probs["dynamic"]', 'error(probs["main"], polygons',
         "consistency with the target", _DECODERS),
        ("circles[..., loss.prior_class] > 0", "circles[..., 0] > 0", "first class",
         _DECODERS),
    ],
    "cellrec_jax.prior": [
        ("if not k.startswith(_NO_MATTER)", "if not k", "options are not seen"),
        ("content.update(part)", "pass", "images are not seen"),
        ("total_steps=experiment.options.prior.steps", "total_steps=1", "one step"),
    ],
    "cellrec_jax.losses.ranking.objective": [
        ("-jnp.log(p), -jnp.inf", "-jnp.log(p), 0.0", "padding adds 1"),
    ],
    "cellrec_jax.masking": [
        ("jax.lax.pmean(values", "jax.lax.psum(values", "sum of counts for their mean"),
        ("jnp.where(weight > 0, values.astype(jnp.float32), 0.0)", "values", "no mask"),
        ("= jax.lax.stop_gradient(device", "= (device", "gradient through the count"),
    ],
    "cellrec_jax.geometry": [
        ("(x < size_hw[1])", "(x <= size_hw[1])", "right edge is inside"),
        ("size_hw[0] / 2, size_hw[1] / 2", "size_hw[1] / 2, size_hw[0] / 2", "sides"),
    ],
    "cellrec_jax.methods.estimate_mask.voronoi": [
        ("first[one].min()", "first[one].max()", "the last of equal points"),
        ("found[:-1] |= across", "found[1:] |= across", "edges on one side"),
    ],
    "cellrec_jax.methods.estimate_mask.clusters": [
        ("image / options.color_scale", "image", "colours outweigh distances"),
        ("part = _grow(part, options.dilate_px)", "pass", "masks do not grow"),
        ("pad:-pad] & inside", "pad:-pad]", "masks leave their polygons"),
        ("ranks.index(min(ranks))", "ranks.index(max(ranks))", "background near cells"),
    ],
    "cellrec_jax.methods.estimate_mask.labels": [
        ("(1 + classes)[owners]", "classes[owners]", "class 0 is background"),
        ("found[~valid] = IGNORE", "pass", "labels outside of the region"),
        ("distance > options.clear_px", "distance > 0", "background on pale cells"),
    ],
    "cellrec_jax.methods.estimate_mask.detector": [
        ("batch.valid & told", "batch.valid", "all is known", _MASKS),
        ("< detector.background", "> detector.background", "cells are told", _MASKS),
    ],
    "cellrec_jax.methods.estimate_mask.method": [
        ("progress.step >= begins", "progress.step > begins", "the CRF a step late"),
        ("+ 1, dtype=bool)[..., 1:]", "+ 1, dtype=bool)[..., :-1]", "background cells"),
    ],
    "cellrec_jax.methods.thinning": [
        ("argsort(-scores, ", "argsort(scores, ", "the worst stays", _MASKS),
    ],
    "cellrec_jax.ops.boxes": [
        ("1::2], 0.0, width)", "1::2], 0.0, height)", "x clipped to the height"),
    ],
    "cellrec_jax.ops.nms": [
        ("squared < min_distance**2", "squared <= min_distance**2", "<= for <"),
        ("> threshold", ">= threshold", ">= for >"),
    ],
    "cellrec_jax.ops.peaks": [
        ("found &= heights > ", "found &= heights >= ", ">= for >"),
        ("highest & (first == number)", "highest", "a flat top gives many peaks"),
    ],
    "cellrec_jax.ops.heatmaps": [
        ("where(squared <= radius_px**2", "where(squared < radius_px**2", "< for <="),
        ("inside ^= columns", "inside |= columns", "left of an edge is inside"),
        ("jax.random.fold_in(rng, i))(", "rng)(", "one polygon for all cells"),
        ("jnp.arange(high) < number)[:, None], corners, corners[:1])",
         "jnp.arange(high) <= number)[:, None], corners, corners[:1])",
         "a corner too many"),
        ("2 * jnp.pi * places / number", "2 * jnp.pi * places / high", "open polygons"),
    ],
    "cellrec_jax.ops.components": [
        ("for axis in (0, 1):", "for axis in (1, 1):", "rows alone connect"),
        ("where(labels < labels.size,", "where(labels >= 0,", "background in a slot"),
        ("pixel_to_point(first_yx + means[:, :2])", "resize_points(first_yx, 1)",
         "first pixels for centres"),
    ],
    "cellrec_jax.ops.patches": [
        ("side_px // 2, (side_px - 1) // 2", "(side_px - 1) // 2, side_px // 2",
         "even windows one px off"),
    ],
    "cellrec_jax.ops.assign": [
        ("best < negative_iou", "best <= negative_iou", "<= for <"),
        (" & (best_of_truth > 0)", "", "padded truths make positives"),
    ],
    "cellrec_jax.ops.anchors": [
        ("[size * root, size / root]", "[size / root, size * root]", "ratio inverted"),
    ],
    "cellrec_jax.ops.host_matching": [
        ("np.minimum(cost.max(axis=1), farther)", "cost.max(axis=1)", "limit too high"),
    ],
    "cellrec_jax.metrics.matching": [
        ("(min(len(preds), len(trues)) + 1)", "1", "distance outweighs a pair"),
        ("for side in (0, 1):", "for side in (1, 0):", "cells choose first"),
    ],
    "cellrec_jax.metrics.curves": [
        ("np.maximum.accumulate(precision[::-1])[::-1]", "precision", "no envelope"),
        ("thresholds - _RECALL_SLACK", "thresholds", "0.3 is missed at 0.2999"),
    ],
    "cellrec_jax.metrics.counting": [
        ("scores[1:]] = -1.0", "scores[1:]] *= 1.0", "cut inside a tie"),
        ("np.abs(errors.sum(axis=1))", "np.abs(errors).sum(axis=1)", "no cancelling"),
    ],
    "cellrec_jax.metrics.results": [
        (" & ~result.pred_ignored", "", "ignored predictions count"),
        (">= cuts[", "> cuts[", "score at the threshold"),
    ],
    "cellrec_jax.metrics.recognition": [
        ("(np.asarray(result.true_labels, int), found_as)",
         "(found_as, np.asarray(result.true_labels, int))", "rows for columns"),
    ],
    "cellrec_jax.metrics.proportion": [
        ("weights @ defined)", "weights.sum(axis=1))", "undefined images count"),
    ],
    "cellrec_jax.metrics.samples": [
        ("/ trials + z**2 / 4)", "/ trials)", "Wald's width", _ONE_IMAGE),
    ],
    "cellrec_jax.predict.journal": [
        ("pixel_files.stamp(path)[1:]:", "before[2:4]:", "changed images stay", _FILES),
        ("if rows[name] == (sum(one.counts) if one.num_rows < 0 else one.num_rows)",
         "if True", "lost rows stay lost", _FILES),
        ("or lost or", "or", "rows of a killed call stay", _FILES),
    ],
    "cellrec_jax.metrics.suppression": [
        ('pairs[np.argsort(pairs[:, 0], kind="stable")]', "pairs", "best not first"),
    ],
    "cellrec_jax.data.sparse": [
        ('f"{int(seed)}/{image_id}"', 'f"{int(seed)}"', "same draw in all images"),
        ('by_place[np.argsort(words, kind="stable")]',
         'np.argsort(words, kind="stable")', "order of the reader"),
        (" - _ROUNDING)", ")", "7 % of 100 are 8"),
    ],
    "cellrec_jax.data.keyed": [
        ("np.lexsort((np.asarray(labels), ", "np.lexsort((", "label breaks no tie",
         ("tests/data/test_keyed.py", "tests/data/test_sparse.py")),
    ],
    "cellrec_jax.data.corrupt": [
        ("drawn[by_place] =", "drawn[:] =", "order of the reader"),
    ],
    "cellrec_jax.data.arrays": [
        ("(found).astype(np.int32), positions.astype(np.int32)",
         "(found).astype(np.int32), np.arange(len(positions), dtype=np.int32)",
         "draws keyed by the place in a process"),
        ("valid=batch.valid & real[:, None, None]", "valid=batch.valid", "fillers"),
    ],
    "cellrec_jax.data.augment": [
        ("fold_in(rng, example.example_index)", "fold_in(rng, 0)", "same for a batch"),
    ],
    "cellrec_jax.data.readers.clean": [
        ("np.floor(values)).all()", "np.floor(values)).any()", "half a px too often"),
    ],
    "cellrec_jax.data.readers.csv_points": [
        ("for name in columns.place]", "for name in columns.place[::-1]]",
         "x for y with a header"),
    ],
    "cellrec_jax.data.readers.columns": [
        ("first - second / 2,", "first,", "the centre as a corner"),
    ],
    "cellrec_jax.data.readers.coco": [
        ("centers[is_click] +=", "centers +=", "boxes move as clicks do"),
    ],
    "cellrec_jax.data.readers.coco_places": [
        ("(y, x, y + height, x + width)", "(y, x, y + width, x + height)", "sides"),
        ("runs[-2] if", "runs[-1] if", "run lengths of the wrong colour"),
    ],
    "cellrec_jax.data.readers.coco_content": [
        ("sorted(names, key=_order)", "list(names)", "classes in the file's order",
         ("tests/data/readers/test_coco.py",)),
    ],
    "cellrec_jax.data.readers.label_checks": [
        ("(low < at) & (at < high)", "(low <= at) & (at <= high)", "touching cells"),
    ],
    "cellrec_jax.data.readers.units": [
        ("found.high.max() <= 1 + _SLACK", "found.high.max() <= 3", "cells near 0"),
    ],
    "cellrec_jax.data.readers.frames": [
        ("stated.size_hw == sizes.stored_hw", "stated.size_hw != sizes.stored_hw",
         "never turned"),
    ],
    "cellrec_jax.data.readers.voc": [
        ("[~inverted, inverted], axis=1)", "[~inverted] * 2, axis=1)", "last pixel"),
        ("corners_yxyx) >= 1", "corners_yxyx) > 1", "files that count from 1"),
    ],
    "cellrec_jax.data.readers.bcdata": [
        ("points_from_xy(points_xy)", "points_from_xy(points_xy[:, ::-1])", "x for y"),
    ],
    "cellrec_jax.data.readers.mitos": [
        ("confidences < MIN_CONF", "confidences <= MIN_CONF", "<= for <"),
    ],
    "cellrec_jax.workdir.checkpoint": [
        ("LatestN(config.keep)", "LatestN(config.keep + 1)", "one too many"),
        ('get_metric_fn=lambda metrics: metrics["score"]',
         'get_metric_fn=lambda metrics: -metrics["score"]', "keeps the worst"),
        ('best_fn=lambda metrics: metrics["score"]',
         'best_fn=lambda metrics: -metrics["score"]', "restores the worst"),
        ("cleanup_tmp_directories=not read_only", "cleanup_tmp_directories=False",
         "half a checkpoint stays"),
    ],
    "cellrec_jax.rounds.directory": [
        ("0 < rounds >= last", "0 < rounds > last", "off by one round"),
        ("labels_path(0)", "labels_path(1)", "labels of round 0 are not seen"),
    ],
    "cellrec_jax.workdir.writer": [
        ('row["step"] <= step', 'row["step"] < step', "row of the checkpoint lost"),
    ],
    "cellrec_jax.train.loop": [
        ("float(x / n)", "float(x / len(calls))", "calls for counts"),
        ("saving = finished or stopped or", "saving = finished or", "no last save",
         _RESUMED),
        ("state, meta = saved.state, {**meta,", "meta = {**meta,", "starts anew",
         _RESUMED),
        ('names = ["init_from", "score_due", "seconds"]',
         'names = ["init_from", "score_due"]', "seconds lost"),
        ("overdue = score_of(state, start)", "overdue = None", "score that was due",
         _RESUMED),
    ],
    "cellrec_jax.train.calls": [
        ("stream.batches(start)", "stream.batches(0)", "first batches again", _RESUMED),
        ("range(step, step + number)", "range(number)", "first images again"),
    ],
    "cellrec_jax.train.accumulate": [
        ("jnp.mean(values, axis=0)", "values[0]", "counts of the first part"),
        ("masking.device_mean(jnp.mean", "(jnp.mean", "counts of one device"),
        ("lambda _: next(means)", "lambda part: part", "counts of each part"),
        ("levels[i] + 1", "levels[i]", "risks by the counts of parts"),
        ("(x / number)", "x", "sums of gradients"),
    ],
    "cellrec_jax.train.optim": [
        ("batch_size / config.base_batch", "config.base_batch / batch_size",
         "larger batches, smaller steps"),
        ('base_batch=0)', 'base_batch=config.base_batch)', "half a rule"),
    ],
    "cellrec_jax.train.step": [
        ("fold_in(key, state.step)", "fold_in(key, jax.lax.axis_index(AXIS))",
         "keyed by device"),
        ("fold_in(key, state.step)", "fold_in(key, 0)", "same draws at every step"),
        (".set(new), seen, metrics", ".set(new), seen, seen", "metrics of no step",
         ("tests/train/test_calls.py",)),
    ],
    "cellrec_jax.rounds.files": [
        ("range(rounds + 1) if", "range(rounds) if", "last round is not found"),
        ("points_yx / eval_set.scale_yx[index][None]", "points_yx", "no scale"),
    ],
    "cellrec_jax.rounds.patches": [
        ('np.argsort(np.argsort(candidates.image, kind="stable"), kind="stable")',
         'np.argsort(candidates.image, kind="stable")', "patches of other peaks",
         ("tests/rounds/test_patches.py::test_patches_keep_the_order_of_peaks",)),
    ],
    "cellrec_jax.rounds.candidates": [
        ("[0] > distance_px", "[0] >= distance_px", ">= for >"),
        ("new.points_yx[new.image == image]", "new.points_yx", "peaks of other images"),
        ("distances[0] <= distances[1]", "distances[0] < distances[1]", "ties"),
    ],
    "cellrec_jax.rounds.selection": [
        ("used[:, None] & jnp.isfinite", "jnp.isfinite", "removed rows set the scale"),
        ("len(group) + 1e-9", "len(group)", "29 of 100 are 28"),
        ('index[np.argsort(scores[index], kind="stable")]', "index", "not sorted"),
    ],
}
# fmt: on
MUTANTS = [Mutant(module, *row) for module, rows in _TABLE.items() for row in rows]


def main() -> int:
    """Tries the mutants and tells which survive."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="part of a module or description")
    parser.add_argument("--list", action="store_true", help="show them, run nothing")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the outcomes to this file")
    options = parser.parse_args()
    chosen = [m for m in MUTANTS if options.only in f"{m.module} {m.what}"]
    if problems := [text for m in chosen if (text := problem(m))] or not chosen:
        _say(*(problems if chosen else ["no such mutant"]))
        return 2
    if options.list:
        _say(*(f"{m.module}: {m.what}\n  - {m.before}\n  + {m.after}" for m in chosen))
        return 0
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        outcomes = try_all(chosen, Path(folder), max(options.workers, 1))
    if outcomes is None:
        return 2
    rows = [m._asdict() | o for m, o in zip(chosen, outcomes, strict=True)]
    survivors = [row for row in rows if row["outcome"] == "survived"]
    seconds = round(time.monotonic() - begin)
    killed = sum(row["outcome"] in ("killed", "timeout") for row in rows)
    _say(f"{killed} killed, {len(survivors)} survived, {len(rows)} in all; {seconds} s")
    if options.json:
        found = {"killed": killed, "seconds": seconds, "mutants": rows}
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if killed + len(survivors) < len(rows):
        return 2
    return int(any(not row["reason"] for row in survivors))


def problem(mutant: Mutant) -> str:
    """Why a row of the table is of no use any more; "" if it is fine."""
    name = f"{mutant.module} ({mutant.what})"
    path = ROOT / module_path(mutant)
    if not path.is_file():
        return f"{name}: there is no {path}"
    source = path.read_text()
    count = source.count(mutant.before)
    if "\n" in mutant.before or count != 1:
        return f"{name}: {mutant.before!r} is there {count} times, not once"
    try:
        same = ast.dump(ast.parse(mutated(mutant, source))) == ast.dump(
            ast.parse(source)
        )
    except SyntaxError as error:
        return f"{name}: {error}"
    missing = [t for t in tests_of(mutant) if not (ROOT / t.split("::")[0]).is_file()]
    return f"{name}: changes nothing" if same else "".join(f"no {t}" for t in missing)


def module_path(mutant: Mutant) -> str:
    """Where its module is, below the root of the repository."""
    return mutant.module.replace(".", "/") + ".py"


def tests_of(mutant: Mutant) -> tuple[str, ...]:
    """Its tests, else the file that mirrors its module."""
    *folders, name = mutant.module.split(".")[1:]
    return mutant.tests or ("/".join(["tests", *folders, f"test_{name}.py"]),)


def mutated(mutant: Mutant, source: str) -> str:
    """The module with its line changed."""
    return source.replace(mutant.before, mutant.after)


def try_all(mutants: Sequence[Mutant], folder: Path, workers: int) -> list[dict] | None:
    """Outcomes of all; None if tests fail without a mutant."""
    copies: queue.Queue[Path] = queue.Queue()
    for number in range(workers):
        copies.put(copied(folder / str(number)))
    cache = folder / "compiled"
    files = sorted({test for mutant in mutants for test in tests_of(mutant)})
    shares = [part for i in range(workers) if (part := files[i::workers])]

    def check(tests: Sequence[str]) -> subprocess.CompletedProcess:
        copy = copies.get()
        try:
            return run_tests(tests, copy, cache, timeout_s=None)
        finally:
            copies.put(copy)

    def attempt(mutant: Mutant) -> dict:
        copy = copies.get()
        try:
            outcome = try_one(mutant, copy, cache)
        finally:
            copies.put(copy)
        where = f"{mutant.module.partition('.')[2]}: {mutant.what}"
        reason = outcome["by"] or mutant.reason
        _say(f"{outcome['outcome']:9}{outcome['seconds']:4.0f} s  {where:62} {reason}")
        return outcome

    pool = futures.ThreadPoolExecutor(workers)
    _say(f"{len(mutants)} mutants; first their {len(files)} files of tests without any")
    try:
        for done in pool.map(check, shares):
            if done.returncode:
                _say(done.stdout[-4000:], "these tests fail without any mutant")
                return None
        return list(pool.map(attempt, mutants))
    finally:
        pool.shutdown(cancel_futures=True)


def copied(target: Path) -> Path:
    """Copies what tests need; the only place where anything is changed."""
    for part in PARTS:
        source, place = ROOT / part, target / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, place, ignore=ignored)
        else:
            shutil.copy2(source, place)
    return target


def try_one(mutant: Mutant, copy: Path, cache: Path) -> dict:
    """Outcome of one mutant, in a copy that is as before afterwards."""
    path = module_path(mutant)
    begin = time.monotonic()
    (copy / path).write_text(mutated(mutant, (ROOT / path).read_text()))
    try:
        done = run_tests(tests_of(mutant), copy, cache, TIMEOUT_S)
    except subprocess.TimeoutExpired:
        outcome, by = "timeout", ""
    else:
        found = re.search(r"^(?:FAILED|ERROR) \S*?([^\s/:]+)(?: |$)", done.stdout, re.M)
        by = found[1] if found else ""
        # 1 is a failed test, below 0 a crash; the others ran none.
        code = done.returncode
        outcome = "killed" if code == 1 or code < 0 else f"error {code}"
        outcome = outcome if code else "survived"
    finally:
        shutil.copy2(ROOT / path, copy / path)
    return {"outcome": outcome, "by": by, "seconds": time.monotonic() - begin}


def run_tests(
    tests: Sequence[str], copy: Path, cache: Path, timeout_s: float | None
) -> subprocess.CompletedProcess:
    """Runs tests of a copy until one fails."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    env = {
        **os.environ,
        "PYTHONPATH": str(copy),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.run(
        [*command, "-m", "slow or not slow", *tests],
        cwd=copy,
        env=env,
        timeout=timeout_s,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join([*lines, ""]))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
