"""Predictions of a set beside its annotations, in px of the images on disk."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
import time
from typing import Any, NamedTuple

import numpy as np
from scipy import spatial

from cellrec_jax.cells import Cells
from cellrec_jax.data import classes, example, sets
from cellrec_jax.data.record import Record
from cellrec_jax.io.console import Console
from cellrec_jax.metrics.results import ImageResult
from cellrec_jax.predict import frame as frames
from cellrec_jax.predict import stream
from cellrec_jax.predict.frame import Frame, Scene, Seen

_MUCH = 0.1  # of the cells that may be dropped without a warning
_TIMED = 7  # predictions behind a time of prediction

Track = Callable[[Iterable[Any], str], Iterable[Any]]


class Truth(NamedTuple):
    """What is annotated in an image, px of its file; the key of its scene."""

    image_id: str
    group: str
    points_yx: np.ndarray
    """f32 [N, 2]."""
    labels: np.ndarray
    """i32 [N]."""
    boxes_yxyx: np.ndarray
    """f32 [N, 4]."""
    valid: np.ndarray | None
    """bool [H, W], where annotations count; None is everywhere."""
    mpp: float
    """Micrometres per px; 0 is unknown."""
    num_cells: int | None = None
    """See `Record`."""


def scenes(
    split: sets.Split,
    frame: Frame,
    track: Track | None = None,
    what: str = "predicting",
) -> Iterator[Scene]:
    """A split's images, read one at a time, with their `Truth`."""
    ids: Iterable[str] = split.image_ids
    for image_id in track(ids, what) if track else ids:
        record = split.source.load(image_id)
        truth = _truth(record, split.spec)
        yield frame.scene(record.image, truth.mpp, key=truth)


def _truth(record: Record, spec: example.ExampleSpec) -> Truth:
    """What a person gave; what is predicted is ignored, deleted cells are none."""
    record = classes.only_given(record, spec.box_size)
    everywhere = record.annotated is None and record.ignore is None
    return Truth(
        record.image_id,
        record.group,
        record.points_yx,
        record.labels,
        example.cell_boxes(record, spec),
        None if everywhere else example.valid_region(record),
        spec.mpp or record.mpp or 0.0,
        record.num_cells,
    )


def predict_set(network: stream.Network, images: Iterable[Scene]) -> list[ImageResult]:
    """Predicts every image of a set, all scores, in px of the images on disk."""
    found = stream.predict_scenes(network, images)
    return [to_result(scene.key, cells) for scene, cells in found]


def num_ignored(truth: Truth) -> int:
    """Cells that do not count, in ignored regions or outside of annotated ones."""
    return int((~example.lie_in(truth.valid, truth.points_yx)).sum())


def to_result(truth: Truth, found: Cells) -> ImageResult:
    """Predictions beside what counts of an image's annotations."""
    counted = example.lie_in(truth.valid, truth.points_yx)
    return ImageResult(
        image_id=truth.image_id,
        group=truth.group,
        pred_points_yx=found.points_yx,
        pred_scores=found.scores,
        pred_labels=found.labels,
        pred_boxes_yxyx=found.boxes_yxyx,
        pred_ignored=~example.lie_in(truth.valid, found.points_yx),
        true_points_yx=truth.points_yx[counted],
        true_labels=truth.labels[counted],
        true_boxes_yxyx=truth.boxes_yxyx[counted],
        num_cells=truth.num_cells,
    )


def dropped(split: sets.Split) -> Counter[str]:
    """What was dropped, repaired or ignored in a split's images, once predicted."""
    repairs, wanted = split.source.repairs, set(split.image_ids)
    found = Counter(dict(repairs))
    for image_id, counts in repairs.by_image.items():
        if image_id not in wanted:
            found.subtract(counts)
    return +found


def dropped_lines(counts: Counter[str], results: Sequence[ImageResult]) -> list[str]:
    """Tells what was dropped, and warns of much: it no longer counts as a cell."""
    lines = list(sets.repair_lines(counts))
    if left_out := counts.get(classes.LEFT_OUT, 0):
        lines.append(
            f"warning: detections of the {left_out} cells that data.classes leaves out "
            "count as false; --config.data.ignore_classes=NAME,NAME ignores them"
        )
    known = (classes.LEFT_OUT, classes.IGNORED)
    gone = sum(
        n for what, n in counts.items() if "dropped" in what and what not in known
    )
    cells = gone + sum(len(one.true_points_yx) for one in results)
    if gone >= _MUCH * cells > 0:
        lines.append(
            f"warning: {gone} of {cells} cells ({gone / cells:.0%}) are dropped: do "
            "the annotations belong to these images, at their size, as x then y?"
        )
    return lines


def seen(scene: Scene) -> Seen:
    """What was done to an image of a set."""
    return scene.seen(scene.key.mpp)


def load(
    split: sets.Split, frame: Frame, console: Console, what: str
) -> tuple[Scene, ...]:
    """A split's images in memory; tells of those that are not as in training."""
    images = tuple(scenes(split, frame, console.track, what))
    for line in frames.lines([seen(scene) for scene in images], frame):
        console.line(f"{what}: {line}")
    return images


def common_mpp(images: Iterable[Truth | Seen]) -> float:
    """Micrometres per px where all images agree, else 0."""
    found = {image.mpp for image in images}
    return found.pop() if len(found) == 1 else 0.0


def radius_lines(results: Sequence[ImageResult], radius_px: float) -> list[str]:
    """Warns of a match radius that reaches the neighbours of cells."""
    nearest = [
        spatial.cKDTree(one.true_points_yx).query(one.true_points_yx, 2)[0][:, 1]
        for one in results
        if len(one.true_points_yx) > 1
    ]
    apart = float(np.median(np.concatenate(nearest))) if nearest else np.inf
    if radius_px <= apart / 2:
        return []
    return [
        f"warning: cells match within {radius_px:g} px, above half the median distance "
        f"of neighbouring cells ({apart:.1f} px), so that a detection may match the "
        f"neighbour: set --config.eval.radius_px, such as {np.floor(apart / 2):g}"
    ]


def seconds_per_image(network: stream.Network, scene: Scene) -> float:
    """Median seconds from an image on the host to its cells, without compiling."""
    seconds = []
    repeats = max(1, _TIMED // sum(scene.windows()))
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        list(stream.predict_scenes(network, [scene]))
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds[1:]))  # the first one may compile
