import numpy as np

from cellrec_jax.bench import draws


def test_boxes():
    boxes_yxyx, scores, mask = draws.boxes(50, 2)
    size_hw = boxes_yxyx[..., 2:] - boxes_yxyx[..., :2]
    assert boxes_yxyx.shape == (2, 50, 4)
    assert size_hw.min() > 19.9
    assert size_hw.max() < 50.1
    assert [len(set(row)) for row in scores.tolist()] == [50, 50]
    assert mask.all()


def test_rois_lie_inside():
    _, rois_yxyx = draws.pyramid(800, 1, 256, 1)
    assert rois_yxyx.shape == (1, 256, 4)
    assert rois_yxyx.min() >= 0
    assert rois_yxyx.max() <= 800


def test_features_repeat_a_pool(monkeypatch):
    monkeypatch.setattr(draws, "DIM", 6)
    monkeypatch.setattr(draws, "POOL", 8)
    features, positive, negative = draws.features(20)
    np.testing.assert_array_equal(features[8:16], features[:8])
    assert (positive ^ negative).all()
