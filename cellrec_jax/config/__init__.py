"""Every shared option with its limits, and the way from a file to dataclasses."""

from cellrec_jax.config.data import DataConfig
from cellrec_jax.config.evaluation import EvalConfig
from cellrec_jax.config.experiment import (
    MAY_CHANGE,
    Experiment,
    base,
    for_two_cores,
    shared,
    to_json,
)
from cellrec_jax.config.prediction import PredictConfig
from cellrec_jax.config.training import (
    CheckpointConfig,
    LogConfig,
    OptimConfig,
    TrainConfig,
)

__all__ = [
    "MAY_CHANGE",
    "CheckpointConfig",
    "DataConfig",
    "EvalConfig",
    "Experiment",
    "LogConfig",
    "OptimConfig",
    "PredictConfig",
    "TrainConfig",
    "base",
    "for_two_cores",
    "shared",
    "to_json",
]
