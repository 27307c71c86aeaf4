"""Detections come back in px of the image on disk, judged where annotations count."""

import numpy as np
import pytest

from cellrec_jax.evaluate import predictions


def test_frames_and_regions(results):
    first, second = results
    np.testing.assert_allclose(first.true_points_yx, [[10.5, 20.5]], rtol=1e-5)
    np.testing.assert_allclose(
        first.pred_points_yx, [[10.5, 20.5], [30.5, 50.5], [35, 160 / 3]], rtol=1e-5
    )
    assert first.pred_ignored.tolist() == [False, True, True]
    box = [[6.5, 16.5, 14.5, 24.5]]
    np.testing.assert_allclose(first.true_boxes_yxyx, box, rtol=1e-5)
    np.testing.assert_allclose(first.pred_boxes_yxyx[:1], box, rtol=1e-5)
    assert second.pred_ignored.tolist() == [False, False]
    assert second.image_id == "b"


@pytest.mark.parametrize("batch", [2, 3])
def test_batches_change_nothing(scenes, network, results, batch):
    for one, other in zip(
        results, predictions.predict_set(network(batch), scenes), strict=True
    ):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_seconds_per_image_is_a_time(scenes, network):
    assert 0 < predictions.seconds_per_image(network(1), scenes[0]) < 10
