"""A trained work directory to metrics, figures and results.json."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import importlib.metadata
import itertools
import platform
from typing import Any, NamedTuple

from etils import epath
import jax
import numpy as np

from cellrec_jax import __version__, errors, hosts
from cellrec_jax.config import EvalConfig
from cellrec_jax.data import classes, sets
from cellrec_jax.evaluate import estimated, fitting, outputs, predictions, saved
from cellrec_jax.io.console import Console
from cellrec_jax.metrics import counting, radii, report
from cellrec_jax.metrics import results as results_lib
from cellrec_jax.predict import frame as frames
from cellrec_jax.predict import predictor as predictor_lib
from cellrec_jax.predict.frame import Scene
from cellrec_jax.workdir import interrupt, operating_point, writer
from cellrec_jax.workdir import model as model_lib

_IGNORED = "cells in ignored regions, which do not count"
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy")


class _Found(NamedTuple):
    """Predictions of a set."""

    results: list[results_lib.ImageResult]
    """Thinned to the fitted least distance."""
    radius_px: float
    dropped: Counter[str]
    """What is annotated and does not count -> how many cells."""
    seconds: float
    """That an image takes."""


def renew_operating_points(
    workdir: epath.Path, config: EvalConfig, split: sets.Split, console: Console
) -> None:
    """Chooses a trained run's thresholds again where `config` has another rule for it.

    Of several processes all must call this.
    """
    rule = operating_point.rule(config)
    for which in sorted({"last", config.weights}):  # --mode predict takes the last
        if operating_point.rule(model_lib.stored_eval(workdir, which)) != rule:
            model = model_lib.restore(workdir, which)
            fitted = _fit_operating_point(model, config, split, console)
            chosen = operating_point.Chosen(rule, fitting.to_json(fitted))
            operating_point.save(workdir, model.step, chosen)


def _fit_operating_point(
    model: model_lib.Model, config: EvalConfig, split: sets.Split, console: Console
) -> counting.OperatingPoint:
    """As training does: with a `fit` and a threshold there is nothing to choose."""
    given = model.method.traits.fit is not None and config.threshold > 0
    if given or not split.image_ids:
        return fitting.fit([], model.class_names, config, model.meta["mpp"])
    console.line("choosing the thresholds again, by the labels that chose them")
    predictor, frame = ready(model, config, split)
    images = predictions.load(split, frame, console, "images that choose")
    names = model.class_names
    _, fitted = fitting.fit_on(images, predictor.network, names, config, split.labels)
    return fitted


def ready(
    model: model_lib.Model, config: EvalConfig, split: sets.Split, batch: int = 0
) -> tuple[predictor_lib.Predictor, frames.Frame]:
    """A model made ready, and how it sees a split's images."""
    experiment = dataclasses.replace(model.experiment, eval=config)
    frame = frames.of(experiment, model.meta, model.method.traits)
    return predictor_lib.of(model, batch), dataclasses.replace(
        frame, intensity=split.spec.intensity
    )


def evaluate_workdir(
    workdir: epath.PathLike,
    split: sets.Split,
    console: Console,
    config: EvalConfig,
    timing: Mapping[str, Any],
    output: epath.PathLike | None = None,
    *,
    root: str = "",
    batch: int = 0,
    threshold: float = 0.0,
    quick: bool = False,
) -> dict[str, Any]:
    """Evaluates a trained work directory, writes and returns what results.json holds.

    Of several processes all must call this, the first one writes. Empty `timing`, of
    the training, keeps what is there; `output` None is the work directory; `root` is
    the folder of the images, for the record; `batch`, `threshold` and `quick` as of
    `predictor.load`, ConfigError if the run's own results were lost to one of these.
    """
    workdir = epath.Path(workdir)
    output = epath.Path(output or workdir)
    if (threshold or quick) and output.absolute() == workdir.absolute():
        raise errors.ConfigError(
            f"{'--quick' if quick else f'--threshold {threshold:g}'}: {workdir} keeps "
            "the run's own results: leave out --output, or name another folder"
        )
    model = model_lib.restore(workdir, config.weights)
    operating_point.require_same_cuts(model.experiment.eval, config, workdir)
    if quick:
        model, config = model.once(), config.once()
    model = model.at_threshold(threshold)
    facts = _run_facts(model, timing, workdir)
    if not split.image_ids:
        console.line("no images to evaluate on: metrics are left out")
        content = {"metrics": {}, "run": facts}
        _write_results(output, content)
        return content
    check_classes(model, split)
    found = _predict(model, config, split, batch, console)
    facts["timing"]["predict_s"], facts["root"] = found.seconds, root
    metrics = _metrics(model, found, config, split, console)
    partly = estimated.is_partial(found.results, split.labels)
    tables = {} if partly else _tables(model, found, config)
    content = {"metrics": metrics, "dropped": found.dropped, "tables": tables}
    content["run"] = facts
    _write_results(output, content)
    if jax.process_index() == 0:
        what = found.results, model, found.radius_px, config, split, tables
        outputs.draw_losses(output, workdir)
        outputs.write_files(output, *what)
        outputs.print_metrics(console, metrics, model, output)
    hosts.wait("results are written")
    return content


def _metrics(
    model: model_lib.Model,
    found: _Found,
    config: EvalConfig,
    split: sets.Split,
    console: Console,
) -> dict[str, dict[str, Any]]:
    """What is measured, or estimated where annotations are a part of the cells."""
    decode, radius = dict(model.meta["decode"]), found.radius_px
    what = found.results, model.class_names, config, radius, decode
    if not estimated.is_partial(found.results, split.labels):
        return fitting.metrics(*what)
    for line in estimated.lines(found.results, split, config, radius, decode):
        console.line(line)
    return estimated.metrics(*what, split.labels)


def _predict(
    model: model_lib.Model,
    config: EvalConfig,
    split: sets.Split,
    batch: int,
    console: Console,
) -> _Found:
    """Predicts a split's images, and tells what was done to them.

    Of several processes each predicts its part, and has all results then.
    """
    predictor, frame = ready(model, config, split, batch)
    seen: list[frames.Seen] = []
    ignored: Counter[str] = Counter()
    own = split._replace(image_ids=tuple(hosts.own(split.image_ids)))
    with interrupt.together():
        scenes = predictions.scenes(own, frame, console.track)
        first = next(scenes, None)
        if config.radius_um and first:  # before hours of work
            fitting.radius_px(config, first.key.mpp)
        noted = _noting(
            itertools.chain([first] if first else [], scenes), seen, ignored
        )
        results = predictions.predict_set(predictor.network, noted)
    results = saved.gather(results)
    seen = _of_all(own, seen, ignored)
    dropped = predictions.dropped(split) + ignored
    radius = fitting.radius_px(config, predictions.common_mpp(seen))
    for line in (
        *predictions.dropped_lines(dropped, results),
        *frames.lines(seen, frame),
        *_slot_lines(model, results, [one.windows for one in seen]),
        *predictions.radius_lines(results, radius),
    ):
        console.line(line)
    distance = model.meta["decode"]["min_distance"]
    ratios = [frame.ratio(one.mpp) for one in seen]
    thinned = results_lib.suppress(results, distance, ratios)
    seconds = predictions.seconds_per_image(predictor.network, first) if first else 0.0
    return _Found(thinned, radius, dropped, seconds)


def _tables(
    model: model_lib.Model, found: _Found, config: EvalConfig
) -> dict[str, Any]:
    """Confusion, curves and the like; see `metrics.report` and `metrics.radii`."""
    thresholds = np.asarray(model.meta["decode"]["thresholds"])
    tables = report.tables(
        found.results,
        model.class_names,
        radius_px=found.radius_px,
        thresholds=thresholds,
        protocol=config.protocol,
        strict=config.strict,
    )
    if config.radii_px:
        tables["radii"] = radii.table(
            found.results,
            model.class_names,
            config.radii_px,
            thresholds=thresholds,
            num_bootstrap=config.bootstrap,
            protocol=config.protocol,
            strict=config.strict,
            empty_is_one=config.empty_is_one,
        )
    return tables


def _noting(
    scenes: Iterable[Scene], seen: list[frames.Seen], ignored: Counter[str]
) -> Iterator[Scene]:
    """The scenes, each noted in `seen`, and its cells that do not count."""
    for scene in scenes:
        seen.append(predictions.seen(scene))
        ignored[_IGNORED] += predictions.num_ignored(scene.key)
        yield scene


def _of_all(
    own: sets.Split, seen: list[frames.Seen], ignored: Counter[str]
) -> list[frames.Seen]:
    """What all processes have seen; adds what they repaired and ignored."""
    if jax.process_count() == 1:
        return seen
    repairs = own.source.repairs
    mine = {
        key: repairs.by_image[key] for key in own.image_ids if key in repairs.by_image
    }
    parts = hosts.gather_json([seen, ignored, mine])
    ignored.clear()
    for _, others, found in parts:
        ignored.update(others)
        for image_id, counts in found.items():
            repairs.count(image_id, counts)
    rows = hosts.in_order([part[0] for part in parts])
    return [frames.Seen(how, (hw[0], hw[1]), *others) for how, hw, *others in rows]


def _write_results(output: epath.Path, content: Mapping[str, Any]) -> None:
    if jax.process_index() == 0:
        writer.write_json(output / "results.json", content)


def check_classes(model: model_lib.Model, split: sets.Split) -> None:
    """Raises a DataError unless a set's classes are the model's."""
    found, wanted = split.source.class_names, model.class_names
    if tuple(found) == wanted:
        return
    example = classes.suggest_mapping(found, wanted)
    raise errors.DataError(
        f"the set's classes ({', '.join(found)}) are not the model's "
        f"({', '.join(wanted)}); "
        + (
            f"map them with --config.data.classes, such as {example}"
            if example
            else "the set has fewer: a model of fewer classes can be evaluated on it"
        )
    )


def _slot_lines(
    model: model_lib.Model,
    results: Sequence[results_lib.ImageResult],
    windows: Sequence[int],
) -> list[str]:
    """Warns of images with more cells than a prediction can hold.

    `windows` of each image, each of which is a prediction.
    """
    slots = model.method.traits.max_detections
    thresholds = np.asarray(model.meta["decode"]["thresholds"])
    per_class = model.method.traits.slots_per_class
    full = []
    for one, number in zip(results, windows, strict=True):
        counted = one.pred_labels[one.pred_scores >= thresholds[one.pred_labels]]
        by_class = np.bincount(counted, minlength=1)
        found = by_class.max() if per_class else by_class.sum()
        if 0 < slots * number <= found:
            full.append(one.image_id)
    if not full:
        return []
    return [
        f"warning: {len(full)} of {len(results)} images (such as {full[0]}) have more "
        f"detections than the {slots} that are kept of each window: raise "
        "model.max_detections or the threshold"
    ]


def _run_facts(
    model: model_lib.Model, timing: Mapping[str, Any], workdir: epath.Path
) -> dict[str, Any]:
    """What was run where; the timing of an earlier call is kept."""
    before = writer.read_json(workdir / "results.json")
    earlier = before.get("run", {}).get("timing", {}) if before else {}
    return {
        "timing": dict(timing or earlier or {"seconds": model.meta.get("seconds")}),
        "parameters": sum(x.size for x in jax.tree.leaves(model.params)),
        "step": model.step,
        "seed": model.experiment.seed,
        "seen_once": not model.experiment.eval.has_views,
        "thresholds_from": dict(
            zip(model.class_names, model.threshold_sources(), strict=True)
        ),
        "cells_kept": model.meta["cells_kept"],
        "cells_total": model.meta["cells_total"],
        "devices": [device.device_kind for device in jax.devices()],
        "versions": {
            "cellrec_jax": __version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
    }
