"""An experiment: all options of a run, and the way from a file to dataclasses.

Imports neither jax nor tensorflow, and knows no method. Config files call `base`, the
command line overrides keys (`overrides`), `methods.freeze` makes frozen dataclasses.
"""

from collections.abc import Mapping
import dataclasses
from typing import TYPE_CHECKING, Any

from cellrec_jax.config.data import DataConfig
from cellrec_jax.config.evaluation import EvalConfig
from cellrec_jax.config.limits import check, option
from cellrec_jax.config.prediction import PredictConfig
from cellrec_jax.config.training import (
    CheckpointConfig,
    LogConfig,
    OptimConfig,
    TrainConfig,
)

if TYPE_CHECKING:
    from ml_collections import ConfigDict


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One experiment: everything that a run depends on."""

    method: str
    """Its name in `methods.METHODS`."""
    options: Any
    """The method's own frozen dataclass; each of its fields is a section of keys."""
    seed: int = option(0, least=0)
    total_steps: int = option(10_000, above=0)
    batch_size: int = option(1, above=0)
    """Images a step, over all devices."""
    note: str = ""
    """What a CPU user should know before starting (shown once)."""
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    optim: OptimConfig = dataclasses.field(default_factory=OptimConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    eval: EvalConfig = dataclasses.field(default_factory=EvalConfig)
    predict: PredictConfig = dataclasses.field(default_factory=PredictConfig)
    checkpoint: CheckpointConfig = dataclasses.field(default_factory=CheckpointConfig)
    log: LogConfig = dataclasses.field(default_factory=LogConfig)

    def __post_init__(self) -> None:
        check("", self)


_SECTIONS = {
    "data": DataConfig,
    "optim": OptimConfig,
    "train": TrainConfig,
    "eval": EvalConfig,
    "predict": PredictConfig,
    "checkpoint": CheckpointConfig,
    "log": LogConfig,
}
MAY_CHANGE = (
    "train",
    "eval",
    "predict",
    "log",
    "checkpoint",
    "note",
    "data.loader",
    "data.device_mib",
)
"""Keys that a resumed run may change: they do not alter the training. But `eval` does
until rounds of pseudo labels are done: it makes the detections they choose among. More
rounds may be added, see `workdir.directory`."""


def base(method: str, options: Any) -> "ConfigDict":
    """A method's defaults, locked; each field of its `options` becomes a section."""
    # Imported here: everything but config files works without the package.
    from ml_collections import ConfigDict

    return ConfigDict(to_json(Experiment(method, options))).lock()


def for_two_cores(config: "ConfigDict") -> None:
    """Sets a run that two CPU cores finish in minutes: few steps, crops of 256 px.

    The network is the caller's to shrink. Rows of one table then differ in it alone.
    """
    config.note = ""
    config.compute.dtype = "float32"
    config.total_steps = 600
    config.batch_size = 4
    config.data.synthetic_hw = (640, 640)
    config.data.size_hw = (640, 640)
    config.data.crop_hw = (256, 256)
    config.data.scale_jitter = 0.0
    config.data.turn = True
    config.data.hed_jitter = 0.05
    config.optim.name = "adamw"
    config.optim.learning_rate = 1e-3
    config.optim.schedule = "cosine"
    config.optim.warmup_steps = 50
    config.optim.clip_norm = 10.0
    config.checkpoint.every = 200
    config.eval.overlay_score = 0.0  # the fitted threshold


def shared(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `Experiment` but for the method's options, with checked sections.

    `fields` are those of `to_json`; missing ones get defaults. A value outside its
    limits is a `ConfigError`, an unknown key a `TypeError`.
    """
    parts = {
        name: section(**fields.get(name, {})) for name, section in _SECTIONS.items()
    }
    return {**fields, **parts}


def to_json(experiment: Experiment) -> dict[str, Any]:
    """All fields as nested dictionaries, the method's sections beside the others."""
    fields = dataclasses.asdict(experiment)
    return {**fields.pop("options"), **fields}
