"""Calibrated two-stage detector for sparsely annotated cells."""

from cellrec_jax.methods.calibrated_rcnn.method import make
from cellrec_jax.methods.calibrated_rcnn.options import (
    LossOptions,
    ModelOptions,
    Options,
    RefineOptions,
)

__all__ = ["LossOptions", "ModelOptions", "Options", "RefineOptions", "make"]
