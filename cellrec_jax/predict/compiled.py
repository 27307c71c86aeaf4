"""A method's prediction, compiled."""

from collections.abc import Callable
import functools
from typing import Any

import jax

from cellrec_jax.data import augment
from cellrec_jax.types import Batch, Decode, Detections, Method

Predict = Callable[[Any, Any, Batch, Decode], Detections]
"""(params, model_state, raw images, decode) -> detections."""


@functools.lru_cache(maxsize=2)  # a method in use is compiled once
def jit_predict(method: Method) -> Predict:
    """Compiles a prediction from raw images on; with a `fit` it stays on the host."""

    def predict(
        params: Any, model_state: Any, batch: Batch, decode: Decode
    ) -> Detections:
        batch = augment.prepare_eval(batch)
        return method.predict(params, model_state, batch, decode)

    return jax.jit(predict) if method.traits.fit is None else predict
