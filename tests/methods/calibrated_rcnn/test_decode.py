"""Detections by hand: two classes, suppression inside a class, thresholds."""

import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.methods.calibrated_rcnn import decode as rcnn_decode
from cellrec_jax.methods.calibrated_rcnn.options import ModelOptions
from cellrec_jax.types import Decode

PROPOSED = jnp.array(
    [[10, 20, 30, 50], [11, 21, 31, 51], [60, 70, 90, 100], [0, 0, 5, 5]], jnp.float32
)
PROBS = np.array([[0.6, 0.1], [0.5, 0.3], [0.1, 0.8], [0.9, 0.05]])


def _detect(thresholds=(0.0, 0.0), min_distance=0.0):
    background = 1 - PROBS.sum(axis=1, keepdims=True)
    logits = jnp.log(jnp.asarray(np.concatenate([PROBS, background], axis=1)))
    return rcnn_decode.detect(
        PROPOSED,
        jnp.array([True, True, True, False]),
        logits.astype(jnp.float32),
        jnp.zeros((4, 2, 4)),
        decode=Decode(jnp.array(thresholds), jnp.float32(min_distance)),
        image_hw=(80, 120),
        model=ModelOptions(max_detections=3),
    )


def test_best_first_one_a_class_and_place_clipped():
    found = _detect()
    kept = np.asarray(found.mask)
    # Class 0: box 0 beats its double, box 2 stays; class 1: boxes 2 and 1.
    assert found.scores[kept].tolist() == pytest.approx([0.8, 0.6, 0.3, 0.1])
    assert found.labels[kept].tolist() == [1, 0, 1, 0]
    assert found.boxes_yxyx[0].tolist() == [60, 70, 80, 100]
    assert found.points_yx[0].tolist() == [70, 85]
    np.testing.assert_allclose(found.class_probs[0], [0.1, 0.8], rtol=1e-5)
    assert found.mask.shape == (6,)


def test_thresholds_are_the_classes_own():
    found = _detect(thresholds=(0.5, 0.7))
    assert found.labels[found.mask].tolist() == [1, 0]
    assert found.labels[_detect(thresholds=(0.5, 0.9)).mask].tolist() == [0]


def test_min_distance_works_across_classes():
    found = _detect(min_distance=5.0)
    assert found.scores[found.mask].tolist() == pytest.approx([0.8, 0.6])
