"""How networks compute: the section `compute` of all methods that have one."""

import dataclasses

import jax
import jax.numpy as jnp

from cellrec_jax.config.limits import check, option


@dataclasses.dataclass(frozen=True)
class ComputeOptions:
    """Speed and memory of a network; parameters and the optimiser are float32.

    So are losses, softmax and the statistics of norms.
    """

    dtype: str = option("float32", choices=("auto", "float32", "bfloat16"))
    """Of activations and products; auto is bfloat16 on GPU and TPU, float32 on CPU."""
    remat: bool = False
    """Compute what is inside of the blocks of backbones and decoders again in the
    backward pass, to save memory."""

    def __post_init__(self) -> None:
        check("compute", self)

    @property
    def activations(self) -> jnp.dtype:
        """The type that `dtype` stands for on this machine."""
        if self.dtype != "auto":
            return jnp.dtype(self.dtype)
        on_cpu = jax.default_backend() == "cpu"
        return jnp.dtype(jnp.float32 if on_cpu else jnp.bfloat16)
