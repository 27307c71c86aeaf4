"""Detections come back in px of the image on disk, judged where annotations count."""

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax.evaluate import predictions
from cellrec_jax.types import Decode


def test_frames_and_regions(results):
    first, second = results
    np.testing.assert_allclose(first.true_points_yx, [[10.5, 20.5]], rtol=1e-5)
    np.testing.assert_allclose(
        first.pred_points_yx, [[10.5, 20.5], [30.5, 50.5], [35, 160 / 3]], rtol=1e-5
    )
    assert first.pred_ignored.tolist() == [False, True, True]
    np.testing.assert_allclose(
        first.true_boxes_yxyx, [[6.5, 16.5, 14.5, 24.5]], rtol=1e-5
    )
    assert second.pred_ignored.tolist() == [False, False]
    assert second.image_id == "b"


def test_filler_images_are_left_out(eval_set, predict):
    found = predictions.predict_set(jax.jit(predict), {}, {}, eval_set, 1, batch_size=3)
    assert [r.image_id for r in found] == ["a", "b"]


def test_seconds_per_image_is_a_time(eval_set, predict):
    decode = Decode(jnp.zeros(1), jnp.zeros(()))
    seconds = predictions.seconds_per_image(jax.jit(predict), {}, {}, eval_set, decode)
    assert 0 < seconds < 10
