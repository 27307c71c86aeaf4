"""A method's prediction of windows, compiled."""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cellrec_jax.data import augment
from cellrec_jax.types import Batch, Decode, Detections, Method


class Windows(NamedTuple):
    """What a network looks at: windows of images, all of one size; NumPy or JAX."""

    image: Any
    """uint8, or f32 in [0, 1], [B, H, W, 3]."""
    content_hw: Any
    """i32 [B, 2]; rows and columns beyond are no part of the image."""
    real: Any
    """bool [B]; False for fillers that complete a batch."""
    highest: Any = None
    """f32 [B] as in `types.Batch`; None for methods that do not ask for it."""


Predict = Callable[[Any, Any, Windows], Detections]
"""(params, model_state, windows) -> all detections, whatever their score."""


def jit_predict(method: Method, num_classes: int) -> Predict:
    """Compiles a prediction from raw images on; with a `fit` it stays on the host."""
    on_host = method.traits.fit is not None
    return _jit_predict(method.predict, num_classes, on_host)


@functools.lru_cache(maxsize=2)  # a method in use is compiled once, whatever its `init`
def _jit_predict(
    found_by: Callable[..., Detections], num_classes: int, on_host: bool
) -> Predict:
    def predict(params: Any, model_state: Any, windows: Windows) -> Detections:
        keep_all = Decode(jnp.zeros(num_classes), jnp.zeros(()))
        batch = augment.prepare_eval(_unlabelled(windows))
        return found_by(params, model_state, batch, keep_all)

    return predict if on_host else jax.jit(predict)


def _unlabelled(windows: Windows) -> Batch:
    """A batch without annotations; valid where windows show their image."""
    size, height, width, _ = windows.image.shape
    rows = jnp.arange(height)[None] < windows.content_hw[:, :1]
    columns = jnp.arange(width)[None] < windows.content_hw[:, 1:]
    valid = rows[:, :, None] & columns[:, None, :]
    return Batch(
        image=windows.image,
        image_mask=windows.real,
        points_yx=jnp.zeros((size, 1, 2)),
        labels=jnp.full((size, 1), -1, jnp.int32),
        points_mask=jnp.zeros((size, 1), bool),
        boxes_yxyx=jnp.zeros((size, 1, 4)),
        valid=valid & windows.real[:, None, None],
        example_index=jnp.arange(size, dtype=jnp.int32),
        highest=windows.highest,
    )
