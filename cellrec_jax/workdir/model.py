"""A method with its weights: restored from a work directory."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from etils import epath
import jax
import jax.numpy as jnp

from cellrec_jax import config as config_lib
from cellrec_jax import errors, methods
from cellrec_jax.config import Experiment
from cellrec_jax.data import transforms
from cellrec_jax.types import Decode, Method
from cellrec_jax.workdir import (
    checkpoint,
    model_file,
    operating_point,
    pixel_size,
    thresholds,
)

EXPORTED = "exported"
"""Key of metadata: the weights are those that prediction reads, see `export`."""
APPEARANCE = "appearance"
"""Key of metadata: what training images look like, fields of `Appearance`."""


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
    workdir: epath.Path | None = None
    """Where it was restored from."""

    def __repr__(self) -> str:
        """What it is, of where, and what it takes for a cell; not its weights."""
        cuts = zip(self.class_names, self.meta["decode"]["thresholds"], strict=True)
        where = f" of {self.workdir}" if self.workdir else ""
        return "\n".join(
            (
                f"{self.experiment.method}{where}",
                f"  step {self.step} of {self.experiment.total_steps}",
                f"  classes: {', '.join(self.class_names)}",
                f"  thresholds: {', '.join(f'{name} {cut:.3f}' for name, cut in cuts)}",
            )
        )

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

    def at_threshold(self, threshold: float) -> "Model":
        """The model with one score threshold of all classes; 0 changes nothing."""
        if not threshold:
            return self
        decode = thresholds.fixed(self.meta["decode"], threshold)
        return dataclasses.replace(self, meta={**self.meta, "decode": decode})

    def once(self) -> "Model":
        """The model as it sees an image once, at the operating point of that."""
        config = self.experiment.eval
        if not config.has_views:
            return self
        experiment = dataclasses.replace(self.experiment, eval=config.once())
        decode = self.meta["decode"]
        meta = {**self.meta, "decode": decode.get("once", decode)}
        return dataclasses.replace(self, experiment=experiment, meta=meta)

    def threshold_sources(self) -> list[str]:
        """Where each class's score threshold comes from, in words."""
        default = (
            "the default: no validation labels; name some by --config.data.val_ids, or "
            "withhold some of the training's by --config.data.threshold_share"
        )
        if self.experiment.eval.threshold:
            default = "fixed by --config.eval.threshold"
        elif self.meta.get("fit_pending"):
            default = (
                f"the default: not fitted yet at step {self.step} of "
                f"{self.experiment.total_steps}; train to the end"
            )
        return thresholds.sources(
            self.meta["decode"],
            self.class_names,
            shared=self.experiment.eval.shared_threshold,
            without_labels=default,
        )

    def threshold_lines(self) -> list[str]:
        """Each class's score threshold and where it comes from, for printing."""
        decode = self.meta["decode"]
        lines = thresholds.lines(decode, self.class_names, self.threshold_sources())
        if distance := decode["min_distance"]:
            lines.append(f"least distance of two cells: {distance:g} px")
        return lines


def weights_spec(method: Method, num_channels: int = 3) -> tuple[Any, Any]:
    """Shapes and types of a method's (params, model_state)."""
    image = jax.ShapeDtypeStruct((1, 64, 64, num_channels), jnp.float32)
    return jax.eval_shape(method.init, jax.random.key(0), image)


def read_by_predict(method: Method, *trees: Any) -> list[Any]:
    """The parts of parameters and state that prediction reads (`Traits.predicts`)."""
    names = method.traits.predicts
    if not names:
        return list(trees)
    return [{name: tree[name] for name in names if name in tree} for tree in trees]


def restore(
    workdir: epath.Path, which: str | int = "last", *, whole: bool = False
) -> Model:
    """Restores a run's weights alone, on the device; CheckpointError if unreadable.

    Of these what prediction reads (`Traits.predicts`), or all (`whole`). `which` is
    "last", "best" by validation score (the last if none was scored), or a step; a model
    file, in place of the work directory, has one.
    """
    if model_file.is_one(workdir):
        return _of_file(workdir, whole=whole)
    with _open(workdir) as manager:
        step, meta = _read_meta(manager, workdir, which)
        experiment = methods.from_json(meta["config"])
        method = methods.build(experiment, len(meta["class_names"]))
        if whole and meta.get(EXPORTED):
            raise _is_part(workdir)
        names = ["params", "model_state"]
        known = checkpoint.fields(manager, step) if experiment.optim.ema else ()
        if "ema_params" in known:  # not of exports
            names = ["ema_params", "model_state"]
        if "ema_state" in known:  # not of old versions
            names = ["ema_params", "ema_state"]
        trees = list(weights_spec(method))
        if not whole:
            trees = read_by_predict(method, *trees)
        spec = dict(zip(names, trees, strict=True))
        found = jax.device_put(checkpoint.restore_parts(manager, spec, step))
    params, model_state = (found[name] for name in names)
    return Model(experiment, method, params, model_state, meta, step, workdir)


def _of_file(path: epath.Path, *, whole: bool) -> Model:
    """The model of a file, on the device."""
    if whole:
        raise _is_part(path)
    card = model_file.read_card(path)
    meta = card["meta"]
    experiment = methods.from_json(meta["config"])
    method = methods.build(experiment, len(meta["class_names"]))
    params, model_state = read_by_predict(method, *weights_spec(method))
    spec = {"params": params, "model_state": model_state}
    found = jax.device_put(model_file.read(path, card, spec))
    params, model_state = found["params"], found["model_state"]
    return Model(experiment, method, params, model_state, meta, card["step"], path)


def _is_part(workdir: epath.Path) -> errors.CheckpointError:
    return errors.CheckpointError(
        f"{workdir}: was exported, it holds only what prediction reads; give the work "
        "directory of the training"
    )


def stored_meta(workdir: epath.Path, which: str = "last") -> dict[str, Any]:
    """What a work directory's model holds besides weights; arguments as `restore`."""
    if model_file.is_one(workdir):
        return dict(model_file.read_card(workdir)["meta"])
    with _open(workdir) as manager:
        return _read_meta(manager, workdir, which)[1]


def glance(workdir: epath.Path, step: int) -> dict[str, Any]:
    """The same of a step as its file has it, without Orbax: no device is asked for.

    Empty where it cannot be read.
    """
    from cellrec_jax.workdir import writer  # late: needs orjson

    place = checkpoint.folder(workdir) / str(step) / "meta" / "metadata"
    found = writer.read_json(place)
    return _updated(found, workdir, step) if isinstance(found, dict) else {}


def stored_eval(workdir: epath.Path, which: str = "last") -> config_lib.EvalConfig:
    """How the thresholds of a work directory were chosen; arguments as `restore`."""
    return methods.from_json(stored_meta(workdir, which)["config"]).eval


def _open(workdir: epath.Path) -> Any:
    config = config_lib.CheckpointConfig()
    return checkpoint.open_manager(workdir, config, read_only=True)


def _read_meta(
    manager: Any, workdir: epath.Path, which: str | int
) -> tuple[int, dict[str, Any]]:
    """Step and metadata of a checkpoint."""
    step = which if isinstance(which, int) else None
    if which == "best":
        step = manager.best_step()
    step = manager.latest_step() if step is None else step
    return step, _updated(checkpoint.restore_meta(manager, step), workdir, step)


def _updated(meta: Mapping[str, Any], workdir: epath.Path, step: int) -> dict[str, Any]:
    """Metadata with what was chosen or given since."""
    meta = operating_point.updated(meta, workdir, step)
    return pixel_size.updated(meta, workdir)
