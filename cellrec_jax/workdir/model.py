"""A method with its weights: built for training, restored for everything else."""

from collections.abc import Mapping, Sequence
import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from cellrec_jax import config as config_lib
from cellrec_jax import errors, methods
from cellrec_jax.config import Experiment
from cellrec_jax.data import transforms
from cellrec_jax.train import optim
from cellrec_jax.train import step as step_lib
from cellrec_jax.train.state import TrainState
from cellrec_jax.types import Decode, Method
from cellrec_jax.workdir import checkpoint, operating_point


@dataclasses.dataclass(frozen=True)
class Model:
    """A trained model, as a work directory holds it."""

    experiment: Experiment
    method: Method
    params: Any
    model_state: Any
    meta: Mapping[str, Any]
    """What prediction needs besides the weights; see `loop`."""
    step: int

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes."""
        return tuple(self.meta["class_names"])

    @property
    def decode(self) -> Decode:
        """The operating point fitted on validation images, in px of the network."""
        fitted = self.meta["decode"]
        data = self.experiment.data
        native_hw = self.meta["native_hw"]
        scale = transforms.length_scale(native_hw, data.size_hw, data.resize)
        return Decode(
            jnp.asarray(fitted["thresholds"], jnp.float32),
            jnp.asarray(scale * fitted["min_distance"], jnp.float32),
        )

    def takes_whole(self, size_hw: Sequence[float], within: float = 0.5) -> bool:
        """Whether an image is so near to the training images' size.

        Args:
          size_hw: of the image, px.
          within: largest share by which either side may differ. Resized as training
            resized its images, cells change size by that share.
        """
        sides = zip(size_hw, self.meta["native_hw"], strict=True)
        return all(abs(side - native) <= within * native for side, native in sides)

    def threshold_lines(self) -> list[str]:
        """Each class's score threshold and where it comes from, for printing."""
        decode = self.meta["decode"]
        default = (
            "the default: no validation labels; name some by --config.data.val_ids"
        )
        if self.experiment.eval.threshold:
            default = "fixed by --config.eval.threshold"
        elif self.meta.get("fit_pending"):
            default = (
                f"the default: not fitted yet at step {self.step} of "
                f"{self.experiment.total_steps}; train to the end"
            )
        lines = [
            f"score threshold of {name}: {cut:.3f} "
            f"({f'fitted on {number} validation labels' if number else default})"
            for name, cut, number in zip(
                self.class_names,
                decode["thresholds"],
                decode["num_labels"],
                strict=True,
            )
        ]
        if distance := decode["min_distance"]:
            lines.append(f"least distance of two cells: {distance:g} px")
        return lines


def keep_all(num_classes: int) -> Decode:
    """A decode that keeps every detection, for curves over all scores."""
    return Decode(jnp.zeros(num_classes), jnp.zeros(()))


def make_state(
    experiment: Experiment, method: Method, num_channels: int = 3
) -> tuple[TrainState, Any]:
    """State before the first step, and the optimiser.

    Args:
      experiment: read for the seed and the optimiser.
      method: from `methods.build`.
      num_channels: C of the images.
    """
    image = jnp.zeros((1, 64, 64, num_channels))
    params, model_state = method.init(jax.random.key(experiment.seed), image)
    trainable = (
        method.trainable(params)
        if method.trainable
        else jax.tree.map(lambda _: True, params)
    )
    optimizer = optim.make_optimizer(
        experiment.optim, experiment.total_steps, trainable
    )
    ema = experiment.optim.ema
    return step_lib.init_state(optimizer, params, model_state, ema=ema), optimizer


def restore(workdir: Path, which: str = "last") -> Model:
    """Restores the model of a work directory.

    Args:
      workdir: of a training run.
      which: "last", or "best" by validation score (the last if none was scored).

    Raises:
      CheckpointError: if there is no checkpoint, or it cannot be read.
    """
    with _open(workdir) as manager:
        step, meta = _read_meta(manager, workdir, which)
        experiment = methods.from_json(meta["config"])
        method = methods.build(experiment, len(meta["class_names"]))
        template = jax.eval_shape(lambda: make_state(experiment, method)[0])
        state = checkpoint.restore(manager, template, step).state
    return Model(
        experiment, method, state.eval_params, state.model_state, meta, int(state.step)
    )


def stored_eval(workdir: Path, which: str = "last") -> config_lib.EvalConfig:
    """How the thresholds of a work directory were chosen; arguments as `restore`."""
    with _open(workdir) as manager:
        _, meta = _read_meta(manager, workdir, which)
    return methods.from_json(meta["config"]).eval


def _open(workdir: Path) -> Any:
    config = config_lib.CheckpointConfig()
    return checkpoint.open_manager(workdir, config, read_only=True)


def _read_meta(manager: Any, workdir: Path, which: str) -> tuple[int, dict[str, Any]]:
    """Step and metadata of a checkpoint."""
    step = manager.best_step() if which == "best" else None
    step = manager.latest_step() if step is None else step
    meta = checkpoint.restore_meta(manager, step)
    return step, operating_point.updated(meta, workdir, step)


def start_from(
    workdir: Path, params: Any, model_state: Any, class_names: Sequence[str]
) -> tuple[Any, Any, str]:
    """Copies weights of another run into fresh ones, where names and shapes agree.

    Weights of its classes are left out where these are others, or in another order.

    Args:
      workdir: of the other run.
      params: fresh parameters.
      model_state: fresh batch statistics.
      class_names: of the new run.

    Returns:
      The filled trees and a line that says what was not copied.
    """
    other = restore(workdir)
    known = dict(_leaves(other.params))
    if other.class_names != tuple(class_names):
        for name in _class_weights(other):
            del known[name]
    params, missed = _merge(params, known)
    model_state, missed_state = _merge(model_state, dict(_leaves(other.model_state)))
    missed += missed_state
    new = f"; new: {', '.join(missed)}" if missed else ""
    return params, model_state, f"weights from {workdir} at step {other.step}{new}"


def _class_weights(model: Model) -> list[str]:
    """Names of the weights whose number depends on the number of classes."""

    def shapes(num_classes: int) -> dict[str, tuple[int, ...]]:
        method = methods.build(model.experiment, num_classes)
        state = jax.eval_shape(lambda: make_state(model.experiment, method)[0])
        return {name: leaf.shape for name, leaf in _leaves(state.params)}

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


def _leaves(tree: Any) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(_name(path), leaf) for path, leaf in leaves]


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
