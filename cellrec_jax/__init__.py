"""Trains and runs cell detectors from imperfect annotations, in JAX."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cellrec_jax.predict.predictor import Predictor

__version__ = "0.1.0"


def load(
    workdir: str | os.PathLike[str],
    which: str = "last",
    threshold: float = 0.0,
    *,
    quick: bool = False,
) -> "Predictor":
    """Loads a trained work directory or shipped model; see `cellrec_jax.predict.load`.

    Example:
      model = cellrec_jax.load("runs/ki67")
      cells = model.predict(image)
    """
    from cellrec_jax.predict import predictor as predict

    return predict.load(workdir, which, threshold=threshold, quick=quick)
