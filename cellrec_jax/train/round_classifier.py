"""The patch classifier of a round: shown while it trains, saved, gone on from."""

from pathlib import Path
import shutil
import time

import jax

from cellrec_jax.config import CheckpointConfig
from cellrec_jax.train import checkpoint, interrupt, patch_classifier
from cellrec_jax.train.console import Console
from cellrec_jax.train.patch_classifier import Options, Progress, Trained


def train(
    patches: jax.Array,
    positive: jax.Array,
    prior: float,
    options: Options,
    folder: Path,
    config: CheckpointConfig,
    console: Console,
) -> Trained:
    """Trains as `patch_classifier.train` does, from where `folder` says it was.

    Args:
      patches: f32 [N, S, S, C].
      positive: bool [N].
      prior: share of cells.
      options: how to train.
      folder: gets checkpoints/; only ever used for these patches and options.
      config: `every` counts steps; saved is at the ends of epochs.
      console: shows progress.

    Raises:
      Interrupted: after Ctrl-C or SIGTERM, when the epoch is done and saved.
      DataError, RunError: as `patch_classifier.train`.
    """
    manager = checkpoint.open_manager(folder, config)
    last, resume = manager.latest_step(), None
    if last is not None:
        # Losses are of the epochs done, so they are no part of the arrays' shapes.
        fresh = patch_classifier.begin(patches, options)
        saved = checkpoint.restore(manager, fresh, last)
        resume = saved.state._replace(losses=tuple(saved.meta["losses"]))
        console.line(f"resumed at epoch {last} of {options.epochs}")
    start = last or 0
    steps_per_epoch = -(-len(patches) // options.batch_size)
    every = max(1, config.every // steps_per_epoch)
    clock = time.monotonic()
    with (
        interrupt.catch() as caught,
        console.training(start, options.epochs) as show,
    ):

        def on_epoch(progress: Progress) -> None:
            epoch = int(progress.step)
            rate = (epoch - start) / (time.monotonic() - clock)
            show(epoch, rate, {"loss": progress.losses[-1]})
            finished = epoch == options.epochs
            stopped = caught.signal is not None and not finished
            if finished or stopped or epoch % every == 0:
                meta = {"losses": list(progress.losses)}
                checkpoint.save(manager, progress._replace(losses=()), meta)
            if stopped:
                raise interrupt.Interrupted(caught.exit_code)

        try:
            return patch_classifier.train(
                patches, positive, prior, options, on_epoch, resume
            )
        finally:
            manager.wait_until_finished()
            manager.close()


def forget(folder: Path) -> None:
    """Deletes the checkpoints of a classifier that has served its purpose."""
    shutil.rmtree(checkpoint.folder(folder), ignore_errors=True)
