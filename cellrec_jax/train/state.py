"""What training carries from step to step."""

from typing import Any

from flax import struct
import jax


class TrainState(struct.PyTreeNode):
    """Parameters and everything else that a checkpoint holds."""

    step: jax.Array
    """i32 scalar, steps done."""
    params: Any
    model_state: Any
    """Batch statistics and the like; may be empty."""
    opt_state: Any
    ema_params: Any
    """Averaged parameters; an empty dict where there are none."""

    @property
    def eval_params(self) -> Any:
        """The averaged parameters where there are any, else the last ones."""
        return self.ema_params or self.params
