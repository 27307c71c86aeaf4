"""A work directory for prediction alone: the weights that it reads, and no more."""

from typing import Any, NamedTuple

from etils import epath

from cellrec_jax import config as config_lib
from cellrec_jax import errors
from cellrec_jax.config import CheckpointConfig, Experiment
from cellrec_jax.io import atomic
from cellrec_jax.workdir import checkpoint, writer
from cellrec_jax.workdir import model as model_lib


class _Weights(NamedTuple):
    """What its checkpoint holds; averages, where there are any, as `params`."""

    step: int
    params: Any
    model_state: Any


def write(model: model_lib.Model, experiment: Experiment, output: epath.Path) -> None:
    """Writes a restored model as a work directory, whole or not at all.

    `predict`, `evaluate` and `--init-from` read it as that of `model`; training cannot
    go on in it. `experiment` is what `config.json` says; thresholds and pixel size that
    were given after training are the model's. ConfigError where something is there,
    RunError if it cannot be written.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise errors.ConfigError(
            f"--output {output}: there is something; choose a new folder"
        )
    weights = _Weights(model.step, model.params, model.model_state)
    stored = config_lib.to_json(experiment)
    stored["eval"]["weights"] = "last"  # there are no others
    atomic.remove_old_folders(output.parent)
    with atomic.atomic_folder(output) as part:
        manager = checkpoint.open_manager(part, CheckpointConfig())
        checkpoint.save(manager, weights, {**model.meta, model_lib.EXPORTED: True})
        manager.wait_until_finished()
        manager.close()
        writer.write_json(part / "config.json", stored)
        splits = model.workdir / "splits.json" if model.workdir else None
        if splits is not None and splits.exists():
            splits.copy(part / splits.name)


def from_workdir(
    workdir: epath.Path, experiment: Experiment, output: epath.Path
) -> list[str]:
    """Exports the last weights of a work directory, as `write`; what to tell of it."""
    model = model_lib.restore(workdir)
    write(model, experiment, output)
    before, now = (checkpoint.num_bytes(one) / 2**20 for one in (workdir, output))
    return [
        *model.threshold_lines(),
        f"{output}: step {model.step} of {workdir}, for prediction: {now:.2f} MiB, "
        f"{before:.2f} there",
    ]


def refuse_training(workdir: epath.Path) -> None:
    """A ConfigError if a work directory's checkpoint is an export."""
    try:
        meta = checkpoint.latest_meta(workdir)
    except errors.CheckpointError:
        return  # training finds one before it that is whole, or says the same
    if meta.get(model_lib.EXPORTED):
        raise errors.ConfigError(
            f"--workdir {workdir}: is exported for prediction, training cannot go on "
            f"in it; start another one from it by --init-from {workdir}"
        )
