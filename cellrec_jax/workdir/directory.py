"""A work directory belongs to one configuration and to one split of its images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from cellrec_jax import config as config_lib
from cellrec_jax import errors, methods
from cellrec_jax.config import Experiment
from cellrec_jax.data import sets
from cellrec_jax.rounds.files import RoundFiles
from cellrec_jax.workdir import checkpoint, writer

_NUM_SHOWN = 3  # ids named in a message
_ROUNDS = "refine.rounds"


def check(experiment: Experiment, workdir: Path) -> None:
    """Makes a work directory, or checks that it belongs to this configuration.

    One without a complete checkpoint or labels of rounds holds nothing that another
    configuration could spoil: a start that failed may be mended and repeated. Until
    rounds are done, how detections are made (`eval`) is part of their training. Their
    number may change as long as there are no labels of later ones.

    Raises:
      ConfigError: if it holds a run of another configuration, naming what differs.
      RunError: if it cannot be made.
    """
    _mkdir(workdir)
    if not _begun(workdir):
        return
    path = workdir / "config.json"
    rows = writer.read_json(path)
    if not isinstance(rows, dict):
        raise errors.ConfigError(f"{path}: is no configuration; choose a new --workdir")
    stored = methods.flatten(methods.from_json(rows))
    wanted = methods.flatten(experiment)
    free = set(config_lib.MAY_CHANGE)
    rounds = _rounds(experiment)
    ended = _ended_rounds(workdir) if rounds else {}
    over = ended.get(_ROUNDS) == rounds if rounds else _has_weights(workdir)
    if not over:
        free -= {"eval"}
        # What rounds were made with; they may have been evaluated in other ways since.
        stored |= {key: ended[key] for key in ended if key.startswith("eval.")}
    last = RoundFiles(workdir, {}).latest(stored.get(_ROUNDS, 0))
    if stored.get(_ROUNDS) and 0 < rounds >= last:
        free |= {_ROUNDS}
    differing = [
        f"{key} ({stored.get(key)} there, {wanted.get(key)} now)"
        for key in sorted(stored.keys() | wanted.keys())
        if not key.startswith(tuple(free)) and stored.get(key) != wanted.get(key)
    ]
    if differing:
        raise errors.ConfigError(
            f"{workdir} holds a run of another configuration: {'; '.join(differing)}; "
            "choose another --workdir or the same values"
        )


def claim(experiment: Experiment, workdir: Path, data: sets.Sets) -> None:
    """Writes config.json and splits.json, once the images are known to be there.

    Removes results of another number of rounds.

    Raises:
      ConfigError: if a run in this directory was split in another way, as a folder
        that changed would be: images would move from training to testing.
      RunError: if the files cannot be written.
    """
    path = workdir / "splits.json"
    found = {name: getattr(data, name).image_ids for name in ("train", "val", "test")}
    stored = _stored_splits(workdir) if _begun(workdir) else {}
    for name, ids in found.items():
        before = stored.get(name, list(ids))
        if list(ids) != before:
            raise errors.ConfigError(
                f"{path}: this run's {name} images were others ({len(before)} there, "
                f"{len(ids)} now): give the folder its images back, or choose another "
                "--workdir"
            )
    if jax.process_index() == 0:
        before = _read(workdir / "config.json").get("refine", {}).get("rounds", 0)
        if before != _rounds(experiment):
            (workdir / "results.json").unlink(missing_ok=True)
        writer.write_json(workdir / "config.json", config_lib.to_json(experiment))
        writer.write_json(path, found)


def refuse_training_images(workdir: Path, image_ids: Sequence[str]) -> None:
    """Raises a ConfigError if a run was trained on an image that it is to report on."""
    shared = sorted(set(_stored_splits(workdir).get("train", ())) & set(image_ids))
    if shared:
        raise errors.ConfigError(
            f"{workdir / 'splits.json'}: {len(shared)} of these images trained this "
            f"run ({', '.join(shared[:_NUM_SHOWN])}); name others by "
            "--config.data.test_ids"
        )


def is_finished(workdir: Path, experiment: Experiment) -> bool:
    """Whether there is a checkpoint of the last step, and of the last round."""
    if experiment.total_steps not in checkpoint.complete_steps(workdir):
        return False
    rounds = _rounds(experiment)
    return not rounds or _ended_rounds(workdir).get(_ROUNDS) == rounds


def _rounds(experiment: Experiment) -> int:
    refine = getattr(experiment.options, "refine", None)
    return refine.rounds if refine else 0


def _ended_rounds(workdir: Path) -> dict[str, Any]:
    """Dotted key -> value of the configuration that rounds ended with; or nothing."""
    if not _has_weights(workdir):
        return {}
    meta = checkpoint.latest_meta(workdir)
    return methods.flatten(methods.from_json(meta["config"]))


def _begun(workdir: Path) -> bool:
    """Whether there are weights, or labels that rounds of training go by."""
    labels = RoundFiles(workdir, {}).labels_path(0)
    return _has_weights(workdir) or labels.exists()


def _has_weights(workdir: Path) -> bool:
    return bool(checkpoint.complete_steps(workdir))


def _stored_splits(workdir: Path) -> Mapping[str, list[str]]:
    """Split -> image ids; empty where nothing is known."""
    return _read(workdir / "splits.json")


def _read(path: Path) -> dict[str, Any]:
    """Content of a file of named values; empty where it is none."""
    rows = writer.read_json(path)
    return rows if isinstance(rows, dict) else {}


def _mkdir(workdir: Path) -> None:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.RunError(
            f"{workdir}: cannot be made ({error.strerror}); choose another --workdir"
        ) from error
