"""Runs whose method learns from a network that is trained first, then frozen.

The first one's result lies in `prior/DIGEST` of the work directory. The digest is of
its options and of its images as they are read, so that a run that asks for the same
uses it, and no other does. `prior.folder` shares results between work directories.

Source: Zhang et al., ISBI 2022 (`methods.multitask`), section 2.3.
"""

from collections.abc import Iterator
import dataclasses
import hashlib
import json
import shutil
from typing import Any

from etils import epath
import jax
import numpy as np

from cellrec_jax import config as config_lib
from cellrec_jax import errors, hosts, methods
from cellrec_jax.config import Experiment, limits
from cellrec_jax.data import sets
from cellrec_jax.data.record import Record
from cellrec_jax.io import atomic
from cellrec_jax.io.console import Console
from cellrec_jax.train import loop
from cellrec_jax.types import FIRST, Method
from cellrec_jax.workdir import checkpoint, directory
from cellrec_jax.workdir import model as model_lib

FOLDER = "prior"
"""Of a work directory."""
MAY_CHANGE = ("prior.folder",)
"""Keys of it that a resumed run may change, as `config.MAY_CHANGE`."""
_SELECT: tuple[str, ...] = ("root", "format", "train_ids", "val_ids", "test_ids")
_SELECT += ("val_share", "num_folds", "fold", "fold_by", "synthetic_")
_SELECT += ("val_keep_rate", "marked_share")
_NO_MATTER = (*config_lib.MAY_CHANGE, *(f"data.{name}" for name in _SELECT), "prior.")
_NO_MATTER += ("model.max_detections", "model.window_px", "compute.remat")
"""Keys that do not alter the first training, or say by which names images are found."""


def check(experiment: Experiment) -> None:
    """Nothing is asked of it without images; `train` looks at their classes."""


def train(
    experiment: Experiment,
    method: Method,
    workdir: epath.Path,
    data: sets.Sets,
    console: Console,
    init_from: epath.Path | None = None,
) -> loop.Outcome:
    """Trains both networks, or goes on where either was; as `loop.train`, errors too.

    Later checkpoints of a run hold the first network: it is not looked for again.
    Outcome of the one that was interrupted, else the second's, whose seconds are those
    of both: also where another run had trained the first.
    """
    _check_class(experiment, data.train.source.class_names)
    seconds = 0.0
    if init_from is not None:  # refused now, not after the first stage
        model_lib.stored_meta(init_from)
    if not checkpoint.complete_steps(workdir):
        for line in _notes(experiment, data.train):
            console.line(line)
        folder = workdir / FOLDER / digest(experiment, data.train, console)
        first = _find(folder, experiment)
        # Another run may have shared it while some of several processes looked.
        if hosts.most(first is None):
            _check_shared(experiment)
            outcome = _train_first(experiment, folder, data, console)
            if outcome.exit_code:
                return outcome
            first = folder
            data = data._replace(notes=())  # they were told
        if first == folder:
            _share(folder, experiment)
        trained = model_lib.restore(first)
        seconds = trained.meta.get("seconds", 0.0)
        method = _with_first(method, trained)
        label = data.train.source.class_names[experiment.options.loss.prior_class]
        console.line(f"prior: the map of {label} of {first}")
    return loop.train(experiment, method, workdir, data, console, init_from, seconds)


def first_experiment(experiment: Experiment) -> Experiment:
    """What the first network is trained by: the run's own ways, fewer steps."""
    optim = dataclasses.replace(
        experiment.optim, schedule="constant", warmup_steps=0, ema=0.0
    )
    return dataclasses.replace(
        experiment,
        options=experiment.options.circles_alone,
        total_steps=experiment.options.prior.steps,
        optim=optim,
        eval=dataclasses.replace(experiment.eval, every=0),
    )


def digest(
    experiment: Experiment, split: sets.Split, console: Console | None = None
) -> str:
    """Sixteen hexadecimal digits of a first network's options and training images."""
    settings = methods.flatten(first_experiment(experiment))
    kept = {k: v for k, v in sorted(settings.items()) if not k.startswith(_NO_MATTER)}
    content = hashlib.sha256(json.dumps(kept).encode())
    content.update(json.dumps(split.source.class_names).encode())
    content.update(repr(split.spec).encode())
    ids = split.image_ids
    for image_id in console.track(ids, "images, for the prior") if console else ids:
        for part in _parts(split.source.load(image_id)):
            content.update(part)
    return content.hexdigest()[:16]


def _parts(record: Record) -> Iterator[bytes]:
    """All of an image that training may see, each array with its type and shape."""
    for field in dataclasses.fields(record):
        if field.name in ("image_id", "group"):  # names
            continue
        value = getattr(record, field.name)
        yield f"{field.name} ".encode()
        if isinstance(value, np.ndarray):
            yield f"{value.dtype} {value.shape} ".encode()
            yield np.ascontiguousarray(value).tobytes()
        else:
            yield f"{value} ".encode()


def _check_class(experiment: Experiment, class_names: tuple[str, ...]) -> None:
    label = experiment.options.loss.prior_class
    named = ", ".join(f"{i} ({name})" for i, name in enumerate(class_names))
    limits.require(
        label < len(class_names),
        f"loss.prior_class={label}: the classes are {named}; give the number of one, "
        "or --config.loss.prior_weight=0",
    )


def _notes(experiment: Experiment, split: sets.Split) -> Iterator[str]:
    """What the user should know of the class before anything is trained."""
    label = experiment.options.loss.prior_class
    if not sets.survey(split).num_per_class[label]:
        yield (
            f"warning: no training cell of class {split.source.class_names[label]}: "
            "the prior decoder learns an empty map; name another class by "
            "--config.loss.prior_class, or leave it out by --config.loss.prior_weight=0"
        )


def _shared(folder: epath.Path, experiment: Experiment) -> epath.Path | None:
    """Where other runs look for the same result; None if nowhere."""
    shared = experiment.options.prior.folder
    return epath.Path(shared).expanduser() / folder.name if shared else None


def _find(folder: epath.Path, experiment: Experiment) -> epath.Path | None:
    """The folder of a finished first network, of this run or shared."""
    for place in (folder, _shared(folder, experiment)):
        if place is not None and experiment.options.prior.steps in (
            checkpoint.complete_steps(place)
        ):
            return place
    return None


def _train_first(
    experiment: Experiment, folder: epath.Path, data: sets.Sets, console: Console
) -> loop.Outcome:
    """Trains the first network, without a look at validation images."""
    first = first_experiment(experiment)
    console.line(f"prior: {first.total_steps} steps on circles alone, in {folder}")
    directory.make(folder)
    method = methods.build(first, len(data.train.source.class_names))
    alone = data._replace(val=data.val._replace(image_ids=()), withheld=None)
    try:
        return loop.train(first, method, folder, alone, console)
    except errors.DivergedError as error:  # --init-from its folder starts another
        raise errors.RunError(
            f"prior: {error.what}; start again with {loop.GENTLER}"
        ) from error


def _check_shared(experiment: Experiment) -> None:
    """A `RunError` before the training where its result could not be shared."""
    shared = experiment.options.prior.folder
    if not shared:
        return
    place = epath.Path(shared).expanduser()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.RunError(
            f"--config.prior.folder={shared}: cannot be made ({error.strerror}); "
            "choose another one"
        ) from error


def _share(folder: epath.Path, experiment: Experiment) -> None:
    """Copies a finished first network to where others look, whole or not at all."""
    shared = _shared(folder, experiment)
    if shared is None or not hosts.is_first() or checkpoint.complete_steps(shared):
        return
    atomic.remove_old_folders(shared.parent)
    step = str(experiment.options.prior.steps)
    try:
        with atomic.atomic_folder(shared) as part:
            source, target = checkpoint.folder(folder), checkpoint.folder(part)
            shutil.copytree(source / step, target / step)
    except errors.RunError as error:
        if not checkpoint.complete_steps(shared):  # else another run was faster
            raise errors.RunError(
                f"--config.prior.folder={shared.parent}: {error}"
            ) from error


def _with_first(method: Method, first: model_lib.Model) -> Method:
    """The method, whose fresh parameters hold a trained first network."""

    def init(rng: jax.Array, image: jax.Array) -> tuple[Any, Any]:
        params, state = method.init(rng, image)
        trained = {"params": first.params, "state": first.model_state}
        return {**params, FIRST: trained}, state

    return method._replace(init=init)
