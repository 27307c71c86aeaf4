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
from typing import Any, NamedTuple
import zipfile

from etils import epath
import jax
import jax.numpy as jnp
import numpy as np
from scipy import spatial

from cellrec_jax import errors, methods
from cellrec_jax.config import Experiment, limits
from cellrec_jax.data import augment, sets
from cellrec_jax.data import example as examples
from cellrec_jax.data.example import Example
from cellrec_jax.io import atomic
from cellrec_jax.io.console import Console
from cellrec_jax.methods.estimate_mask import labels as label_maps
from cellrec_jax.methods.estimate_mask import options as option_lib
from cellrec_jax.metrics import matching
from cellrec_jax.train import loop
from cellrec_jax.types import FIRST, Batch, Decode, Method
from cellrec_jax.workdir import checkpoint, directory
from cellrec_jax.workdir import model as model_lib

MASKS, DETECTOR = "masks", "detector"
"""Folders of a work directory."""


class Points(NamedTuple):
    """Cells of one image, as label maps are made of them."""

    points_yx: np.ndarray  # f32 [N, 2] px of the network's image
    labels: np.ndarray  # i32 [N]
    num_given: int  # the first of them; the others were found


Find = Callable[[Example], tuple[np.ndarray, np.ndarray]]
"""A training image -> points [N, 2] px and labels [N] of what a detector finds."""


def check(experiment: Experiment) -> None:
    """Refuses parts of the method that a run sets itself (ConfigError)."""
    part = experiment.options.model.part
    limits.require(
        part == "masks", f"model.part={part}: is set by the run itself; use masks"
    )


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
    last one's.
    """
    if init_from is not None:  # refused now, not after the first stage
        model_lib.stored_meta(init_from)
    find = None
    if experiment.options.masks.points == "found":
        detector = _train_detector(experiment, workdir / DETECTOR, data, console)
        if isinstance(detector, loop.Outcome):
            return detector
        find = _finder(detector)
        data = data._replace(notes=())  # they were told
    num_classes = len(data.train.source.class_names)
    paint = functools.partial(
        _paint,
        options=experiment.options,
        seed=experiment.seed,
        num_classes=num_classes,
        find=find,
        folder=workdir / MASKS,
    )
    _make_maps(experiment, data, paint, find, console)
    spec = dataclasses.replace(data.train.spec, paint=paint)
    data = data._replace(train=data.train._replace(spec=spec))
    return loop.train(experiment, method, workdir, data, console, init_from)


def begun(workdir: epath.Path) -> bool:
    """Whether a detector is there that another configuration could spoil."""
    return (workdir / DETECTOR).is_dir()


def _train_detector(
    experiment: Experiment, folder: epath.Path, data: sets.Sets, console: Console
) -> model_lib.Model | loop.Outcome:
    """Trains all rounds of stage one, each from the one before; the last one's model.

    Without a look at validation images. The outcome where one was interrupted.
    """
    rounds = experiment.options.detector.rounds
    before: model_lib.Model | None = None
    for number in range(rounds + 1):
        of_round = _of_detector(experiment, number)
        place = folder / f"round_{number}"
        if of_round.total_steps not in checkpoint.complete_steps(place):
            what = f"self-training {number} of {rounds}" if number else "on the points"
            console.line(f"detector, {what}: {of_round.total_steps} steps, in {place}")
            outcome = _train_round(of_round, place, data, before, console)
            if outcome.exit_code:
                return outcome
            data = data._replace(notes=())  # they were told
        before = model_lib.restore(place)
    assert before is not None  # there is at least one round
    return before


def _train_round(
    experiment: Experiment,
    folder: epath.Path,
    data: sets.Sets,
    before: model_lib.Model | None,
    console: Console,
) -> loop.Outcome:
    """Trains the detector once, from the network before where there is one."""
    directory.make(folder)
    method = methods.build(experiment, len(data.train.source.class_names))
    if before is not None:
        method = _with_first(method, before)
    alone = data._replace(val=data.val._replace(image_ids=()), withheld=None)
    try:
        return loop.train(experiment, method, folder, alone, console)
    except errors.DivergedError as error:  # --init-from its folder starts another
        raise errors.RunError(
            f"detector: {error.what}; start again with {loop.GENTLER}"
        ) from error


def _of_detector(experiment: Experiment, number: int) -> Experiment:
    """What a round of stage one is trained by: the run's own ways."""
    optim = dataclasses.replace(experiment.optim, schedule="constant", ema=0.0)
    return dataclasses.replace(
        experiment,
        options=experiment.options.of_detector(number),
        total_steps=experiment.options.detector.steps,
        optim=optim,
        eval=dataclasses.replace(experiment.eval, every=0),
    )


def _with_first(method: Method, before: model_lib.Model) -> Method:
    """The method, which starts at the network before and also holds it, frozen."""

    def init(rng: jax.Array, image: jax.Array) -> tuple[Any, Any]:
        del rng, image
        trained = {"params": before.params, "state": before.model_state}
        start = jax.tree.map(jnp.copy, before.params)
        return {**start, FIRST: trained}, jax.tree.map(jnp.copy, before.model_state)

    return method._replace(init=init)


def _finder(detector: model_lib.Model) -> Find:
    """Detects cells of a training image at the network's scale."""
    decode = Decode(
        jnp.zeros(len(detector.class_names)), jnp.zeros(())
    )  # the detector's own threshold decides
    predict = jax.jit(detector.method.predict)

    def find(example: Example) -> tuple[np.ndarray, np.ndarray]:
        batch = Batch(
            image=jnp.asarray(example.image)[None],
            image_mask=jnp.ones(1, bool),
            points_yx=jnp.zeros((1, 1, 2)),
            labels=jnp.full((1, 1), -1),
            points_mask=jnp.zeros((1, 1), bool),
            boxes_yxyx=jnp.zeros((1, 1, 4)),
            valid=jnp.asarray(example.valid)[None],
            example_index=jnp.zeros(1, jnp.int32),
        )
        found = predict(
            detector.params, detector.model_state, augment.prepare_eval(batch), decode
        )
        kept = np.asarray(found.mask[0])
        return np.asarray(found.points_yx[0])[kept], np.asarray(found.labels[0])[kept]

    return find


def gather(example: Example, find: Find | None, distance_px: float) -> Points:
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


def _paint(
    example: Example,
    *,
    options: option_lib.Options,
    seed: int,
    num_classes: int,
    find: Find | None,
    folder: epath.Path,
) -> np.ndarray:
    """The label maps u8 [H, W, 2] of a training image, read where they are made."""
    cells = gather(example, find, options.detector.radius_px)
    digest = hashlib.sha256(repr((options.masks, seed, num_classes)).encode())
    for part in (example.image, example.valid, cells.points_yx, cells.labels):
        digest.update(f"{part.dtype} {part.shape} ".encode())
        digest.update(np.ascontiguousarray(part).tobytes())
    path = folder / f"{digest.hexdigest()[:16]}.npz"
    stored = _read(path)
    if stored is not None:
        return stored
    made = label_maps.label_maps(
        example.image,
        cells.points_yx,
        cells.labels,
        example.valid,
        num_classes=num_classes,
        options=options.masks,
        seed=seed,
    )
    with atomic.atomic_path(path) as temporary:
        np.savez_compressed(temporary, maps=made)
    return made


def _read(path: epath.Path) -> np.ndarray | None:
    """Maps that were written before; None where there are none, or no longer whole."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            maps: np.ndarray = stored["maps"]
            return maps
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None


def _make_maps(
    experiment: Experiment,
    data: sets.Sets,
    paint: Callable[[Example], np.ndarray],
    find: Find | None,
    console: Console,
) -> None:
    """Makes the maps of all images, with progress, and says what they are of."""
    split, radius_px = data.train, experiment.options.detector.radius_px
    given = found = right = left_out = 0
    for image_id in console.track(split.image_ids, "label maps"):
        record = split.source.load(image_id)
        example = examples.prepare(record, split.spec)
        paint(example)
        if find is None:
            continue
        cells = gather(example, find, radius_px)
        given += cells.num_given
        found += len(cells.labels) - cells.num_given
        missing_yx = _left_out(examples.prepare(record, data.val.spec), example)
        left_out += len(missing_yx)
        new_yx = cells.points_yx[cells.num_given :]
        right += len(matching.match_points(new_yx, missing_yx, radius_px))
    if find is None:
        return
    line = f"detector: {found} cells beside {given} points"
    if left_out:
        line += (
            f"; {right} of the {left_out} that were left out, {found - right} others"
        )
    console.line(line)


def _left_out(whole: Example, example: Example) -> np.ndarray:
    """Annotated cells [N, 2] px that training does not see."""
    all_yx = whole.points_yx[whole.points_mask]
    kept_yx = example.points_yx[example.points_mask]
    if not len(kept_yx) or not len(all_yx):
        return all_yx
    return all_yx[spatial.KDTree(kept_yx).query(all_yx)[0] > 0]
