"""Checkpoints through Orbax: the latest few and the best, whole or not there at all."""

from collections.abc import Iterable, Mapping
import contextlib
import dataclasses
import errno
import importlib.util
import json
import logging
import os
from typing import Any, Protocol

import chex
from etils import epath
import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from cellrec_jax import errors, hosts
from cellrec_jax.config import CheckpointConfig

_COMMITTED = "commit_success.txt"
_ASIDE = "damaged-"  # before the step, in the name of what cannot be read


class State(Protocol):
    """A pytree of arrays with the number of steps that led to it."""

    @property
    def step(self) -> Any:
        """i32 scalar."""


@dataclasses.dataclass(frozen=True)
class Saved:
    """A restored checkpoint."""

    state: Any
    """NumPy arrays."""
    meta: Mapping[str, Any]
    """What prediction needs besides the weights; see `loop`."""


def folder(workdir: epath.PathLike) -> epath.Path:
    """Where a work directory keeps its checkpoints."""
    return epath.Path(workdir) / "checkpoints"


def absolute(path: epath.Path) -> epath.Path:
    """The path from the root on; those of object stores are so."""
    return path if path.is_absolute() else epath.Path(os.getcwd()) / path


def complete_steps(workdir: epath.Path) -> list[int]:
    """Steps of the checkpoints that are whole; none where there is no folder."""
    path = folder(workdir)
    if not path.is_dir():
        return []
    steps = (one for one in path.iterdir() if one.name.isdecimal())
    return sorted(int(one.name) for one in steps if _is_whole(one))


def _is_whole(path: epath.Path) -> bool:
    """Object stores have no renames: there Orbax writes a file at the end."""
    return "://" not in str(path) or (path / _COMMITTED).exists()


def num_bytes(workdir: epath.Path) -> int:
    """Size of the files of a work directory's latest checkpoint; 0 if there is none."""
    steps = complete_steps(workdir)
    return _num_bytes(folder(workdir) / str(steps[-1])) if steps else 0


def _num_bytes(path: epath.Path) -> int:
    if path.is_dir():
        return sum(map(_num_bytes, path.iterdir()))
    return path.stat().length


def open_manager(
    workdir: epath.Path, config: CheckpointConfig, *, read_only: bool = False
) -> ocp.CheckpointManager:
    """Opens the checkpoints of a work directory; CheckpointError to read where is none.

    Kept are the latest `config.keep` and the best by validation. Written under a
    temporary name and renamed when complete: a process may be killed at any moment.
    One whose score cannot be read is set aside; to read it, or where it is the only
    one, a CheckpointError.
    """
    path = folder(workdir)
    if str(path).startswith("gs://") and not _installed("google.cloud.storage"):
        raise errors.ConfigError(
            f"{workdir}: checkpoints in Google Cloud Storage need its client: pip "
            "install google-cloud-storage"
        )
    _look_at_scores(workdir, read_only=read_only)
    if read_only and not complete_steps(workdir):
        raise errors.CheckpointError(
            f"{workdir}: has no checkpoint; train first with --workdir {workdir}"
        )
    # Orbax speaks at INFO of every file, warns of defaults that are meant, and prints
    # the traces of errors that it raises as well.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    policy = preservation_policy.AnyPreservationPolicy(
        [
            preservation_policy.LatestN(config.keep),
            preservation_policy.BestN(
                get_metric_fn=lambda metrics: metrics["score"],
                n=1,
                keep_checkpoints_without_metrics=False,
            ),
        ]
    )
    processes = ocp.options.MultiprocessingOptions()
    if read_only:  # alone: another process may not be able to read what this one can
        own = jax.process_index()
        processes = ocp.options.MultiprocessingOptions(own, {own})
    options = ocp.CheckpointManagerOptions(
        multiprocessing_options=processes,
        preservation_policy=policy,
        enable_async_checkpointing=config.asynchronous,
        create=not read_only,
        read_only=read_only,
        cleanup_tmp_directories=not read_only,
        best_fn=lambda metrics: metrics["score"],
    )
    return ocp.CheckpointManager(absolute(path), options=options)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False


def save(
    manager: ocp.CheckpointManager,
    state: State,
    meta: Mapping[str, Any],
    score: float | None = None,
    *,
    again: bool = False,
) -> None:
    """Saves a state under its step; of `score` more is better.

    One that is there stays, but `again` replaces it. `meta` is JSON-serialisable.
    RunError if the disk is full or read-only.
    """
    host_state = jax.device_get(state)
    step = int(host_state.step)
    if step in manager.all_steps():
        if not again:
            return
        manager.delete(step)
    args = ocp.args.Composite(
        state=ocp.args.StandardSave(host_state), meta=ocp.args.JsonSave(dict(meta))
    )
    metrics = None if score is None else {"score": float(score)}
    try:
        manager.save(step, args=args, metrics=metrics)
    except (OSError, ValueError) as error:
        raise errors.RunError(
            f"{manager.directory}: cannot save step {step} ({_first_line(error)}); "
            "free space or choose another --workdir; earlier checkpoints are untouched"
        ) from error


def set_aside(workdir: epath.Path, steps: Iterable[int]) -> None:
    """Renames damaged checkpoints, so that their steps can be saved again.

    Of several processes all must call this, none of which reads them any more. RunError
    if the folder is read-only.
    """
    hosts.wait("all have seen the damaged checkpoints")
    try:
        for step in steps if hosts.is_first() else ():
            _aside(workdir, step).rmtree(missing_ok=True)
            (folder(workdir) / str(step)).rename(_aside(workdir, step))
    except OSError as error:
        raise errors.RunError(
            f"{folder(workdir)}: damaged checkpoints cannot be set aside "
            f"({error.strerror}); choose a --workdir that can be written to"
        ) from error
    hosts.wait("damaged checkpoints are set aside")


def aside_lines(workdir: epath.Path, step: int) -> list[str]:
    """What to say of damaged checkpoints after `step`, from which training goes on."""
    path = folder(workdir)
    names = [one.name.removeprefix(_ASIDE) for one in path.glob(f"{_ASIDE}*")]
    later = sorted(int(name) for name in names if name.isdecimal())
    return [
        f"warning: the checkpoint of step {one} is damaged: that of step {step} is "
        f"taken; {_aside(workdir, one)} keeps it and can be deleted"
        for one in later
        if one > step
    ]


def _aside(workdir: epath.Path, step: int) -> epath.Path:
    return folder(workdir) / f"{_ASIDE}{step}"


def _look_at_scores(workdir: epath.Path, *, read_only: bool) -> None:
    """Finds scores that are cut short: Orbax reads those of all steps at once."""
    steps = complete_steps(workdir)
    damaged = []
    for step in steps:
        file = folder(workdir) / str(step) / "metrics" / "metrics"
        try:
            json.loads(file.read_bytes())
        except FileNotFoundError:
            continue  # it was saved without a score
        except (OSError, ValueError):
            damaged.append(step)
    if damaged and (read_only or damaged == steps or jax.process_count() > 1):
        place = folder(workdir) / str(damaged[-1]) / "metrics"
        raise errors.CheckpointError(
            f"{place}: cannot be read; delete this folder, which holds the validation "
            "score alone"
        )
    if damaged:
        set_aside(workdir, damaged)


def forget(workdir: epath.Path) -> None:
    """Deletes all checkpoints of a work directory, as far as that is possible.

    Of several processes the first one does it.
    """
    with contextlib.suppress(OSError):
        if hosts.is_first():
            folder(workdir).rmtree()


def restore_meta(manager: ocp.CheckpointManager, step: int) -> dict[str, Any]:
    """Reads a checkpoint's metadata; CheckpointError if damaged or of other origin."""
    with _readable(manager, step):
        args = ocp.args.Composite(meta=ocp.args.JsonRestore())
        return dict(manager.restore(step, args=args)["meta"])


def latest_meta(workdir: epath.Path) -> dict[str, Any]:
    """The latest checkpoint's metadata; CheckpointError if none, or as above."""
    with open_manager(workdir, CheckpointConfig(), read_only=True) as manager:
        return restore_meta(manager, manager.latest_step())


def restore(manager: ocp.CheckpointManager, template: State, step: int) -> Saved:
    """Reads a checkpoint as `template`; CheckpointError if damaged or not its own."""
    with _readable(manager, step):
        args = ocp.args.Composite(
            state=ocp.args.StandardRestore(jax.tree.map(_as_numpy_spec, template)),
            meta=ocp.args.JsonRestore(),
        )
        found = manager.restore(step, args=args)
    return Saved(found["state"], found["meta"])


def fields(manager: ocp.CheckpointManager, step: int) -> frozenset[str]:
    """Names of a saved state's fields, of which older versions had fewer."""
    with _readable(manager, step):
        path = manager.directory / str(step) / "state"
        return frozenset(ocp.PyTreeCheckpointHandler().metadata(path).tree)


def restore_parts(
    manager: ocp.CheckpointManager, template: Mapping[str, Any], step: int
) -> dict[str, Any]:
    """Reads only those fields of a state that `template` names, as `restore` does."""
    with _readable(manager, step):
        spec = jax.tree.map(_as_numpy_spec, dict(template))
        args = ocp.args.PyTreeRestore(item=spec, partial_restore=True)
        found = manager.restore(step, args=ocp.args.Composite(state=args))["state"]
        # Orbax passes over what has another shape, and leaves the spec of what is not
        # there, which is no array.
        found = jax.tree.map(np.asarray, found)
        chex.assert_trees_all_equal_shapes_and_dtypes(found, spec)
    return found


def _as_numpy_spec(leaf: Any) -> Any:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


@contextlib.contextmanager
def _readable(manager: ocp.CheckpointManager, step: int) -> Any:
    try:
        yield
    except errors.UserError:
        raise
    except Exception as error:  # orbax raises many kinds for a damaged file
        raise errors.CheckpointError(
            f"{manager.directory}/{step}: cannot be read ({_first_line(error)}); "
            "delete this folder to fall back to an earlier checkpoint"
        ) from error


def _first_line(error: BaseException) -> str:
    full = os.strerror(errno.ENOSPC)  # of Tensorstore behind names and digits
    if full in str(error):
        return full
    text = str(error).strip().splitlines()
    return text[0][:160] if text else type(error).__name__
