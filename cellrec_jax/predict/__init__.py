"""Images and slides to cells, for users and for evaluation alike."""

from cellrec_jax.predict.files import find_inputs, predict_files
from cellrec_jax.predict.predictor import Predictor, load

__all__ = ["Predictor", "find_inputs", "load", "predict_files"]
