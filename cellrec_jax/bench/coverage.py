"""What a part of the labels says against all of them, in draws of that part.

Of fully annotated predictions, `--results FILE,FILE` (`predictions/all_scores.npz` of
work directories), else of a simulated detector; classes are merged. Labels are drawn
anew, `--repeats` times each way: "share", a nested share of each image as
`data.val_keep_rate`, or "chance", each by itself. `covers_*`: how often the 95 %
intervals of `metrics.partial` hold what all labels say at the threshold that is best by
all of them, and (`covers_cut`) that threshold, by the known share. `warned`: how often
such labels look chosen. `lost_*`: F1 by all labels at the thresholds that each rule
takes of the part, below the best.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cellrec_jax.bench.report import Report, Row, Say, Settings
from cellrec_jax.data import keyed
from cellrec_jax.evaluate import saved
from cellrec_jax.metrics import counting, partial, samples
from cellrec_jax.metrics import results as results_lib
from cellrec_jax.metrics.results import ImageResult

SHARES = (0.1, 0.2, 0.5)
WAYS = ("share", "chance")
REPEATS = 200
SIMULATED = "simulated"
_RADIUS = 12.0
_UNLIKELY = 0.01  # as `evaluate.estimated` warns


class Drawn(NamedTuple):
    """What one draw of labels says."""

    covers: Mapping[str, bool]
    lost: Mapping[str, float]
    warned: bool
    num_labels: int


class _Whole(NamedTuple):
    """What all labels say."""

    pooled: results_lib.Pooled
    f1: np.ndarray
    """f64 [D + 1] after each detection, first of none."""
    cut: float
    """The best threshold."""
    truth: Mapping[str, float]
    """There."""


def run(settings: Settings, say: Say) -> Report:
    """Draws labels of each set of predictions, at each share and in each way."""
    named = {str(path): saved.load(path) for path in settings.results}
    if not named:
        named = {SIMULATED: saved.Saved(simulate(8, 120), ("cell",), _RADIUS)}
    rows = []
    for name, (results, _, radius_px) in named.items():
        for share in SHARES:
            for way in WAYS:
                say(f"coverage: {name}, {share:g}, {way}")
                number = settings.repeats or REPEATS
                rows.append(measure(name, results, radius_px, share, way, number))
    return Report(tuple(rows))


def measure(
    name: str,
    results: Sequence[ImageResult],
    radius_px: float,
    share: float,
    way: str,
    number: int,
) -> Row:
    """The row of one set, share and way of drawing."""
    whole = _whole(results, radius_px)
    found = [draw(results, radius_px, whole, share, way, n) for n in range(number)]
    labels = np.mean([one.num_labels for one in found])
    row: dict[str, Any] = {"set": name, "drawn": way, "share": share}
    row |= {"labels": float(labels), "draws": number}
    for part in found[0].covers:
        row[f"covers_{part}"] = float(np.mean([one.covers[part] for one in found]))
    row["warned"] = float(np.mean([one.warned for one in found]))
    row["f1"] = whole.truth["F1"]
    for rule in partial.RULES:
        row[f"lost_{rule}"] = float(np.mean([one.lost[rule] for one in found]))
    return row


def draw(
    results: Sequence[ImageResult],
    radius_px: float,
    whole: Any,
    share: float,
    way: str,
    seed: int,
) -> Drawn:
    """Draws labels once, and compares what they say with `whole`."""
    few = [_thinned(one, share, way, seed) for one in results]
    pooled = _pool(few, radius_px)
    number, total = int(pooled.num_truth.sum()), int(whole.pooled.num_truth.sum())
    known = number / total if way == "share" else share
    predicted = _num_above(pooled.scores, whole.cut)
    labelled = pooled.is_tp[:predicted]
    counts = (labelled.sum(), predicted, number)
    estimated = partial.estimates(
        counting.PointCounts(*(np.array([[count]]) for count in counts)),
        known,
        radius_px,
        exact=way == "share",
        seed=seed,
    )
    covers = {
        part: _holds(estimated[_key(part, radius_px)][0][1:], value)
        for part, value in whole.truth.items()
    }
    cuts = {
        rule: counting.best_threshold(
            pooled.scores, pooled.is_tp, number, partial.rule_of(rule, known)
        )
        for rule in partial.RULES
    }
    ((low, high),) = partial.threshold_intervals(
        few, radius_px, 1, partial.rule_of("known_share", known), shared=True, seed=seed
    )
    covers["cut"] = bool(low <= whole.cut <= high)
    best = whole.truth["F1"]
    lost = {
        rule: best - float(whole.f1[_num_above(pooled.scores, cut)])
        for rule, cut in cuts.items()
    }
    values = partial.chosen(pooled.scores[:predicted], labelled, known)
    warned = min(values.values(), default=1.0) * len(values) < _UNLIKELY
    return Drawn(covers, lost, bool(warned), number)


def simulate(num_images: int, num_cells: int, seed: int = 0) -> list[ImageResult]:
    """Images on which a detector finds 90 % of the cells, and as many other places."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(2 * num_cells)))
    results = []
    for index in range(num_images):
        order = rng.permutation(side * side)[: 2 * num_cells]
        places = np.stack(np.divmod(order, side), axis=1) * 30.0 + 15.0
        found = places[:num_cells][rng.random(num_cells) < 0.9]
        moved = found + rng.uniform(-6, 6, found.shape)
        scores = np.r_[rng.beta(4, 2, len(found)), rng.beta(1, 3, num_cells)]
        points = np.r_[moved, places[num_cells:]]
        results.append(
            ImageResult(
                image_id=str(index),
                group="",
                pred_points_yx=points.astype(np.float32),
                pred_scores=scores.astype(np.float32),
                pred_labels=np.zeros(len(points), np.int32),
                pred_boxes_yxyx=None,
                pred_ignored=np.zeros(len(points), bool),
                true_points_yx=places[:num_cells].astype(np.float32),
                true_labels=np.zeros(num_cells, np.int32),
                true_boxes_yxyx=None,
            )
        )
    return results


def _whole(results: Sequence[ImageResult], radius_px: float) -> _Whole:
    pooled = _pool(results, radius_px)
    total = int(pooled.num_truth.sum())
    hits = np.concatenate([[0], np.cumsum(pooled.is_tp)])
    f1 = counting.f1_of(hits, np.arange(len(hits)), total)
    cut = counting.best_threshold(pooled.scores, pooled.is_tp, total)
    number = _num_above(pooled.scores, cut)
    truth = {
        "recall": hits[number] / total,
        "precision": hits[number] / max(number, 1),
        "F1": float(f1[number]),
        "count": float(total),
    }
    return _Whole(pooled, f1, cut, truth)


def _pool(results: Sequence[ImageResult], radius_px: float) -> results_lib.Pooled:
    return results_lib.pool_points(results_lib.as_one_class(results), 0, radius_px)


def _thinned(one: ImageResult, share: float, way: str, seed: int) -> ImageResult:
    """An image with a part of its labels."""
    if way == "share":
        return saved.with_part_of_labels(one, share, seed)
    words = keyed.words(f"chance {seed}/{one.image_id}", len(one.true_labels))
    kept = words < share * 2.0**64
    return one._replace(
        true_points_yx=one.true_points_yx[kept], true_labels=one.true_labels[kept]
    )


def _key(part: str, radius_px: float) -> str:
    return f"{part}_estimated" + (f"@{radius_px:g}px" if part != "count" else "")


def _num_above(scores: np.ndarray, cut: float) -> int:
    """Of falling scores."""
    return int(np.searchsorted(-scores, -np.float32(cut), side="right"))


def _holds(values: np.ndarray, truth: float) -> bool:
    low, high = samples.interval(values)
    assert low is not None  # there are labels
    assert high is not None
    return low - 1e-9 <= truth <= high + 1e-9
