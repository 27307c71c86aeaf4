"""Cell detection by a position heat map, for sparse labels and rounds."""

from cellrec_jax.methods.heatmap_pu.method import make
from cellrec_jax.methods.heatmap_pu.options import LossOptions, ModelOptions, Options
from cellrec_jax.methods.refine_options import BACKGROUND

__all__ = ["BACKGROUND", "LossOptions", "ModelOptions", "Options", "make"]
