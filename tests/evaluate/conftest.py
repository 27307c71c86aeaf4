"""Two images and a method that finds each of their cells, and one more."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.data import arrays, example, sets
from cellrec_jax.data.record import Record
from cellrec_jax.evaluate import predictions
from cellrec_jax.types import Detections


@pytest.fixture
def eval_set() -> sets.EvalSet:
    """Two images 40 x 60 squeezed to 80 x 90; half of the first is ignored."""
    ignore = np.zeros((40, 60), bool)
    ignore[:, 30:] = True
    points = np.array([[10.5, 20.5], [30.5, 50.5]], np.float32)
    records = [
        Record("a", np.zeros((40, 60, 3), np.uint8), points, np.zeros(2, np.int32),
               ignore=ignore),
        Record("b", np.zeros((40, 60, 3), np.uint8), points[:1], np.zeros(1, np.int32)),
    ]  # fmt: skip
    spec = example.ExampleSpec(
        size_hw=(80, 90), max_cells=4, training=False, box_size=8
    )
    examples = [example.prepare(record, spec) for record in records]
    return sets.EvalSet(
        arrays.stack(examples),
        ("a", "b"),
        ("", ""),
        np.stack([e.scale_yx for e in examples]),
        np.array([[40, 60]] * 2),
        0.25,
    )


def _predict(params, model_state, batch, decode):
    """Finds each cell exactly, and one more at (70, 80) of the squeezed image."""
    del params, model_state, decode
    size = batch.image.shape[0]
    extra = jnp.tile(jnp.array([[[70.0, 80.0]]]), (size, 1, 1))
    points = jnp.concatenate([batch.points_yx, extra], axis=1)
    mask = jnp.concatenate([batch.points_mask, jnp.ones((size, 1), bool)], axis=1)
    boxes = jnp.concatenate([batch.boxes_yxyx, jnp.tile(extra, 2)], axis=1)
    return Detections(
        points,
        jnp.ones(mask.shape),
        jnp.zeros(mask.shape, jnp.int32),
        jnp.ones((*mask.shape, 1)),
        mask,
        boxes,
    )


@pytest.fixture
def predict():
    """A method's function, not compiled."""
    return _predict


@pytest.fixture
def results(eval_set):
    """What it finds, one image after the other."""
    return predictions.predict_set(jax.jit(_predict), {}, {}, eval_set, 1, batch_size=1)
