"""One run, from a configuration to results: train, then evaluate."""

from collections.abc import Callable, Mapping
from typing import Any

from etils import epath

from cellrec_jax import errors, hosts, methods, prior
from cellrec_jax.config import Experiment, limits
from cellrec_jax.data import sets, survey
from cellrec_jax.evaluate import workdir as evaluation
from cellrec_jax.io.console import Console
from cellrec_jax.pseudo_masks import detector as mask_detector
from cellrec_jax.pseudo_masks import maps as pseudo_masks
from cellrec_jax.rounds import directory as round_directory
from cellrec_jax.rounds import files as round_files
from cellrec_jax.rounds import rounds
from cellrec_jax.train import fit, loop
from cellrec_jax.train import start as start_lib
from cellrec_jax.types import Method
from cellrec_jax.workdir import (
    checkpoint,
    directory,
    image_files,
    interrupt,
    lock,
    operating_point,
)
from cellrec_jax.workdir import model as model_lib

_STAGES: Mapping[str, Any] = {
    "rounds": rounds,
    "prior": prior,
    "pseudo_masks": pseudo_masks,
}
"""Kind of a stage -> the module that checks and runs it."""


def train_and_evaluate(
    experiment: Experiment,
    workdir: epath.PathLike,
    console: Console | None = None,
    init_from: epath.PathLike | None = None,
    data: sets.Sets | None = None,
) -> int:
    """Trains (or resumes), evaluates and writes results, figures and predictions.

    Of several processes all must call this, the first one writes. `workdir` is resumed
    if it holds the same experiment; a new one starts from the weights of `init_from`;
    `data` replaces the experiment's. Exit code 0, or 130 / 143 after an interruption;
    a RunError if another run is at work there.
    """
    console = console or Console(quiet=True)
    workdir = epath.Path(workdir)
    init_from = None if init_from is None else epath.Path(init_from)
    with (
        directory.unless_refused(workdir, _IN_WORKDIR),
        lock.hold(workdir),
        interrupt.throughout(console.line),
    ):
        hosts.check_shared(workdir, "--workdir")
        directory.remove_left(workdir, _IN_WORKDIR)
        try:
            return _train_and_evaluate(experiment, workdir, console, init_from, data)
        except interrupt.Interrupted as stop:  # of one of several processes
            console.line(f"interrupted; start again with --workdir {workdir} to go on")
            return stop.exit_code


def _train_and_evaluate(
    experiment: Experiment,
    workdir: epath.Path,
    console: Console,
    init_from: epath.Path | None,
    data: sets.Sets | None,
) -> int:
    stages = _IN_WORKDIR
    if data is None and experiment.data.root == "synthetic":
        console.line(
            "generated images: --config.data.root=FOLDER trains on those of a folder"
        )
    directory.check(experiment, workdir, stages)
    data = data or sets.open_sets(
        experiment.data, experiment.seed, workdir / survey.FILE
    )
    method = methods.build(experiment, len(data.train.source.class_names))
    check(experiment, method)
    round_files.refuse_edits(workdir)
    directory.claim(experiment, workdir, data, stages)
    for line in image_files.changed_lines(workdir, data):
        console.line(line)
    if _is_trained(experiment, workdir):
        if init_from is not None:
            start_lib.check(init_from, model_lib.restore(workdir).meta)
        console.line(f"{workdir} is trained already; evaluating it again")
        timing: Mapping[str, Any] = {}
    else:
        operating_point.forget(workdir)
        train = _trainer(method)
        outcome = train(experiment, method, workdir, data, console, init_from)
        timing = outcome.timing
        if outcome.paused:
            return 0
        if outcome.exit_code:
            console.line(
                f"interrupted at step {int(outcome.state.step)}; saved. Start again "
                f"with --workdir {workdir} to go on"
            )
            return outcome.exit_code
    evaluation.renew_operating_points(workdir, experiment.eval, data.fitting, console)
    split = data.test if data.test.image_ids else data.val
    evaluation.evaluate_workdir(workdir, split, console, experiment.eval, timing)
    return 0


def _is_trained(experiment: Experiment, workdir: epath.Path) -> bool:
    """Whether there is nothing to train, not from a checkpoint before the last either.

    The last one may be damaged.
    """
    if not directory.is_finished(workdir, experiment, _IN_WORKDIR):
        return False
    if len(checkpoint.complete_steps(workdir)) > 1:
        try:
            model_lib.restore(workdir)
        except errors.CheckpointError:
            return False
    return True


def check(experiment: Experiment, method: Method) -> None:
    """Raises a ConfigError for what the method, or a stage of it, cannot do."""
    data = experiment.data
    seen = "crop_hw" if any(data.crop_hw) else "size_hw"
    height, width = getattr(data, seen)
    for key, radius_px in method.traits.circles:
        limits.require(
            2 * radius_px < min(height, width),
            f"{key}={radius_px}: a circle of it is as large as what training sees, "
            f"data.{seen}={height},{width} px: give about the radius of a nucleus",
        )
    for stage in method.stages:
        _STAGES[stage.kind].check(experiment)


def _trainer(method: Method) -> Callable[..., loop.Outcome]:
    """What trains a method: its last stage, its own fit, or the loop."""
    if method.stages:
        return _STAGES[method.stages[-1].kind].train
    return loop.train if method.traits.fit is None else fit.train


def _terms(
    workdir: epath.Path, stored: directory.Flat, experiment: Experiment
) -> tuple[directory.Flat, frozenset[str]]:
    stored, free = round_directory.terms(workdir, stored, experiment)
    return stored, free | set(prior.MAY_CHANGE)


def _begun(workdir: epath.Path) -> bool:
    return round_directory.STAGES.begun(workdir) or mask_detector.begun(workdir)


_FOLDERS = (prior.FOLDER, pseudo_masks.FOLDER, mask_detector.FOLDER)
_IN_WORKDIR = round_directory.STAGES._replace(
    begun=_begun, terms=_terms, files=(*round_directory.STAGES.files, *_FOLDERS)
)
"""What a work directory is to know of all stages."""
