"""What is reported where labels are a part of the cells: estimates, never measures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from cellrec_jax.config import EvalConfig
from cellrec_jax.data import example
from cellrec_jax.data.sets import Labels, Split
from cellrec_jax.evaluate import fitting
from cellrec_jax.metrics import counting, partial, samples
from cellrec_jax.metrics import results as results_lib
from cellrec_jax.metrics.results import ImageResult

_UNLIKELY = 0.01
"""A p value below which labels are no random sample."""


def is_partial(results: Sequence[ImageResult], labels: Labels) -> bool:
    """Whether labels are a part of the cells."""
    return labels.share != 1 or any(one.num_cells is not None for one in results)


def metrics(
    results: list[ImageResult],
    class_names: tuple[str, ...],
    config: EvalConfig,
    radius: float,
    decode: Mapping[str, Any],
    labels: Labels,
) -> dict[str, dict[str, Any]]:
    """`partial.estimates` at the stored operating point, as `fitting.metrics`.

    With the labels' `share` of the cells (None unknown); intervals are of the labels
    of these images, not of images.
    """
    rule: dict[str, Any] = {"protocol": config.protocol, "strict": config.strict}
    cuts = np.asarray(decode["thresholds"])
    counts = counting.point_counts(results, cuts, radius, **rule)
    share = fitting.share_of(results, labels)
    found = samples.entries(
        partial.estimates(
            counts, share, radius, exact=labels.share == 1, num=config.bootstrap
        ),
        class_names,
        counts.num_predicted.sum(axis=0),
        counts.num_truth.sum(axis=0),
        len(results),
    )
    rule |= {
        "share": share or None,
        "thresholds": dict(zip(class_names, map(float, cuts), strict=True)),
    }
    return {name: _of_labels(entry) | rule for name, entry in found.items()}


def _of_labels(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry that calls labels so, and no truth."""
    names = {"num_truth": "num_labels"}
    return {names.get(name, name): value for name, value in entry.items()}


def lines(
    results: list[ImageResult],
    split: Split,
    config: EvalConfig,
    radius: float,
    decode: Mapping[str, Any],
) -> Iterator[str]:
    """What estimates rest on, and a warning where labels look chosen."""
    share = fitting.share_of(results, split.labels)
    marked = f"{share:.1%}" if share else "an unknown share"
    what = "what follows" if share else "recall alone"
    yield (
        f"annotations mark {marked} of the cells: {what} is estimated, for a random "
        "sample of them; intervals are of that sample, in these images"
    )
    kept = results_lib.above_thresholds(results, np.asarray(decode["thresholds"]))
    pooled = results_lib.pool_points(
        results_lib.as_one_class(kept), 0, radius, strict=config.strict
    )
    scores = np.concatenate([np.zeros(0), *(one.pred_scores for one in kept)])
    stains = np.concatenate([np.zeros(0), *_lightness(kept, split, radius)])
    order = np.argsort(-scores, kind="stable")  # as pooled
    values = partial.chosen(pooled.scores, pooled.is_tp, share, stains[order])
    odd = {name: p for name, p in values.items() if p * len(values) < _UNLIKELY}
    if odd:
        found = ", ".join(f"{name} (p = {p:.1g})" for name, p in odd.items())
        yield (
            f"warning: annotated cells have {found} among the detections: they look "
            "chosen, or data.marked_share is wrong; estimates hold for a random sample"
        )


def _lightness(
    results: Sequence[ImageResult], split: Split, radius: float
) -> Iterator[np.ndarray]:
    """Mean lightness f32 [M] of the middle of each detection, in [0, 1]."""
    width = 2 * int(radius / 4) + 1
    for one in results:
        image = split.source.load(one.image_id).image
        scaled = example.to_uint8(image).mean(axis=-1, dtype=np.float32) / 255
        smooth = ndimage.uniform_filter(scaled, width, mode="nearest")
        row, column = np.floor(one.pred_points_yx).astype(int).T
        row, column = (
            np.clip(place, 0, side - 1)
            for place, side in zip((row, column), smooth.shape, strict=True)
        )
        yield smooth[row, column]
