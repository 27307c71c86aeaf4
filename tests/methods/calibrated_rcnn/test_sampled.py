"""Boxes and energies of sampled RoIs by hand, and those of the loss itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import methods
from cellrec_jax.methods.calibrated_rcnn import method as detector
from cellrec_jax.methods.calibrated_rcnn import sampled, stages
from cellrec_jax.types import Progress


def test_of_an_image_by_hand():
    """Two boxes on one place, one 40 px away, and padding; class 1 moves its boxes."""
    boxes = jnp.array([[0, 0, 10, 20], [0, 0, 10, 20], [40, 0, 50, 20], [0, 0, 1, 1]])
    rois = stages.RoIs(
        boxes_yxyx=boxes.astype(jnp.float32),
        labels=jnp.array([0, 2, 2, 2]),
        target_yxyx=jnp.zeros((4, 4)),
        positive=jnp.array([True, False, False, False]),
        mask=jnp.array([True, True, True, False]),
    )
    logits = jnp.array([[0.0, 9, 0], [9, 0, 0], [0, 9, 0], [0, 0, 0]])
    deltas = jnp.zeros((4, 2, 4)).at[:, 1, 1].set(10.0)  # dx of one width
    found = jax.jit(sampled.of_image)(logits, deltas, rois)
    # The first is of its annotation's class 0, not of the predicted one.
    expected = [[0, 0, 10, 20], [0, 0, 10, 20], [40, 20, 50, 40]]
    np.testing.assert_allclose(found.decoded_yxyx[:3], expected, atol=1e-4)
    # Distances of centres are 0 and 60: means 20, 20 and 40, over 60.
    np.testing.assert_allclose(found.energy, [1 / 3, 1 / 3, 2 / 3, 1.0], rtol=1e-5)
    share = 1 / (np.exp(9) + 2)
    expected = [1 - share, 1 - share, 1 - share, 2 / 3]
    np.testing.assert_allclose(found.score, expected, rtol=1e-6)
    assert found.positive.tolist() == [True, False, False, False]


@pytest.mark.slow
def test_energies_are_those_that_the_loss_weighs_with(tiny_model, tiny_batch):
    """The mean energy of negatives is the loss's mean weight of them."""
    fields = {"method": "calibrated_rcnn", "model": tiny_model}
    experiment = methods.freeze(fields | {"loss": {"calibration": "bde"}})
    method = methods.build(experiment, 2)
    params, state = method.init(jax.random.key(0), tiny_batch.image[:1])
    rng = jax.random.key(3)
    found = jax.jit(
        lambda *arguments: detector.sampled_boxes(
            *arguments, options=experiment.options, num_classes=2
        )
    )(params, state, tiny_batch, rng)
    progress = Progress(jnp.int32(0), 10)
    _, (_, metrics) = jax.jit(method.loss_fn)(params, state, tiny_batch, rng, progress)
    negative = np.asarray(found.mask & ~found.positive)
    total, count = metrics["negative_weight"]
    assert negative.sum() == count > 10
    np.testing.assert_allclose(found.energy[negative].mean(), total / count, rtol=1e-4)
    assert np.asarray(found.positive).sum() == metrics["roi_positives"][0]
