"""Images and slides to cells, for users and for evaluation alike."""

from cellrec_jax.predict.files import Outcome, predict_files
from cellrec_jax.predict.inputs import find_inputs
from cellrec_jax.predict.predictor import Predictor, load

__all__ = ["Outcome", "Predictor", "find_inputs", "load", "predict_files"]
