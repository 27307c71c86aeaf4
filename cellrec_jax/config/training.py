"""How training goes: the optimiser, when the state is saved, what is logged."""

import dataclasses

from cellrec_jax.config.limits import check, option, require


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    """Optimiser and schedule."""

    name: str = option("momentum", choices=("momentum", "adam", "adamw"))
    """momentum, adam or adamw."""
    learning_rate: float = option(1e-3, above=0)
    scale_rate: str = option("", choices=("", "linear", "sqrt"))
    """Multiplies the learning rate by batch_size / base_batch (linear), or by its root
    (sqrt); empty leaves it."""
    base_batch: int = option(0, least=0)
    """batch_size that learning_rate is for; goes with scale_rate."""
    momentum: float = option(0.9, least=0, below=1)
    weight_decay: float = option(1e-4, least=0)
    """L2 on kernels for momentum and adam, decoupled for adamw."""
    schedule: str = option("piecewise", choices=("piecewise", "cosine", "constant"))
    """piecewise, cosine or constant."""
    drops: tuple[float, ...] = option(
        (0.5, 0.75), above=0, below=1, hint="shares of total_steps"
    )
    """Shares of total_steps at which a piecewise schedule divides by 10."""
    warmup_steps: int = option(0, least=0)
    clip_norm: float = option(0.0, least=0)
    """Largest global gradient norm; 0 does not clip."""
    ema: float = option(0.0, least=0, below=1)
    """Decay of averaged parameters and batch statistics, used for evaluation; 0 is
    none."""

    def __post_init__(self) -> None:
        check("optim", self)
        require(
            bool(self.scale_rate) == bool(self.base_batch),
            f"optim.scale_rate={self.scale_rate or repr('')} and "
            f"--config.optim.base_batch={self.base_batch} go together: give the batch "
            "size that the learning rate is for, or neither",
        )


MOST_STEPS = 64
"""Of one call of the training program."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How the training program runs; its numbers do not change."""

    steps_per_call: int = option(0, least=0, most=MOST_STEPS)
    """Steps that a device does without the host, where it holds the training images
    (data.device_mib); 0 is as many as take about half a second, on CPUs one."""
    accumulate: int = option(1, above=0)
    """Parts of a device's share of the batch, done one after the other for less memory;
    batch_size stays that of a step, and losses divide by its counts. Batch norm, if
    any, sees one part."""

    def __post_init__(self) -> None:
        check("train", self)


@dataclasses.dataclass(frozen=True)
class CheckpointConfig:
    """When the state is saved."""

    every: int = option(500, above=0)
    keep: int = option(3, above=0)
    """Latest checkpoints kept, besides the best."""
    asynchronous: bool = False
    """Save while training goes on."""

    def __post_init__(self) -> None:
        check("checkpoint", self)


@dataclasses.dataclass(frozen=True)
class LogConfig:
    """How often figures are written and shown."""

    every: int = option(20, above=0)
    """Steps between lines of metrics.jsonl."""
    seconds: float = option(5.0, least=0)
    """Seconds between lines on a console that is no terminal."""

    def __post_init__(self) -> None:
        check("log", self)
