"""Stage one of estimated masks: trains a detector of partial points, in rounds.

Each round lies in `detector/round_N` of the work directory. Source: Qu et al., IEEE
Transactions on Medical Imaging, 2020 (`methods.estimate_mask.detector`).
"""

from collections.abc import Callable
import dataclasses
from typing import Any

from etils import epath
import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax import errors, methods
from cellrec_jax.config import Experiment
from cellrec_jax.data import augment, sets
from cellrec_jax.data.example import Example
from cellrec_jax.io.console import Console
from cellrec_jax.train import loop
from cellrec_jax.types import FIRST, Batch, Decode, Method
from cellrec_jax.workdir import checkpoint, directory
from cellrec_jax.workdir import model as model_lib

FOLDER = "detector"
"""Of a work directory."""
Find = Callable[[Example], tuple[np.ndarray, np.ndarray]]
"""A training image -> points [N, 2] px and labels [N] of what a detector finds."""


def begun(workdir: epath.Path) -> bool:
    """Whether a detector is there that another configuration could spoil."""
    folders = (workdir / FOLDER).glob("round_*")
    return any(checkpoint.complete_steps(folder) for folder in folders)


def train(
    experiment: Experiment, folder: epath.Path, data: sets.Sets, console: Console
) -> tuple[model_lib.Model, float] | loop.Outcome:
    """Trains all rounds of stage one, each from the one before.

    Without a look at validation images. The last one's model and the seconds of all,
    of processes before too; the outcome where one was interrupted.
    """
    rounds = experiment.options.detector.rounds
    before: model_lib.Model | None = None
    seconds = 0.0
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
        seconds += before.meta.get("seconds", 0.0)
    assert before is not None  # there is at least one round
    return before, seconds


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
            f"detector: {error.what}; start again with --workdir NEW and {loop.GENTLER}"
        ) from error


def _of_detector(experiment: Experiment, number: int) -> Experiment:
    """What a round of stage one is trained by: the run's own ways."""
    optim = dataclasses.replace(
        experiment.optim, schedule="constant", warmup_steps=0, ema=0.0
    )
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


def finder(detector: model_lib.Model) -> Find:
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
