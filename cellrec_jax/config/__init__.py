"""Every shared option, its limits, and the way from a file to dataclasses."""

from cellrec_jax.config.experiment import (
    MAY_CHANGE,
    CheckpointConfig,
    DataConfig,
    EvalConfig,
    Experiment,
    LogConfig,
    OptimConfig,
    RefineConfig,
    base,
    for_two_cores,
    freeze,
    from_json,
    to_json,
)

__all__ = [
    "MAY_CHANGE",
    "CheckpointConfig",
    "DataConfig",
    "EvalConfig",
    "Experiment",
    "LogConfig",
    "OptimConfig",
    "RefineConfig",
    "base",
    "for_two_cores",
    "freeze",
    "from_json",
    "to_json",
]
