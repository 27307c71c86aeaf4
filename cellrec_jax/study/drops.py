"""What sparse labels cost each row of a sweep, beside what they cost a plain training.

A row's drop is its value with most labels less that with few, of the same seed and
fold. Drops are compared in the same images: a draw of test images, with replacement,
is one for all runs. Detections are pooled within a run, not over folds, whose networks
score differently; seeds and folds are averaged, as in tables of sweeps.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from etils import epath
import numpy as np

from cellrec_jax import errors, methods
from cellrec_jax.config import DataConfig, Experiment
from cellrec_jax.data import sets
from cellrec_jax.evaluate import predictions, saved
from cellrec_jax.evaluate import workdir as evaluation
from cellrec_jax.metrics import counting, report, samples
from cellrec_jax.metrics import results as results_lib
from cellrec_jax.metrics.results import ImageResult
from cellrec_jax.workdir import model as model_lib
from cellrec_jax.workdir import writer

COLUMNS = (
    *("row", "metric", "kept", "runs", "images", "sparse", "all", "drop", "of all"),
    *("ratio", "gain", "gain_low", "gain_high", "above 0"),
)
"""Of `compare`. kept: the rates; sparse, all: the values there; of all: sparse by the
reference's all; ratio: the drop by the reference's; gain: the reference's drop less
this one, with its 95 % interval over draws and the share of draws where it is above 0
(None of the reference itself)."""

_NAMED = ("row", "metric", "kept")
_Key = tuple[int, int, int]  # seed, keep_seed, fold


class _Run(NamedTuple):
    workdir: str
    kept: float
    """Share of the annotations that training saw; 0 is one an image."""
    key: _Key
    results: list[ImageResult]
    class_names: tuple[str, ...]
    radius_px: float
    thresholds: np.ndarray
    experiment: Experiment


class _Pair(NamedTuple):
    """Runs of one label."""

    sparse: Mapping[_Key, _Run]
    full: Mapping[_Key, _Run]


def compare(
    named: Mapping[str, Sequence[str]],
    *,
    sparse: float | None = None,
    full: float | None = None,
    num_bootstrap: int = 1000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Rows of each label, the first of which is the reference, for each measure.

    `named` are finished work directories of two keep rates or more; `sparse` and
    `full` are the least and the greatest of those if None, 0 is one annotation an
    image. Measures are AP, AP11 and recall by boxes, where there are some, and F1 at
    each run's own thresholds. ConfigError for a label without runs of both rates that
    the reference has too, and for runs that differ in their test images.
    """
    runs = {label: [_read(one) for one in found] for label, found in named.items()}
    everything = [one for found in runs.values() for one in found]
    rates = sorted({one.kept for one in everything})
    few = rates[0] if sparse is None else sparse
    most = rates[-1] if full is None else full
    _require_alike(everything)
    images = dict.fromkeys(r.image_id for one in everything for r in one.results)
    weights = samples.draw(len(images), num_bootstrap, seed)
    columns = {image: column for column, image in enumerate(images)}
    pairs: dict[str, _Pair] = {}
    for label, found in runs.items():
        few_of, most_of = (_by_key(label, found, kept) for kept in (few, most))
        pairs[label] = _Pair(few_of, most_of)
    measured = {
        one.workdir: _measure(
            one, weights[:, [columns[r.image_id] for r in one.results]]
        )
        for pair in pairs.values()
        for side in pair
        for one in side.values()
    }
    reference = next(iter(pairs))
    rows: list[dict[str, Any]] = []
    for label, pair in pairs.items():
        keys = _shared(label, pair, pairs[reference])
        row: dict[str, Any] = {"row": label, "kept": f"{_text(few)}, {_text(most)}"}
        row |= {"runs": len(keys), "images": _num_images(pair, keys)}
        own, theirs = (_means(p, keys, measured) for p in (pair, pairs[reference]))
        for metric, values in own.items():
            found_there = _row(values, theirs[metric], label == reference)
            rows.append(row | {"metric": metric} | found_there)
    return rows


def join(tables: Sequence[Sequence[Mapping[str, str]]]) -> list[dict[str, Any]]:
    """Rows that all of several tables have, of test images that no two share.

    Tables are written rows of `compare`, as of folds whose runs are not kept together;
    that their images are others is not checked. Values are means over runs; the ends of
    an interval lie as far from the mean gain as those of the tables from theirs, in
    quadrature, each weighted by its share of the runs. "above 0" is of draws, and None
    here. ConfigError where no row is in all, by name, measure and keep rates, and for
    tables of two references.
    """
    by_key = [
        {tuple(row[name] for name in _NAMED): _numbers(row) for row in rows}
        for rows in tables
    ]
    shared = [key for key in by_key[0] if all(key in one for one in by_key)]
    if not shared:
        raise errors.ConfigError(
            "--join: no row of the same name, measure and keep rates is in all tables"
        )
    references = {rows[0]["row"] for rows in tables}
    if len(references) > 1:
        raise errors.ConfigError(
            f"--join: what others are compared with is not one row: "
            f"{', '.join(sorted(references))}"
        )
    (reference,) = references
    joined = {key: _joined([one[key] for one in by_key]) for key in shared}
    for (_, metric, kept), row in joined.items():
        theirs = joined[reference, metric, kept]  # all rows have its measures
        row["of all"] = _over(row["sparse"], theirs["all"])
        row["ratio"] = _over(row["drop"], theirs["drop"])
    return list(joined.values())


def _numbers(row: Mapping[str, str]) -> dict[str, Any]:
    """A written row, its figures as numbers."""
    numbers = {
        key: float(value) if value else None
        for key, value in row.items()
        if key not in _NAMED
    }
    counts = {key: int(row[key]) for key in ("runs", "images")}
    return {key: row[key] for key in _NAMED} | numbers | counts


def _joined(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One row of several of one name and measure."""
    number = sum(row["runs"] for row in rows)
    shares = [row["runs"] / number for row in rows]

    def mean(key: str) -> float | None:
        if any(row[key] is None for row in rows):
            return None
        return sum(share * row[key] for share, row in zip(shares, rows, strict=True))

    def end(key: str, sign: int) -> float | None:
        middle = mean("gain")
        if middle is None or mean(key) is None:
            return None
        apart = (s * (r[key] - r["gain"]) for s, r in zip(shares, rows, strict=True))
        return middle + sign * sum(one**2 for one in apart) ** 0.5

    found = {key: rows[0][key] for key in _NAMED}
    found |= {"runs": number, "images": sum(row["images"] for row in rows)}
    found |= {key: mean(key) for key in ("sparse", "all", "drop", "gain")}
    found |= {"gain_low": end("gain_low", -1), "gain_high": end("gain_high", 1)}
    return found | {"above 0": None}


def _means(
    pair: _Pair, keys: Sequence[_Key], measured: Mapping[str, dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Metric -> [2, S], few labels and many, over runs; NaN where one has none."""
    sides = [[measured[side[key].workdir] for key in keys] for side in pair]
    return {
        metric: np.array([np.mean([run[metric] for run in side], 0) for side in sides])
        for metric in sides[0][0]
    }


def _num_images(pair: _Pair, keys: Sequence[_Key]) -> int:
    return len({one.image_id for key in keys for one in pair.sparse[key].results})


def _row(own: np.ndarray, theirs: np.ndarray, is_reference: bool) -> dict[str, Any]:
    """Of values [2, S], the set itself first."""
    drop, their_drop = (values[1] - values[0] for values in (own, theirs))
    gain = their_drop - drop
    defined = gain[1:][np.isfinite(gain[1:])]
    found = {
        "sparse": samples.number(own[0, 0]),
        "all": samples.number(own[1, 0]),
        "drop": samples.number(drop[0]),
        "of all": _over(own[0, 0], theirs[1, 0]),
        "ratio": _over(drop[0], their_drop[0]),
    }
    if is_reference:
        return found | dict.fromkeys(("gain", "gain_low", "gain_high", "above 0"))
    low, high = samples.interval(gain[1:])
    above = float(np.mean(defined > 0)) if len(defined) else None
    found |= {"gain": samples.number(gain[0]), "gain_low": low, "gain_high": high}
    return found | {"above 0": above}


def _over(value: float, other: float) -> float | None:
    return samples.number(value / other) if other else None


def _measure(run: _Run, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Metric -> values [S] of the sets that `weights` [S, I] draw of a run's images."""
    config = run.experiment.eval
    by_box, _, _ = report.box_samples(
        run.results, len(run.class_names), weights, config.iou, config.voc_plus_one
    )
    counts = counting.point_counts(
        run.results,
        run.thresholds,
        run.radius_px,
        protocol=config.protocol,
        strict=config.strict,
    )
    name = f"F1@{run.radius_px:g}px"
    counted = counting.count_samples(counts, weights, run.radius_px)
    found = {metric: by_box[metric][0] for metric in ("AP", "AP11", "recall")}
    found = {key: values for key, values in found.items() if np.isfinite(values[0])}
    return found | {name: counted[name][0]}


def _by_key(label: str, runs: Sequence[_Run], kept: float) -> dict[_Key, _Run]:
    """A label's runs of one keep rate; ConfigError for two of one seed and fold."""
    found: dict[_Key, _Run] = {}
    for one in runs:
        if one.kept != kept:
            continue
        if one.key in found:
            raise errors.ConfigError(
                f"{label}: {found[one.key].workdir} and {one.workdir} are of one seed, "
                f"fold and keep rate: leave one out"
            )
        found[one.key] = one
    return found


def _shared(label: str, own: _Pair, reference: _Pair) -> list[_Key]:
    """Seeds and folds of which all four runs are there, in the same images."""
    sides = (*own, *reference)
    keys = [key for key in own.sparse if all(key in side for side in sides)]
    if not keys:
        raise errors.ConfigError(
            f"{label}: no seed and fold with runs of both keep rates, of it and of the "
            "first label: finish them, name rates by --sparse and --full, or leave it "
            "out"
        )
    for key in keys:
        images = [[one.image_id for one in side[key].results] for side in sides]
        if any(other != images[0] for other in images):
            raise errors.ConfigError(
                f"{own.sparse[key].workdir}: other test images than those it is "
                "compared with"
            )
    return keys


def _require_alike(runs: Sequence[_Run]) -> None:
    first = runs[0]
    for one in runs:
        if (one.class_names, one.radius_px) != (first.class_names, first.radius_px):
            raise errors.ConfigError(
                f"{one.workdir}: other classes or another match radius than "
                f"{first.workdir}"
            )


def _read(workdir: str) -> _Run:
    """A finished run, from its files; predicts again where these lack its boxes."""
    folder = epath.Path(workdir).expanduser()
    stored = writer.read_json(folder / "config.json")
    found = writer.read_json(folder / "results.json")
    if not stored or not found or not found.get("metrics"):
        raise errors.ConfigError(f"{workdir}: no results of test images; finish it")
    experiment = methods.from_json(stored)
    results, names, radius_px = saved.load(folder / "predictions" / saved.FILE)
    entry = found["metrics"].get(f"F1@{radius_px:g}px", {})
    if "thresholds" not in entry:
        raise errors.ConfigError(
            f"{workdir}: no F1@{radius_px:g}px, as of images annotated in part"
        )
    if "AP" in found["metrics"] and any(r.pred_boxes_yxyx is None for r in results):
        results = _predict(folder, experiment) if _has_boxes(found) else results
    thresholds = np.array([entry["thresholds"][name] for name in names])
    key = (experiment.seed, experiment.data.keep_seed, experiment.data.fold)
    kept = _kept(experiment.data)
    return _Run(workdir, kept, key, results, names, radius_px, thresholds, experiment)


def _has_boxes(found: Mapping[str, Any]) -> bool:
    return found["metrics"]["AP"].get("value") is not None


def _predict(folder: epath.Path, experiment: Experiment) -> list[ImageResult]:
    """The test images' detections, thinned as `evaluate.workdir` does."""
    model = model_lib.restore(folder, experiment.eval.weights)
    split = sets.open_for_evaluation(experiment.data, experiment.seed, whole=False)
    predictor, frame = evaluation.ready(model, experiment.eval, split)
    scenes = list(predictions.scenes(split, frame))
    found = predictions.predict_set(predictor.network, scenes)
    distance = model.meta["decode"]["min_distance"]
    return results_lib.suppress(found, distance, [scene.ratio for scene in scenes])


def _kept(data: DataConfig) -> float:
    return 0.0 if data.keep_one else data.keep_rate


def _text(kept: float) -> str:
    return f"{kept:g}" if kept else "one an image"
