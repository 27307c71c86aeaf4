"""Two images and a method that finds each of their cells, and one more."""

import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.data import example, sets
from cellrec_jax.data.record import Record, Source
from cellrec_jax.evaluate import predictions
from cellrec_jax.predict import compiled, stream
from cellrec_jax.predict.frame import Frame
from cellrec_jax.types import Detections, Method, Traits

POINTS = np.array([[10.5, 20.5], [30.5, 50.5]], np.float32)
"""Of the black image a; the white image b has the first."""
SCALE = np.array([80 / 40, 90 / 60], np.float32)


def _predict(params, model_state, batch, decode):
    """Finds each cell exactly, and one more at (70, 80) of the squeezed image."""
    del params, model_state, decode
    size = batch.image.shape[0]
    points = jnp.concatenate([POINTS * SCALE, jnp.array([[70.0, 80.0]])])
    is_a = batch.image[:, 0, 0, 0] < 0.5
    mask = jnp.stack([jnp.ones(size, bool), is_a, jnp.ones(size, bool)], axis=1)
    points = jnp.tile(points[None], (size, 1, 1))
    half = jnp.array([[[8.0, 6.0]]])  # of boxes of 8 px of the file
    return Detections(
        points,
        jnp.ones(mask.shape),
        jnp.zeros(mask.shape, jnp.int32),
        jnp.ones((*mask.shape, 1)),
        mask & batch.image_mask[:, None],
        jnp.concatenate([points - half, points + half], axis=-1),
    )


@pytest.fixture
def predict():
    """A method's function, not compiled."""
    return _predict


@pytest.fixture
def split() -> sets.Split:
    """Images 40 x 60, 0.25 um per px; half of the first is ignored."""
    ignore = np.zeros((40, 60), bool)
    ignore[:, 30:] = True
    black = np.zeros((40, 60, 3), np.uint8)
    labels = np.zeros(2, np.int32)
    records = {
        "a": Record("a", black, POINTS, labels, ignore=ignore, mpp=0.25),
        "b": Record("b", black + 255, POINTS[:1], labels[:1], mpp=0.25),
    }
    source = Source("arrays", ("cell",), ("a", "b"), records.__getitem__)
    spec = example.ExampleSpec(size_hw=(80, 90), training=False, box_size=8)
    return sets.Split(source, source.image_ids, spec)


@pytest.fixture
def scenes(split):
    """The images, squeezed to 80 x 90 as those of a training."""
    frame = Frame((40, 60), 0.25, (80, 90), "squeeze", 8.0, 1, "auto")
    return tuple(predictions.scenes(split, frame))


def _network(batch: int) -> stream.Network:
    method = Method(None, None, _predict, Traits())
    return stream.Network(compiled.jit_predict(method, 1), {}, {}, batch)


@pytest.fixture
def network():
    """A function of the batch size."""
    return _network


@pytest.fixture
def results(scenes):
    """What it finds, one image after the other."""
    return predictions.predict_set(_network(1), scenes)
