"""The scale at which a model agrees with itself, by hand and of a made network."""

import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.config import DataConfig, Experiment
from cellrec_jax.data import transforms
from cellrec_jax.methods import heatmap_pu
from cellrec_jax.predict import scales
from cellrec_jax.predict.predictor import Predictor
from cellrec_jax.types import Detections, Method
from cellrec_jax.workdir.model import Model


@pytest.mark.parametrize(
    ("agreement", "best"),
    [
        ([0.1, 0.2, 0.9, 0.7, 0.3, 0.1], 1),  # means 0.15, 0.55, 0.8, 0.5, 0.2
        ([0.9, 0.8, 0.3, 0.2, 0.1, 0.0], 0.5),
        ([0.0, 0.1, 0.2, 0.3, 0.8, 0.9], 2),
        ([0.5] * 6, 1),  # all alike
        ([0.0] * 6, 1),
        ([0.0, 0.0, 0.5, 0.5, 0.52, 0.52], 1.0),
        ([0.0, 0.0, 0.5, 0.5, 0.54, 0.54], 2.0),
    ],
)
def test_best_scale_by_hand(agreement, best):
    """Of the last two the scale 2 gains 0.02 on 1, and 0.04."""
    assert scales.best_scale(agreement) == best


def _runs_of_8(params, model_state, windows):
    """Cells in dark runs of a row's px, surest of those that are 8 px long.

    From 0.6 on of those of 5 to 13 px, in squares 40 px apart.
    """
    del params, model_state
    points = np.zeros((len(windows.image), 400, 2), np.float32)
    scores = np.zeros(points.shape[:2], np.float32)
    for index, image in enumerate(np.asarray(windows.image)[..., 0]):
        dark = np.pad(image < 128, ((0, 0), (1, 1)))
        change = np.diff(dark.astype(int), axis=1)
        rows, starts = np.nonzero(change == 1)
        ends = np.nonzero(change == -1)[1]
        is_first = ~dark[np.maximum(rows - 1, 0), starts + 1] | (rows == 0)
        rows, starts, ends = (one[is_first][:400] for one in (rows, starts, ends))
        points[index, : len(rows)] = np.stack([rows, starts], axis=1) + 0.5
        scores[index, : len(rows)] = np.exp(-np.abs(np.log2((ends - starts) / 8)))
    labels = np.zeros(scores.shape, np.int32)
    return Detections(
        points, scores, labels, scores[..., None], jnp.asarray(scores > 0), None
    )


@pytest.fixture
def predictor():
    meta = {
        "class_names": ["cell"],
        "native_hw": [256, 256],
        "mpp": 0.5,
        "decode": {"thresholds": [0.6], "min_distance": 0.0},
    }
    experiment = Experiment(
        "heatmap_pu", heatmap_pu.Options(), data=DataConfig(size_hw=(256, 256))
    )
    model = Model(experiment, Method(None, None, None), {}, {}, meta, 1)
    return Predictor(model, _runs_of_8)


def _squares(size_px):
    """An image of 9 dark squares 8 px, resized to `size_px`."""
    image = np.full((120, 120, 3), 255, np.uint8)
    for top in range(20, 120, 40):
        for left in range(20, 120, 40):
            image[top : top + 8, left : left + 8] = 0
    side = 120 * size_px // 8
    return transforms.resize_image(image, (side, side))


@pytest.mark.parametrize(("size_px", "scale"), [(4, 2), (8, 1), (16, 0.5)])
def test_images_are_seen_as_the_training_images(predictor, size_px, scale):
    image = _squares(size_px)
    assert scales.find(predictor, [image]) == scale
    assert scales.find(predictor, [image, np.full_like(image, 255)]) == scale


def test_a_blank_image_has_no_scale(predictor):
    found = scales.find(predictor, [np.full((64, 64, 3), 255, np.uint8)])
    assert found == 0
    assert "as the training images" in scales.line(found)


def test_the_middle_of_an_image_decides(predictor, monkeypatch):
    """Squares of 8 px there, larger ones around."""
    monkeypatch.setattr(scales, "_SIDE_PX", 120)
    image = np.tile(_squares(16), (2, 2, 1))
    image[180:300, 180:300] = _squares(8)
    assert scales.find(predictor, [image]) == 1
