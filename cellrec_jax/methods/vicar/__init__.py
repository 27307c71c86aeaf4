"""Cells by image processing: restored phase contrast and its maxima."""

from cellrec_jax.methods.vicar.method import LossOptions, ModelOptions, Options, make

__all__ = ["LossOptions", "ModelOptions", "Options", "make"]
