"""A work directory belongs to one configuration and to one split of its images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
from typing import Any, NamedTuple

from etils import epath
import jax

from cellrec_jax import config as config_lib
from cellrec_jax import errors, hosts, methods
from cellrec_jax.config import Experiment
from cellrec_jax.data import sets, survey
from cellrec_jax.io import atomic
from cellrec_jax.workdir import checkpoint, export, image_files, writer

Flat = dict[str, Any]
"""Dotted key -> value as JSON holds it."""

_NUM_SHOWN = 3  # ids named in a message
_FILES: tuple[str, ...] = ("config.json", "splits.json", survey.FILE, image_files.FILE)
_FILES += ("metrics.jsonl", "checkpoints")
_RESULTS = ("figures", "predictions")
_CHECKPOINTS = tuple(
    f"{folder}checkpoints/[0-9]*" for folder in ("", "*/*/", "*/*/*/")
)  # its own, of stages


class Stages(NamedTuple):
    """What a work directory asks of stages that keep files of their own in it."""

    begun: Callable[[epath.Path], bool] = lambda _: False
    """Whether there is something that another configuration could spoil."""
    finished: Callable[[epath.Path, Experiment], bool] = lambda *_: True
    """Whether they are all done; asked where the last step's checkpoint is."""
    terms: Callable[[epath.Path, Flat, Experiment], tuple[Flat, frozenset[str]]] = (
        lambda _, stored, __: (stored, frozenset(config_lib.MAY_CHANGE))
    )
    """(workdir, stored configuration, wanted one) -> the stored values to compare with,
    and keys (or sections) that may change; asked where there are checkpoints or
    something of theirs."""
    files: tuple[str, ...] = ()
    """Names of what they keep in a work directory."""


NO_STAGES = Stages()


@contextlib.contextmanager
def unless_refused(workdir: epath.Path, stages: Stages = NO_STAGES) -> Iterator[None]:
    """Leaves nothing of a start that is refused: no file that it made, no folder.

    Of several processes all must call this, the first one removes. What was there
    before stays, and all that is there once something has been trained.
    """
    before = {path.name for path in workdir.iterdir()} if workdir.is_dir() else set()
    # Object stores have no folders.
    local = () if "://" in str(workdir) else (workdir, *workdir.parents)
    absent = [path for path in local if not path.exists()]
    try:
        yield
    except errors.RunError:
        raise
    except errors.UserError:
        trained = any(any(workdir.glob(one)) for one in _CHECKPOINTS)
        if jax.process_index() == 0 and not trained:
            for name in {*_FILES, *stages.files} - before:
                _remove(workdir / name)
            for path in absent:
                with contextlib.suppress(OSError):  # as of others' files in it
                    path.rmdir()
        raise


def remove_left(workdir: epath.Path, stages: Stages = NO_STAGES) -> None:
    """Deletes what killed runs were writing; only who holds the lock may.

    Folders that others write to, as of predictions, stay as they are. Of several
    processes the first one deletes, and the others wait.
    """

    def remove() -> None:
        atomic.remove_left(workdir, older_s=0)
        for name in (*stages.files, *_RESULTS):
            atomic.remove_left(workdir / name, below=True, older_s=0)

    hosts.by_first(remove, "what was left is deleted")


def _remove(path: epath.Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir():
            path.rmtree()
        else:
            path.unlink(missing_ok=True)


def check(
    experiment: Experiment, workdir: epath.Path, stages: Stages = NO_STAGES
) -> None:
    """Makes a work directory, or checks that it belongs to this configuration.

    Without a complete checkpoint or files of stages a start that failed may be mended.
    ConfigError names what differs from another run's, or that it is an export; RunError
    if it cannot be made.
    """
    make(workdir)
    if has_weights(workdir):
        export.refuse_training(workdir)
    if not _begun(workdir, stages):
        return
    path = workdir / "config.json"
    rows = writer.read_json(path)
    if not isinstance(rows, dict):
        raise errors.ConfigError(f"{path}: is no configuration; choose a new --workdir")
    wanted = methods.flatten(experiment)
    before = methods.flatten(methods.from_json(rows))
    stored, free = stages.terms(workdir, before, experiment)
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


def claim(
    experiment: Experiment,
    workdir: epath.Path,
    data: sets.Sets,
    stages: Stages = NO_STAGES,
) -> None:
    """Writes config.json, splits.json and files.json; removes old results.

    ConfigError for another split, as of a folder that changed: images would move from
    training to testing; or where processes, which all must call this, see others.
    RunError if the files cannot be written.
    """
    path = workdir / "splits.json"
    found = {name: getattr(data, name).image_ids for name in ("train", "val", "test")}
    if others := hosts.differing([found, image_files.sizes(data)]):
        raise errors.ConfigError(
            f"--config.data.root={experiment.data.root}: process "
            f"{', '.join(map(str, others))} has other images or annotations there than "
            "the first; name a folder that all machines share, or give all the same"
        )
    begun = _begun(workdir, stages)
    stored = _stored_splits(workdir) if begun else {}
    for name, ids in found.items():
        before = stored.get(name, list(ids))
        if list(ids) != before:
            raise errors.ConfigError(
                f"{path}: this run's {name} images were others ({len(before)} there, "
                f"{len(ids)} now): give the folder its images back, or choose another "
                "--workdir"
            )
    finished = is_finished(workdir, experiment, stages)
    if jax.process_index() == 0:
        # First of all what says of a read-only folder that it is one.
        writer.write_json(workdir / "config.json", config_lib.to_json(experiment))
        if not finished:
            (workdir / "results.json").unlink(missing_ok=True)
        writer.write_json(path, found)
    image_files.remember(workdir, data, begun=begun)


def refuse_training_images(workdir: epath.Path, image_ids: Sequence[str]) -> None:
    """Raises a ConfigError if a run was trained on an image that it is to report on."""
    shared = sorted(trained_on(workdir) & set(image_ids))
    if shared:
        raise errors.ConfigError(
            f"{workdir / 'splits.json'}: {len(shared)} of these images trained this "
            f"run ({', '.join(shared[:_NUM_SHOWN])}); name others by "
            "--config.data.test_ids"
        )


def trained_on(workdir: epath.Path) -> frozenset[str]:
    """Ids of the images that trained a run; none where that is not known."""
    return frozenset(_stored_splits(workdir).get("train", ()))


def is_finished(
    workdir: epath.Path, experiment: Experiment, stages: Stages = NO_STAGES
) -> bool:
    """Whether there is a checkpoint of the last step, and all stages are done."""
    trained = experiment.total_steps in checkpoint.complete_steps(workdir)
    return trained and stages.finished(workdir, experiment)


def has_weights(workdir: epath.Path) -> bool:
    """Whether there is a checkpoint of any step."""
    return bool(checkpoint.complete_steps(workdir))


def _begun(workdir: epath.Path, stages: Stages) -> bool:
    return has_weights(workdir) or stages.begun(workdir)


def _stored_splits(workdir: epath.Path) -> Mapping[str, list[str]]:
    """Split -> image ids; empty where nothing is known."""
    rows = writer.read_json(workdir / "splits.json")
    return rows if isinstance(rows, dict) else {}


def make(workdir: epath.Path) -> None:
    """Makes a work directory, if it is not there; RunError if it cannot be."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.RunError(
            f"{workdir}: cannot be made ({error.strerror}); choose another --workdir"
        ) from error
