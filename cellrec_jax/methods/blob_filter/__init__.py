"""Cells by image processing: separated stains and a blob filter."""

from cellrec_jax.methods.blob_filter.method import make
from cellrec_jax.methods.blob_filter.options import LossOptions, ModelOptions, Options

__all__ = ["LossOptions", "ModelOptions", "Options", "make"]
