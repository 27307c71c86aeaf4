"""Energies of training's boxes over its steps, as Fig. 2 of the BDE paper.

Li et al., A Robust Training Method for Pathological Cellular Detector via Spatial Loss
Calibration, 2021, draw that boxes gather around cells as training goes on. Here also as
numbers: the mean energy (Eq. 8) of boxes on annotated and other cells and elsewhere.
"""

from collections.abc import Iterator, Sequence
import functools
from typing import Any, NamedTuple

from etils import epath
import jax
import numpy as np

from cellrec_jax import errors, methods
from cellrec_jax.config import Experiment
from cellrec_jax.data import arrays, augment, sets
from cellrec_jax.methods.calibrated_rcnn import method as detector
from cellrec_jax.methods.calibrated_rcnn.sampled import Sampled
from cellrec_jax.metrics import curves, ranking
from cellrec_jax.study import complete
from cellrec_jax.train import step as step_lib
from cellrec_jax.types import Batch
from cellrec_jax.workdir import checkpoint
from cellrec_jax.workdir import model as model_lib

KINDS = ("annotated", "unannotated", "background")
"""Of boxes: matched with an annotation; as near to a cell without one; others."""
COLUMNS = (
    *("label", "run", "step", "share"),
    *(f"energy_{kind}" for kind in KINDS),
    *(f"boxes_{kind}" for kind in KINDS),
    *("AUC_energy", "AUC_score"),
)
"""Of `measure`: `share` of the training's steps."""
SHARES = (0.1, 0.4, 0.7, 1.0)
"""Of the paper's four pictures."""
_FAR = 0.05  # of the steps: a picture further from its share is told of


class Run(NamedTuple):
    """A run with checkpoints of several steps, and its training images."""

    workdir: epath.Path
    experiment: Experiment
    steps: tuple[int, ...]
    """Of checkpoints, rising."""
    image_ids: tuple[str, ...]
    seen: Batch
    """All images with the annotations that training sees."""
    whole: Batch
    """The same with all annotations."""
    num_classes: int


class Window(NamedTuple):
    """A window that training could see, px of its own."""

    batch: Batch
    """Of one image, with the annotations that training sees."""
    cells_yxyx: np.ndarray
    """f32 [N, 4]; boxes of all cells, annotated or not."""


class Panel(NamedTuple):
    """A window at one step of training."""

    step: int
    share: float
    image: np.ndarray
    """f32 [H, W, C] in [0, 1]."""
    boxes_yxyx: np.ndarray
    """f32 [S, 4] regression boxes."""
    annotated_yxyx: np.ndarray
    """f32 [N, 4]."""
    cells_yxyx: np.ndarray
    """f32 [N, 4], of all cells."""


def open_run(workdir: str) -> Run:
    """Reads a run's training images; ConfigError for other methods or one checkpoint.

    The data set has the annotations that the run left out.
    """
    folder = epath.Path(workdir).expanduser()
    meta = model_lib.stored_meta(folder)
    experiment = methods.from_json(meta["config"])
    if experiment.method != "calibrated_rcnn":
        raise errors.ConfigError(
            f"{workdir}: is of {experiment.method}; give work directories of "
            "calibrated_rcnn"
        )
    steps = checkpoint.complete_steps(folder)
    if len(steps) < 2:
        raise errors.ConfigError(
            f"{workdir}: has a checkpoint of step {steps[-1]} alone; "
            f"{_flags(experiment.total_steps)}"
        )
    split = sets.open_sets(experiment.data, experiment.seed).train
    return Run(
        folder,
        experiment,
        tuple(steps),
        split.image_ids,
        sets.load_train(split).images,
        complete.load(split).images,
        len(meta["class_names"]),
    )


def _flags(total_steps: int) -> str:
    every = max(total_steps // 10, 1)
    return (
        f"train anew with --config.checkpoint.every={every} --config.checkpoint.keep=10"
    )


def windows(run: Run, draws: int = 1) -> Iterator[Window]:
    """Draws windows of every image as training does, the same at each call."""
    options = step_lib.augment_from(run.experiment)
    draw = jax.jit(functools.partial(augment.augment, options=options))
    rng = jax.random.key(run.experiment.seed)
    for number in range(draws):
        both = (arrays.eval_batches(one, 1) for one in (run.seen, run.whole))
        for seen, whole in zip(*both, strict=True):
            index = seen.example_index + np.int32(number * len(run.image_ids))
            seen, whole = (one._replace(example_index=index) for one in (seen, whole))
            found = jax.device_get(draw(whole, rng))
            yield Window(draw(seen, rng), found.boxes_yxyx[found.points_mask])


def kinds(boxes: Sampled, cells_yxyx: np.ndarray, iou: float) -> np.ndarray:
    """Which of `KINDS` each real box of an image is, int [S].

    Boxes without an annotation that overlap a cell by `iou` or more would be matched
    with it, were it annotated.
    """
    overlaps = curves.pairwise_iou(np.asarray(boxes.rois_yxyx), cells_yxyx)
    overlap = overlaps.max(axis=1, initial=0.0)
    found = np.where(boxes.positive, 0, np.where(overlap >= iou, 1, 2))
    return found[np.asarray(boxes.mask)]


def measure(label: str, workdir: str, *, draws: int = 4) -> list[dict[str, Any]]:
    """Rows of a run, one a checkpoint: energies and numbers of boxes by their kind.

    Of `draws` windows of each training image; `AUC_energy` is the share of pairs of an
    unannotated cell's box and one of background where that of the cell has less energy,
    `AUC_score` where it has the higher score. None where there are no such boxes.
    """
    run = open_run(workdir)
    iou = run.experiment.options.model.roi_positive_iou
    rows = []
    for step in run.steps:
        found = [
            (boxes, kinds(boxes, window.cells_yxyx, iou))
            for window, boxes in at_step(run, step, windows(run, draws))
        ]
        values = {
            name: np.concatenate([getattr(one, name)[one.mask] for one, _ in found])
            for name in ("energy", "score")
        }
        kind = np.concatenate([one for _, one in found])
        share = step / run.experiment.total_steps
        facts = {"label": label, "run": workdir, "step": step, "share": share}
        rows.append(facts | summary(values["energy"], values["score"], kind))
    return rows


def summary(
    energy: np.ndarray, score: np.ndarray, kind: np.ndarray
) -> dict[str, float | None]:
    """Means, numbers and areas of `COLUMNS` of boxes [S]; None where undefined."""
    found: dict[str, float | None] = {}
    for index, name in enumerate(KINDS):
        own = energy[kind == index]
        found[f"energy_{name}"] = float(own.mean()) if len(own) else None
        found[f"boxes_{name}"] = len(own)
    free = kind > 0
    cells = kind[free] == 1
    both = cells.any() and not cells.all()
    for name, values in (("energy", -energy), ("score", score)):
        found[f"AUC_{name}"] = ranking.auc(values[free], cells) if both else None
    return found


def panels(workdir: str, image_id: str = "") -> list[Panel]:
    """A training image ("" the first) at the checkpoints nearest to `SHARES`."""
    run = open_run(workdir)
    chosen = image_id or run.image_ids[0]
    if chosen not in run.image_ids:
        raise errors.ConfigError(
            f"--image {chosen}: choose among {', '.join(run.image_ids)}"
        )
    place = run.image_ids.index(chosen)
    window = next(one for i, one in enumerate(windows(run)) if i == place)
    batch = jax.device_get(window.batch)
    total = run.experiment.total_steps
    found = []
    for step in nearest(run.steps, total):
        ((_, boxes),) = at_step(run, step, [window])
        annotated = np.asarray(batch.boxes_yxyx)[np.asarray(batch.points_mask)]
        here = np.asarray(boxes.decoded_yxyx)[np.asarray(boxes.mask)]
        shown = (np.asarray(batch.image[0]), here, annotated, window.cells_yxyx)
        found.append(Panel(step, step / total, *shown))
    return found


def nearest(steps: Sequence[int], total_steps: int) -> list[int]:
    """Those of the steps that are nearest to `SHARES` of all, each once.

    Example:
      >>> nearest([25, 50, 75, 100], 100)
      [25, 50, 75, 100]
    """
    wanted = [share * total_steps for share in SHARES]
    chosen = [min(steps, key=lambda step: abs(step - place)) for place in wanted]
    return sorted(set(chosen))


def far(panels: Sequence[Panel], label: str) -> str:
    """What to say where pictures are far from the paper's `SHARES`; else nothing."""
    seen = np.array([panel.share for panel in panels])
    if all(np.abs(seen - share).min() <= _FAR for share in SHARES):
        return ""
    total = round(panels[-1].step / panels[-1].share)
    return (
        f"note: {label}: no checkpoints near 10, 40, 70 and 100 % of the steps; "
        f"{_flags(total)}"
    )


def at_step(
    run: Run, step: int, windows: Iterator[Window] | Sequence[Window]
) -> Iterator[tuple[Window, Sampled]]:
    """What the network of a step makes of windows, [S, ...] of each.

    The same anchors and boxes are drawn at every step, as far as there are the same.
    """
    model = model_lib.restore(run.workdir, step)
    look = _program(run.experiment.options, run.num_classes)
    for window in windows:
        found = jax.device_get(look(model.params, model.model_state, window.batch))
        yield window, jax.tree.map(lambda array: array[0], found)


@functools.lru_cache(maxsize=2)
def _program(options: Any, num_classes: int) -> Any:
    """(parameters, state, batch) -> `Sampled`, compiled once."""

    def look(params: Any, state: Any, batch: Batch) -> Sampled:
        return detector.sampled_boxes(
            params,
            state,
            batch,
            jax.random.key(0),
            options=options,
            num_classes=num_classes,
        )

    return jax.jit(look)
