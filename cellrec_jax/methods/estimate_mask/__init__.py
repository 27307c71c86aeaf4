"""Cells as segmented masks, estimated from points: a comparison of paper four."""

from cellrec_jax.methods.estimate_mask.method import make
from cellrec_jax.methods.estimate_mask.options import (
    DetectorOptions,
    LossOptions,
    MaskOptions,
    ModelOptions,
    Options,
)

__all__ = [
    "DetectorOptions",
    "LossOptions",
    "MaskOptions",
    "ModelOptions",
    "Options",
    "make",
]
