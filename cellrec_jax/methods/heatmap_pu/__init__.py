"""Cell detection by a position heat map, for sparse labels and rounds."""

from cellrec_jax.methods.heatmap_pu.method import BACKGROUND, make
from cellrec_jax.methods.heatmap_pu.options import LossOptions, ModelOptions, Options

__all__ = ["BACKGROUND", "LossOptions", "ModelOptions", "Options", "make"]
