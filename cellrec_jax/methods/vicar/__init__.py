"""Cells by image processing: restored phase contrast and its maxima."""

from cellrec_jax.methods.vicar.method import make
from cellrec_jax.methods.vicar.options import LossOptions, ModelOptions, Options

__all__ = ["LossOptions", "ModelOptions", "Options", "make"]
