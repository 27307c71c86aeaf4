"""Images and slides to cells, for users and for evaluation alike."""

from cellrec_jax.predict.predictor import (
    Predictor,
    find_inputs,
    load,
    predict_files,
)

__all__ = ["Predictor", "find_inputs", "load", "predict_files"]
