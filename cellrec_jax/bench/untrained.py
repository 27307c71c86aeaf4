"""A predictor with random weights, whose speed is measured."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from cellrec_jax import methods
from cellrec_jax.config import Experiment

if TYPE_CHECKING:
    from cellrec_jax.predict.predictor import Predictor


def predictor(
    experiment: Experiment, class_names: Sequence[str], mpp: float, batch: int
) -> "Predictor":
    """Of an experiment; `mpp` um per px, `batch` windows at a time (0 as memory has).

    Cells are what scores 0.5 or more, six px apart.
    """
    from cellrec_jax.predict import predictor as lib  # late: needs Pillow
    from cellrec_jax.workdir import model as model_lib

    method = methods.build(experiment, len(class_names))
    params, state = jax.jit(method.init)(jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    decode = {
        **{"thresholds": [0.5] * len(class_names), "min_distance": 6.0},
        **{"scope": "default", "rule": "", "withheld": False, "num_labels": [0, 0]},
    }
    meta = {
        **{"class_names": list(class_names), "native_hw": experiment.data.size_hw},
        **{"mpp": mpp, "decode": decode},
    }
    model = model_lib.Model(experiment, method, params, state, meta, 0)
    return lib.of(model, batch)
