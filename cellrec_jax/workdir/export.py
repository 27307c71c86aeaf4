"""A model for prediction alone: the weights that it reads, and no more.

In a work directory of its own, or in one file with a card (`model_file`).
"""

from collections.abc import Mapping
import dataclasses
import datetime
from typing import Any, NamedTuple

from etils import epath

from cellrec_jax import config as config_lib
from cellrec_jax import errors
from cellrec_jax.config import CheckpointConfig, Experiment
from cellrec_jax.data import appearance, json_file, looks, sets
from cellrec_jax.io import atomic, palette
from cellrec_jax.metrics import proportion
from cellrec_jax.workdir import checkpoint, model_file, writer
from cellrec_jax.workdir import model as model_lib

_TOLD = ("what", "data", "scores", "command")
"""Keys that a person's part of a card must have."""
_OF_TRAINING = ("init_from", "score_due", "seconds")
"""Keys of metadata that are of no use elsewhere."""


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


def to_file(
    workdir: epath.Path, experiment: Experiment, output: epath.Path, told: epath.Path
) -> list[str]:
    """Exports the last weights of a work directory as a model file; what to tell of it.

    `told` is a JSON file of what the run does not know (`read_told`). The training
    images, which must still be there, give the card their colours. ConfigError where
    the run does not know its um per px, or a file is there.
    """
    facts = read_told(told)
    model = model_lib.restore(workdir)
    if not model.meta["mpp"]:
        raise errors.ConfigError(
            f"{workdir}: the um per px of its training images is not known: give it "
            "by --mpp-trained"
        )
    write_file(model, experiment, output, facts, appearance_of(experiment))
    size = output.stat().length / 2**20
    return [
        *model.threshold_lines(),
        f"{output}: step {model.step} of {workdir}, for prediction: {size:.2f} MiB; "
        f"its card: {model_file.card_of(output)}",
    ]


def write_file(
    model: model_lib.Model,
    experiment: Experiment,
    output: epath.Path,
    facts: Mapping[str, Any],
    look: appearance.Appearance,
) -> None:
    """Writes a restored model as a model file; `facts` of `read_told`.

    Folders of this machine are left out of the card.
    """
    names = model.class_names
    colors = palette.class_colors(len(names), *proportion.signs(names))
    data = dataclasses.replace(
        experiment.data, root=epath.Path(experiment.data.root).name
    )
    stored = config_lib.to_json(dataclasses.replace(experiment, data=data))
    stored["eval"]["weights"] = "last"
    meta = {k: v for k, v in model.meta.items() if k not in _OF_TRAINING}
    meta |= {"config": stored, model_lib.EXPORTED: True}
    meta[model_lib.APPEARANCE] = look._asdict()
    card = {
        "name": output.stem,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        **facts,
        "classes": {
            name: "#{:02x}{:02x}{:02x}".format(*color)
            for name, color in zip(names, colors, strict=True)
        },
        "step": model.step,
        "meta": meta,
    }
    model_file.write(output, card, model.params, model.model_state)


def read_told(file: epath.Path) -> dict[str, Any]:
    """What a person tells of a model: a JSON object; ConfigError if it lacks anything.

    `what` it finds, in a line; `data`, a list of objects with `source` and `licence`;
    `scores`, name -> number; the training `command`; and what else is worth telling,
    such as `folds` or a `date`.
    """
    told = json_file.read_json(file)
    if not isinstance(told, dict):
        raise errors.ConfigError(f"--card {file}: is no JSON object")
    if missing := [key for key in _TOLD if not told.get(key)]:
        raise errors.ConfigError(f"--card {file}: lacks {', '.join(missing)}")
    data = told["data"]
    if not isinstance(data, list) or not all(
        isinstance(one, dict) and one.get("source") and one.get("licence")
        for one in data
    ):
        raise errors.ConfigError(
            f"--card {file}: data is a list of objects with source and licence"
        )
    return told


def appearance_of(experiment: Experiment) -> appearance.Appearance:
    """Of a configuration's training images, which are read."""
    train = sets.open_sets(experiment.data, experiment.seed).train
    ids = looks.sample(train.image_ids, appearance.NUM_IMAGES)
    images = (train.source.load(image_id).image for image_id in ids)
    intensity = train.spec.intensity
    return appearance.appearance_of(
        [appearance.in_sizes(image, intensity) for image in images]
    )


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
