"""Cell recognition by regressed maps and their peaks."""

from cellrec_jax.methods.density_map.method import make
from cellrec_jax.methods.density_map.options import LossOptions, ModelOptions, Options

__all__ = ["LossOptions", "ModelOptions", "Options", "make"]
