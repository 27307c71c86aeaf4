"""Cell recognition from annotated points by anchor points and matching."""

from cellrec_jax.methods.point_matching.method import make
from cellrec_jax.methods.point_matching.options import (
    LossOptions,
    ModelOptions,
    Options,
)

__all__ = ["LossOptions", "ModelOptions", "Options", "make"]
