"""How trained networks are run."""

import dataclasses

from cellrec_jax.config.limits import check, option


@dataclasses.dataclass(frozen=True)
class PredictConfig:
    """How trained networks are run, by every mode."""

    batch: int = option(0, least=0)
    """Images or tiles that go through the network at a time; 0 lets the device choose
    (one on a CPU, up to 32 on a GPU)."""

    def __post_init__(self) -> None:
        """Refuses values outside their limits."""
        check("predict", self)
