"""What training starts from: fresh, pretrained, or another run's weights."""

from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from cellrec_jax import errors, hosts, methods, models
from cellrec_jax.config import CheckpointConfig, Experiment
from cellrec_jax.io.console import Console
from cellrec_jax.train import step as step_lib
from cellrec_jax.types import Method, TrainState
from cellrec_jax.workdir import checkpoint
from cellrec_jax.workdir import model as model_lib


def make_state(
    experiment: Experiment, method: Method, num_channels: int = 3
) -> TrainState:
    """State before the first step."""
    image = jnp.zeros((1, 64, 64, num_channels))
    params, model_state = method.init(jax.random.key(experiment.seed), image)
    optimizer = step_lib.program(experiment, method).optimizer
    return step_lib.init_state(optimizer, params, model_state, ema=experiment.optim.ema)


def initial_weights(
    state: TrainState,
    method: Method,
    init_from: epath.Path | None,
    class_names: Sequence[str],
    console: Console,
) -> TrainState:
    """The fresh state with another run's, or pretrained, weights filled in."""
    params, model_state = state.params, state.model_state
    if init_from is not None:
        params, model_state, line = start_from(
            init_from, params, model_state, class_names
        )
        console.line(line)
    elif method.traits.load_pretrained is not None:
        params, model_state, lines = method.traits.load_pretrained(params, model_state)
        for line in lines:
            console.line(line)
    new = state.replace(params=params, model_state=model_state)
    return step_lib.begin_averages(new) if state.ema_params else new


def resume(
    manager: ocp.CheckpointManager, template: TrainState, console: Console
) -> checkpoint.Saved | None:
    """Restores the newest checkpoint that is whole; None if there are none.

    Damaged ones after it are set aside, and told. CheckpointError, of the newest, if
    none can be read. Of several processes, which all must call this, one that cannot
    read it is enough.
    """
    workdir = manager.directory.parent
    refused: dict[int, errors.CheckpointError] = {}
    for step in hosts.first_json(sorted(manager.all_steps(), reverse=True)):
        saved, why = _tried(workdir, template, step)
        if any(told := hosts.gather_json(why)):
            refused[step] = errors.CheckpointError(next(filter(None, told)))
            continue
        if refused:
            checkpoint.set_aside(workdir, refused)
            manager.reload()
        for line in checkpoint.aside_lines(workdir, step):
            console.line(line)
        return saved
    if refused:
        raise next(iter(refused.values()))
    return None


def _tried(
    workdir: epath.Path, template: TrainState, step: int
) -> tuple[checkpoint.Saved | None, str]:
    """A checkpoint, as this process reads it, or why it cannot."""
    try:
        with checkpoint.open_manager(
            workdir, CheckpointConfig(), read_only=True
        ) as reader:
            return _restore(reader, template, step), ""
    except errors.CheckpointError as error:
        return None, str(error)


def _restore(
    manager: ocp.CheckpointManager, template: TrainState, step: int
) -> checkpoint.Saved:
    """Restores a checkpoint; CheckpointError if damaged or not its own.

    Older versions averaged parameters alone: averages go on from the last statistics.
    """
    known = checkpoint.fields(manager, step)
    if "ema_state" in known:
        return checkpoint.restore(manager, template, step)
    old = {name: getattr(template, name) for name in known}
    state = TrainState(**checkpoint.restore_parts(manager, old, step))
    if state.ema_params:
        state = state.replace(ema_state=jax.tree.map(np.array, state.model_state))
    return checkpoint.Saved(state, checkpoint.restore_meta(manager, step))


def remembered(path: epath.Path | None) -> str:
    """How a run remembers what it started from: a path, or a shipped model's name."""
    if path is None:
        return ""
    if path in models.shipped().values():
        return path.stem
    return str(checkpoint.absolute(path.expanduser()))


def recalled(name: str) -> epath.Path | None:
    """The place that `remembered` has made a text of."""
    return models.shipped().get(name, epath.Path(name)) if name else None


def check(init_from: epath.Path | None, meta: Mapping[str, Any]) -> None:
    """A ConfigError if a started run began with other weights; the same are right."""
    started = meta.get("init_from", "")
    if init_from is not None and remembered(init_from) != started:
        raise errors.ConfigError(
            f"--init-from {init_from}: this run started from "
            f"{started or 'fresh weights'} and resumes; leave the flag out, or choose "
            "another --workdir"
        )


def start_from(
    workdir: epath.Path, params: Any, model_state: Any, class_names: Sequence[str]
) -> tuple[Any, Any, str]:
    """Copies weights of another run into fresh ones, where names and shapes agree.

    Not those of classes if `class_names` differ. Also a line on what was not copied.
    """
    other = model_lib.restore(workdir)
    known = dict(_leaves(other.params))
    if other.class_names != tuple(class_names):
        for name in _class_weights(other):
            known.pop(name, None)  # what prediction does not read is not known
    params, missed = _merge(params, known)
    model_state, missed_state = _merge(model_state, dict(_leaves(other.model_state)))
    missed += missed_state
    names = [name for name, _ in _leaves(params)]
    new = f"; new: {', '.join(_shortened(missed, names))}" if missed else ""
    return params, model_state, f"weights from {workdir} at step {other.step}{new}"


def _class_weights(model: model_lib.Model) -> list[str]:
    """Names of the weights whose number depends on the number of classes."""

    def shapes(num_classes: int) -> dict[str, tuple[int, ...]]:
        method = methods.build(model.experiment, num_classes)
        params, _ = model_lib.weights_spec(method)
        return {name: leaf.shape for name, leaf in _leaves(params)}

    number = len(model.class_names)
    own = shapes(number)
    try:
        other = shapes(number + 1)
    except errors.ConfigError:  # a method of one class has no weights of its own for it
        return []
    return [name for name, shape in own.items() if other[name] != shape]


def _merge(fresh: Any, known: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Fills in leaves that are known by name and shape, and names all others."""
    missed: list[str] = []

    def pick(path: Any, leaf: Any) -> Any:
        name = _name(path)
        if name in known and known[name].shape == leaf.shape:
            return jnp.asarray(known[name], leaf.dtype)
        missed.append(name)
        return leaf

    return jax.tree_util.tree_map_with_path(pick, fresh), missed


def _shortened(missed: list[str], names: list[str]) -> list[str]:
    """Names; parts of the network of which nothing is known once, by their first."""
    firsts = [[name.partition("/")[0] for name in some] for some in (missed, names)]
    new = {one for one in firsts[0] if firsts[0].count(one) >= firsts[1].count(one)}
    short = [f if f in new else m for m, f in zip(missed, firsts[0], strict=True)]
    return list(dict.fromkeys(short))


def _leaves(tree: Any) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(_name(path), leaf) for path, leaf in leaves]


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
