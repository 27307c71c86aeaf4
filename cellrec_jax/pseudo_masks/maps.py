"""Runs whose method learns from label maps that are made of points before training.

The maps of an image lie in `masks/` of the work directory, each under a digest of what
it was made of. Where points are partial, a detector is trained first, in
`detector/round_N`, and what it finds away from the points joins them.

Source: Qu et al., IEEE Transactions on Medical Imaging, 2020 (`methods.estimate_mask`).
"""

from collections.abc import Callable
import dataclasses
import functools
import hashlib
import time
from typing import NamedTuple
import zipfile

from etils import epath
import jax
import numpy as np
from scipy import spatial

from cellrec_jax import hosts
from cellrec_jax.config import Experiment, limits
from cellrec_jax.data import example as examples
from cellrec_jax.data import sets
from cellrec_jax.data.example import Example
from cellrec_jax.io import atomic
from cellrec_jax.io.console import Console
from cellrec_jax.methods.estimate_mask import labels as label_maps
from cellrec_jax.methods.estimate_mask import options as option_lib
from cellrec_jax.metrics import matching
from cellrec_jax.pseudo_masks import detector as detector_lib
from cellrec_jax.train import loop
from cellrec_jax.types import Method
from cellrec_jax.workdir import model as model_lib

FOLDER = "masks"
"""Of a work directory."""


class Points(NamedTuple):
    """Cells of one image, as label maps are made of them."""

    points_yx: np.ndarray  # f32 [N, 2] px of the network's image
    labels: np.ndarray  # i32 [N]
    num_given: int  # the first of them; the others were found


class Made(NamedTuple):
    """What is kept of an image."""

    maps: np.ndarray  # u8 [H, W, 2], see `label_maps`
    cells: Points


def check(experiment: Experiment) -> None:
    """A ConfigError for parts that a run sets itself, lost points, idle options."""
    part = experiment.options.model.part
    limits.require(
        part == "masks", f"model.part={part}: is set by the run itself; use masks"
    )
    data, points = experiment.data, experiment.options.masks.points
    limits.require(
        points == "found" or (data.keep_rate == 1 and not data.keep_one),
        "masks.points=given makes background of cells that data.keep_rate or "
        "data.keep_one drops: use --config.masks.points=found",
    )
    option_lib.check_acts(experiment.options, experiment.total_steps)


def train(
    experiment: Experiment,
    method: Method,
    workdir: epath.Path,
    data: sets.Sets,
    console: Console,
    init_from: epath.Path | None = None,
) -> loop.Outcome:
    """Trains the detector where it is asked for, makes the maps, trains the network.

    As `loop.train`, errors too. Outcome of the training that was interrupted, else the
    last one's, whose seconds are those of all stages; of the maps those of this
    process, which reads what another one made.
    """
    if init_from is not None:  # refused now, not after the first stage
        model_lib.stored_meta(init_from)
    find, seconds = None, 0.0
    if experiment.options.masks.points == "found":
        trained = detector_lib.train(
            experiment, workdir / detector_lib.FOLDER, data, console
        )
        if isinstance(trained, loop.Outcome):
            return trained
        detector, seconds = trained
        find = detector_lib.finder(detector)
        data = data._replace(notes=())  # they were told
    num_classes = len(data.train.source.class_names)
    make = functools.partial(
        _make,
        options=experiment.options,
        seed=experiment.seed,
        num_classes=num_classes,
        find=find,
        folder=workdir / FOLDER,
    )
    begin = time.monotonic()
    _make_all(experiment, data, make, console)
    seconds += time.monotonic() - begin
    spec = dataclasses.replace(data.train.spec, paint=lambda one: make(one).maps)
    data = data._replace(train=data.train._replace(spec=spec))
    return loop.train(experiment, method, workdir, data, console, init_from, seconds)


def gather(
    example: Example, find: detector_lib.Find | None, distance_px: float
) -> Points:
    """The given cells, and those found farther than a distance (px) from each."""
    points_yx = example.points_yx[example.points_mask]
    labels = example.labels[example.points_mask]
    number = len(labels)
    if find is None:
        return Points(points_yx, labels, number)
    found_yx, found_labels = find(example)
    if number and len(found_yx):
        far = spatial.KDTree(points_yx).query(found_yx)[0] > distance_px
        found_yx, found_labels = found_yx[far], found_labels[far]
    return Points(
        np.concatenate([points_yx, found_yx]),
        np.concatenate([labels, found_labels]),
        number,
    )


def _make(
    example: Example,
    *,
    options: option_lib.Options,
    seed: int,
    num_classes: int,
    find: detector_lib.Find | None,
    folder: epath.Path,
) -> Made:
    """The label maps of a training image and their points; made once, then read."""
    digest = hashlib.sha256(repr((options, seed, num_classes)).encode())
    for part in (example.image, example.valid, example.points_mask):
        digest.update(f"{part.dtype} {part.shape} ".encode())
        digest.update(np.ascontiguousarray(part).tobytes())
    given = (part[example.points_mask] for part in (example.points_yx, example.labels))
    digest.update(b"".join(part.tobytes() for part in given))
    path = folder / f"{digest.hexdigest()[:16]}.npz"
    stored = _read(path)
    if stored is not None:
        return stored
    cells = gather(example, find, options.detector.radius_px)
    maps = label_maps.label_maps(
        example.image,
        cells.points_yx,
        cells.labels,
        example.valid,
        num_classes=num_classes,
        options=options.masks,
        seed=seed,
    )
    with atomic.atomic_path(path) as temporary:
        np.savez_compressed(temporary, maps=maps, **cells._asdict())
    return Made(maps, cells)


def _read(path: epath.Path) -> Made | None:
    """What was written before; None where there is nothing, or it is not whole."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            cells = (stored["points_yx"], stored["labels"], int(stored["num_given"]))
            return Made(stored["maps"], Points(*cells))
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def _make_all(
    experiment: Experiment,
    data: sets.Sets,
    make: Callable[[Example], Made],
    console: Console,
) -> None:
    """Makes the maps of all images, with progress, and says what they are of.

    Of several processes each makes a part, and reads the others' then.
    """
    split, radius_px = data.train, experiment.options.detector.radius_px
    given = found = right = left_out = 0
    if jax.process_count() > 1:
        for image_id in hosts.own(split.image_ids):
            make(examples.prepare(split.source.load(image_id), split.spec))
        hosts.wait("label maps")
    for image_id in console.track(split.image_ids, "label maps"):
        record = split.source.load(image_id)
        example = examples.prepare(record, split.spec)
        cells = make(example).cells
        given += cells.num_given
        new_yx = cells.points_yx[cells.num_given :]
        found += len(new_yx)
        missing_yx = _left_out(examples.prepare(record, data.val.spec), example)
        left_out += len(missing_yx)
        right += len(matching.match_points(new_yx, missing_yx, radius_px))
    if experiment.options.masks.points == "given":
        return
    line = f"detector: {found} cells beside {given} points"
    if left_out and not experiment.data.jitter_px:  # else they are not told apart
        others = found - right
        line += f"; {right} of the {left_out} that were left out, {others} others"
    console.line(line)


def _left_out(whole: Example, example: Example) -> np.ndarray:
    """Annotated cells [N, 2] px that training does not see."""
    all_yx = whole.points_yx[whole.points_mask]
    kept_yx = example.points_yx[example.points_mask]
    if not len(kept_yx) or not len(all_yx):
        return all_yx
    return all_yx[spatial.KDTree(kept_yx).query(all_yx)[0] > 0]
