"""Cell recognition with two auxiliary decoders, for cytoplasm stains."""

from cellrec_jax.methods.multitask.method import decoder_maps, make, prior_map
from cellrec_jax.methods.multitask.options import (
    LossOptions,
    ModelOptions,
    Options,
    PriorOptions,
)

__all__ = [
    "LossOptions",
    "ModelOptions",
    "Options",
    "PriorOptions",
    "decoder_maps",
    "make",
    "prior_map",
]
