"""Cell recognition with two auxiliary decoders, for cytoplasm stains."""

from cellrec_jax.methods.multitask.method import make
from cellrec_jax.methods.multitask.options import (
    LossOptions,
    ModelOptions,
    Options,
    PriorOptions,
)

__all__ = ["LossOptions", "ModelOptions", "Options", "PriorOptions", "make"]
