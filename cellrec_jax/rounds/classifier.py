"""The patch classifier of a round: its prior; shown as it trains, saved, resumed."""

import time

from etils import epath
import jax
import numpy as np

from cellrec_jax.config import CheckpointConfig
from cellrec_jax.io.console import Console
from cellrec_jax.losses import class_prior
from cellrec_jax.methods.heatmap_pu.options import RefineOptions
from cellrec_jax.rounds import patch_classifier
from cellrec_jax.rounds.candidates import POSITIVE, UNLABELED
from cellrec_jax.rounds.patch_classifier import Options, Progress, Trained
from cellrec_jax.workdir import checkpoint, interrupt


def prior_of(
    patches: jax.Array, kinds: np.ndarray, config: RefineOptions, seed: int
) -> tuple[float, tuple[str, ...]]:
    """The prior of the classifier's risk, as the options say.

    The negative part of that risk (`pu.pu_risk`) is the mean over unlabelled peaks
    alone, less what their cells have in it: unbiased with the share of cells among
    these, which is what penL1 estimates. The fixed rule is the share among labelled
    and unlabelled ones together, which is higher, as in the code of Fujii et al.

    Args:
      patches: [N, S, S, C].
      kinds: i8 [N], see `pseudo_candidates.divide`; some positive, some unlabelled.
      config: options of rounds.
      seed: of the estimate.

    Returns:
      The prior, in (0, 1), and what did not go as planned.
    """
    positive, unlabeled = kinds == POSITIVE, kinds == UNLABELED
    if config.prior:
        return config.prior, ()
    fixed = class_prior.fixed_prior(
        int(positive.sum()), int(unlabeled.sum()), config.unlabeled_share
    )
    if config.prior_rule == "fixed":
        return fixed, ()
    flat = np.asarray(patches).reshape(len(patches), -1)
    try:
        estimate = class_prior.penl1_prior(flat[positive], flat[unlabeled], seed=seed)
    except ValueError as error:
        note = (
            f"refine.prior_rule=penl1 cannot estimate a prior ({error}): {fixed:.2f} "
            "by the fixed rule was taken; set --config.refine.prior for another one, "
            "or --config.refine.prior_rule=fixed"
        )
        return fixed, (note,)
    return estimate.prior, ()


def train(
    patches: jax.Array,
    positive: jax.Array,
    prior: float,
    options: Options,
    folder: epath.Path,
    config: CheckpointConfig,
    console: Console,
) -> tuple[Trained, float]:
    """Trains as `patch_classifier.train` does, from where `folder` says it was.

    Args:
      patches: f32 [N, S, S, C].
      positive: bool [N].
      prior: of the risk, in (0, 1).
      options: how to train.
      folder: gets checkpoints/; only ever used for these patches and options.
      config: `every` counts steps; saved is at the ends of epochs.
      console: shows progress.

    Returns:
      The classifier, and the seconds it took; of earlier processes those until they
      last saved.

    Raises:
      Interrupted: after Ctrl-C or SIGTERM, when the epoch is done and saved.
      DataError, RunError: as `patch_classifier.train`.
    """
    manager = checkpoint.open_manager(folder, config)
    last, resume, seconds_before = manager.latest_step(), None, 0.0
    if last is not None:
        # Losses are of the epochs done, so they are no part of the arrays' shapes.
        fresh = patch_classifier.begin(patches, options)
        saved = checkpoint.restore(manager, fresh, last)
        resume = saved.state._replace(losses=tuple(saved.meta["losses"]))
        seconds_before = saved.meta["seconds"]
        console.line(f"resumed at epoch {last} of {options.epochs}")
    start = last or 0
    steps_per_epoch = -(-len(patches) // options.batch_size)
    every = max(1, config.every // steps_per_epoch)
    begin = time.monotonic()

    def seconds() -> float:
        return seconds_before + time.monotonic() - begin

    with (
        interrupt.catch() as caught,
        console.training(start, options.epochs) as show,
    ):

        def on_epoch(progress: Progress) -> None:
            epoch = int(progress.step)
            rate = (epoch - start) / (time.monotonic() - begin)
            show(epoch, rate, {"loss": progress.losses[-1]})
            finished = epoch == options.epochs
            stopped = caught.signal is not None
            if finished or stopped or epoch % every == 0:
                meta = {"losses": list(progress.losses), "seconds": seconds()}
                checkpoint.save(manager, progress._replace(losses=()), meta)
            if stopped:
                raise interrupt.Interrupted(caught.exit_code)

        try:
            trained = patch_classifier.train(
                patches, positive, prior, options, on_epoch, resume
            )
            return trained, seconds()
        finally:
            manager.wait_until_finished()
            manager.close()


def forget(folder: epath.Path) -> None:
    """Deletes the checkpoints of a classifier that has served its purpose."""
    checkpoint.forget(folder)
